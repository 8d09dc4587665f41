// Sizes and rates as people type them, the same at every program: `64K`, `20M`, `1.5GiB`, `2M/s`. Units are powers of 1024.

const TYPED = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?(?:\/s)?$/i;
const UNITS = ['', 'K', 'M', 'G', 'T'];

/** Bytes, rounded up: only 0 is 0, which means "no limit" at many places. Null when the text is no size. */
export function readSize(text: string): number | null {
  const match = TYPED.exec(text.trim());
  if (!match) return null;
  const bytes = Math.ceil(Number(match[1]) * 1024 ** UNITS.indexOf(match[2]!.toUpperCase()));
  return Number.isSafeInteger(bytes) ? bytes : null;
}
