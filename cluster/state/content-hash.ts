/**
 * A hash of the whole content that is kept up to date record by record: the sum of the hashes of all rows, so it depends neither on
 * their order nor on how the state came about. A replay from zero, a snapshot and an old node agree at the same index, or differ.
 *
 * Two lanes of 32 bits, added modulo 2^32: it is there to find bugs and bad memory, not to withstand forgery (trackers trust each
 * other), and must cost a fraction of a microsecond. stateHash (state.ts) puts SHA-256 over it.
 */

/** One record, flat: what a snapshot stores and what is hashed. The first number tells the table. */
export type Row = readonly (string | number | boolean | null)[];

export class ContentHash {
  /** Each lane a signed 32-bit integer. */
  a = 0;
  b = 0;

  add(row: Row): void {
    mix(row);
    this.a = (this.a + laneA) | 0;
    this.b = (this.b + laneB) | 0;
  }

  subtract(row: Row): void {
    mix(row);
    this.a = (this.a - laneA) | 0;
    this.b = (this.b - laneB) | 0;
  }
}

// Results of `mix`: two module variables instead of an object a row.
let laneA = 0;
let laneB = 0;

/** Multiply and xor by 32-bit primes, then Murmur3's finaliser; types and lengths are mixed in, so fields cannot run into each other. */
function mix(row: Row): void {
  let a = 0x9e3779b9 | 0;
  let b = 0x85ebca6b | 0;
  for (const field of row) {
    if (typeof field === 'string') {
      a = Math.imul(a ^ 1, 0x85ebca77);
      b = Math.imul(b ^ field.length, 0xc2b2ae3d);
      for (let i = 0; i < field.length; i++) {
        const code = field.charCodeAt(i);
        a = Math.imul(a ^ code, 0x9e3779b1);
        b = Math.imul(b ^ code, 0x5f356495);
      }
    } else if (typeof field === 'number') {
      // All are safe non-negative integers: two words hold them exactly.
      const low = field | 0;
      const high = (field / 0x1_0000_0000) | 0;
      a = Math.imul(Math.imul(a ^ 2, 0x9e3779b1) ^ low, 0x85ebca77) ^ high;
      b = Math.imul(Math.imul(b ^ high, 0x5f356495) ^ low, 0xc2b2ae3d);
    } else {
      const code = field === null ? 3 : field ? 4 : 5;
      a = Math.imul(a ^ code, 0x85ebca77);
      b = Math.imul(b ^ code, 0xc2b2ae3d);
    }
    a = (a << 13) | (a >>> 19);
    b = (b << 17) | (b >>> 15);
  }
  laneA = finish(a ^ b);
  laneB = finish(b + 0x27d4eb2f);
}

function finish(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
