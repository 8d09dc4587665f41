// What the fuzzer runs: one parser, as a function of bytes.
import { isMtError } from '../../codec/errors.ts';
import type { Random } from './sample.ts';

export interface Target {
  readonly name: string;
  readonly seed: (random: Random) => Uint8Array;
  /** @throws what `allows` accepts, or nothing. */
  readonly run: (bytes: Uint8Array, random: Random) => void;
  readonly allows: (error: unknown) => boolean;
}

export const isDeclared = (error: unknown) => isMtError(error) && error.code !== 'INTERNAL';
