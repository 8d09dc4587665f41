/**
 * A set of pieces, one bit each, in words of 32: the policy asks "what have I that he lacks" of 8,000 pieces at a time.
 * On the wire the order is that of BEP 3 (highest bit of byte 0 = piece 0); in memory bit p & 31 of word p >> 5 is piece p.
 */
export class Bitfield {
  /** How many pieces there could be. */
  readonly size: number;
  /** Invariant: bits at and beyond `size` are zero. */
  private readonly words: Uint32Array;
  /** Invariant: the number of set bits. */
  private setCount = 0;

  constructor(size: number) {
    this.size = size;
    this.words = new Uint32Array(Math.ceil(size / 32));
  }

  /** Reads the wire form strictly: the exact length, spare bits zero; else null. */
  static fromBytes(bytes: Uint8Array, size: number): Bitfield | null {
    if (bytes.length !== Math.ceil(size / 8)) return null;
    const spareBits = bytes.length * 8 - size;
    if (spareBits > 0 && (bytes[bytes.length - 1]! & ((1 << spareBits) - 1)) !== 0) return null;
    const field = new Bitfield(size);
    for (let piece = 0; piece < size; piece++) {
      if (bytes[piece >> 3]! & (0x80 >> (piece & 7))) field.set(piece);
    }
    return field;
  }

  static full(size: number): Bitfield {
    const field = new Bitfield(size);
    for (let piece = 0; piece < size; piece++) field.set(piece);
    return field;
  }

  /** The wire form, ceil(size / 8) bytes. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.size / 8));
    for (const piece of this.pieces()) bytes[piece >> 3]! |= 0x80 >> (piece & 7);
    return bytes;
  }

  get count(): number {
    return this.setCount;
  }

  get complete(): boolean {
    return this.setCount === this.size;
  }

  has(piece: number): boolean {
    return piece >= 0 && piece < this.size && ((this.words[piece >>> 5]! >>> (piece & 31)) & 1) === 1;
  }

  /** Answers whether the bit changed. */
  set(piece: number): boolean {
    if (piece < 0 || piece >= this.size || this.has(piece)) return false;
    this.words[piece >>> 5]! |= 1 << (piece & 31);
    this.setCount++;
    return true;
  }

  /** Answers whether the bit changed. */
  clear(piece: number): boolean {
    if (!this.has(piece)) return false;
    this.words[piece >>> 5]! &= ~(1 << (piece & 31));
    this.setCount--;
    return true;
  }

  /** The set pieces, ascending. */
  *pieces(): Generator<number> {
    for (let index = 0; index < this.words.length; index++) yield* bitsOf(this.words[index]!, index);
  }

  /** The pieces in this set and not in `other`, ascending. */
  *without(other: Bitfield): Generator<number> {
    for (let index = 0; index < this.words.length; index++)
      yield* bitsOf(this.words[index]! & ~other.words[index]!, index);
  }

  /** The pieces in both sets, ascending. */
  *and(other: Bitfield): Generator<number> {
    for (let index = 0; index < this.words.length; index++)
      yield* bitsOf(this.words[index]! & other.words[index]!, index);
  }
}

function* bitsOf(word: number, wordIndex: number): Generator<number> {
  for (let rest = word; rest !== 0; rest &= rest - 1) yield wordIndex * 32 + 31 - Math.clz32(rest & -rest);
}

/** The first value of a generator of pieces, or null. */
export function first(pieces: Generator<number>): number | null {
  const next = pieces.next();
  return next.done ? null : next.value;
}
