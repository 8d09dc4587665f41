// Keeps V8 from giving short-lived objects more room than they are worth. Node 24 lets the young generation grow to 3 × 64 MiB; a
// tracker under load gets there within seconds, and spends as much time collecting as with 3 × 8 MiB. (A peer daemon is
// left to V8: there, 3 × 4 MiB cost a fifth more CPU and more.) The size can be set by a flag of `node` only, which a program cannot
// give itself; how it grows can be said at any time.
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const MiB = 1024 * 1024;
/** It doubles at most once in so short a time. */
const LOOK_MS = 100;

/**
 * @param semiSpaceMiB of one of the three semi-spaces; a power of two.
 * @returns looks now: for work that keeps the event loop waiting.
 */
export function boundYoungGeneration(semiSpaceMiB: number): () => void {
  let isGrowing = true;
  const look = () => {
    const size = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
    // V8 counts two of the three.
    const shouldGrow = size < 2 * semiSpaceMiB * MiB; // V8 shrinks it in quiet times
    if (shouldGrow === isGrowing) return;
    isGrowing = shouldGrow;
    setFlagsFromString(`--semi-space-growth-factor=${isGrowing ? 2 : 1}`);
  };
  look();
  setInterval(look, LOOK_MS).unref();
  return look;
}
