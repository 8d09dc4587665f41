// Keeps V8 from giving short-lived objects more room than they are worth. Node 24 lets the young generation grow to 3 × 64 MiB; a
// tracker under load gets there within seconds, and spends as much time collecting as with 3 × 8 MiB. The size can be set by a
// flag of `node` only, which a program cannot give itself; how it grows can be said at any time.
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const MiB = 1024 * 1024;
/** Two of the three semi-spaces, as V8 counts them. */
const SIZE_BYTES = 16 * MiB;
/** It doubles at most once in so short a time. */
const LOOK_MS = 100;

export function boundYoungGeneration(): void {
  let isGrowing = true;
  const look = () => {
    const size = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
    const shouldGrow = size < SIZE_BYTES; // V8 shrinks it in quiet times
    if (shouldGrow === isGrowing) return;
    isGrowing = shouldGrow;
    setFlagsFromString(`--semi-space-growth-factor=${isGrowing ? 2 : 1}`);
  };
  look();
  setInterval(look, LOOK_MS).unref();
}
