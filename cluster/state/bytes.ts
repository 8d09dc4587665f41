// Hashes and salts are kept as lower-case hex: a flat string costs a third of a small typed array, and compares with ===.

const DIGITS = '0123456789abcdef';
const CODES: readonly number[] = Array.from(DIGITS, (digit) => digit.charCodeAt(0));

export function toHex(bytes: Uint8Array): string {
  const codes: number[] = [];
  for (const byte of bytes) codes.push(CODES[byte >> 4]!, CODES[byte & 15]!);
  // One flat string; concatenation would leave a rope behind.
  return String.fromCharCode(...codes);
}

export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = (DIGITS.indexOf(text[i * 2]!) << 4) | DIGITS.indexOf(text[i * 2 + 1]!);
  }
  return bytes;
}

/** A broken invariant of our own: the node must stop, for whatever it did next could differ from the others. */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`state machine: ${what}`);
}
