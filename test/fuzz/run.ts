// The fuzzer's loop: seeds, mutations, targets, a watch over memory. Everything random comes from the seed, so a failure replays.
import { mutate } from './mutate.ts';
import type { Random } from './sample.ts';
import type { Target } from './target.ts';

export interface FuzzOptions {
  readonly targets: readonly Target[];
  readonly seed: number;
  /** Whichever comes first. */
  readonly untilMs: number;
  readonly inputsMax: number;
  readonly onProgress?: (inputs: number) => void;
}

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  readonly error: unknown;
}

export interface FuzzResult {
  readonly inputs: number;
  /** Inputs that were accepted as valid: a fuzzer that is always refused tests nothing. */
  readonly accepted: number;
  readonly finding: Finding | null;
}

/** Inputs of one target in a row, from a few seeds of it. */
const BATCH = 2_000;
const SEEDS_PER_BATCH = 8;

/** xorshift32 (Marsaglia 2003). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return below <= 0 ? 0 : (state >>> 0) % below;
  };
}

export async function fuzz({ targets, seed, untilMs, inputsMax, onProgress }: FuzzOptions): Promise<FuzzResult> {
  const random = randomFrom(seed);
  let inputs = 0;
  let accepted = 0;
  for (let turn = 0; inputs < inputsMax && performance.now() < untilMs; turn++) {
    const target = targets[turn % targets.length]!;
    const seeds = Array.from({ length: SEEDS_PER_BATCH }, () => target.seed(random));
    for (let i = 0; i < BATCH; i++) {
      const input =
        i < SEEDS_PER_BATCH ? seeds[i]! : mutate(seeds[random(seeds.length)]!, random, seeds[random(seeds.length)]!);
      inputs++;
      try {
        target.run(input, random);
        accepted++;
      } catch (error) {
        if (!target.allows(error)) return { inputs, accepted, finding: { target: target.name, input, error } };
      }
    }
    // Lets streams and promises of the targets end.
    await new Promise((resolve) => setImmediate(resolve));
    onProgress?.(inputs);
  }
  return { inputs, accepted, finding: null };
}
