// A line of the shell split into words, by the plain rules of a POSIX shell: blanks part words; '…' takes all as it is;
// in "…" and outside, a backslash takes the next character as it is. No variables, no globs, no pipes.
import { MtError } from '../../codec/errors.ts';

interface SplitLine {
  words: string[];
  /** The word that the line ends in the middle of, and where it starts; null after a blank or at the beginning. */
  open: { text: string; start: number } | null;
  /** The quote that is still open at the end. */
  quote: '"' | "'" | null;
}

/** Splits without complaint: an open quote ends with the line. For completion, which sees unfinished lines. */
export function splitLine(line: string): SplitLine {
  const words: string[] = [];
  let text = '';
  let start = -1;
  let quote: '"' | "'" | null = null;
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (quote === null && (character === ' ' || character === '\t')) {
      if (start >= 0) words.push(text);
      text = '';
      start = -1;
      continue;
    }
    if (start < 0) start = at;
    if (character === quote) quote = null;
    else if (quote === null && (character === '"' || character === "'")) quote = character;
    else if (character === '\\' && quote !== "'" && at + 1 < line.length) text += line[++at]!;
    else text += character;
  }
  if (start >= 0) words.push(text);
  return { words, open: start >= 0 ? { text, start } : null, quote };
}

/** @throws MtError USAGE when a quote is not closed */
export function splitWords(line: string): string[] {
  const { words, quote } = splitLine(line);
  if (quote !== null) throw new MtError('USAGE', `A quote (${quote}) is not closed`);
  return words;
}
