// CBOR of the short messages that peers exchange by the thousand: lists of unsigned numbers, booleans and such lists. The same bytes
// as codec/cbor.ts writes, at a tenth of the cost. What is anything else is left to codec/cbor.ts, which also words the refusal.

/** Nesting of the messages that come this way: a list of lists of numbers. */
const DEPTH_MAX = 3;

export type Plain = number | boolean | readonly Plain[];

/** Bytes that `encodePlainInto` writes at most. */
export function plainSizeMax(value: Plain): number {
  return typeof value === 'object' ? value.reduce<number>((sum, item) => sum + plainSizeMax(item), 5) : 5;
}

/** Writes the value at `at`, each number (an integer from 0 to 2³² − 1) as short as it can be; returns where it ends. */
export function encodePlainInto(into: Uint8Array, at: number, value: Plain): number {
  if (typeof value === 'number') return writeHead(into, at, 0x00, value);
  if (typeof value === 'boolean') {
    into[at] = value ? 0xf5 : 0xf4;
    return at + 1;
  }
  let end = writeHead(into, at, 0x80, value.length);
  for (const item of value) end = encodePlainInto(into, end, item);
  return end;
}

function writeHead(into: Uint8Array, at: number, major: number, value: number): number {
  if (value < 24) {
    into[at] = major | value;
    return at + 1;
  }
  const width = value < 0x100 ? 1 : value < 0x10000 ? 2 : 4;
  into[at] = major | (width === 1 ? 24 : width === 2 ? 25 : 26);
  for (let i = width; i > 0; i--) {
    into[at + i] = value & 0xff;
    value >>>= 8;
  }
  return at + 1 + width;
}

/** Reads one list that fills the bytes; null when that is not what they are. Never longer than the bytes say. */
export function decodePlain(bytes: Uint8Array): Plain[] | null {
  const reader = { bytes, at: 0 };
  const value = readItem(reader, 0);
  return Array.isArray(value) && reader.at === bytes.length ? value : null;
}

function readItem(reader: { readonly bytes: Uint8Array; at: number }, depth: number): Plain | null {
  const { bytes } = reader;
  if (reader.at >= bytes.length) return null;
  const initial = bytes[reader.at++]!;
  if (initial === 0xf4 || initial === 0xf5) return initial === 0xf5;
  const info = initial & 31;
  const width = info < 24 ? 0 : 1 << (info - 24);
  if (width > 4 || reader.at + width > bytes.length) return null;
  let value = info;
  if (width > 0) {
    value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + bytes[reader.at++]!;
  }
  if (initial >> 5 === 0) return value;
  // An item takes a byte at least.
  if (initial >> 5 !== 4 || depth === DEPTH_MAX || value > bytes.length - reader.at) return null;
  const items: Plain[] = [];
  for (let i = 0; i < value; i++) {
    const item = readItem(reader, depth + 1);
    if (item === null) return null;
    items.push(item);
  }
  return items;
}
