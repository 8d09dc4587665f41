// A word as one would type it in a shell again.
import { harmless } from './harmless.ts';

/** Bare when a POSIX shell takes it as it is, else in single quotes. */
export function quoted(word: string): string {
  const shown = harmless(word);
  return /^[\w.,:@%+=/-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}
