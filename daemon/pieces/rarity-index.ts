/**
 * A set of pieces sorted into buckets by rarity, so that "a rarest one" and each change by one cost O(1), whatever the
 * number of pieces. Knows nothing of neighbours: the table of neighbours tells it the rarities.
 *
 *     rarity 0: [4, 7]    rarity 1: []    rarity 2: [0, 1, 9]      position[7] = 1, level[7] = 0
 */
const ABSENT = -1;

export class RarityIndex {
  private readonly buckets: number[][] = [];
  /** Invariant: buckets[level[p]][position[p]] = p for every piece p in the set; ABSENT for the others. */
  private readonly position: Int32Array;
  private readonly level: Uint16Array;
  private pieceCount = 0;

  constructor(size: number) {
    this.position = new Int32Array(size).fill(ABSENT);
    this.level = new Uint16Array(size);
  }

  get count(): number {
    return this.pieceCount;
  }

  has(piece: number): boolean {
    return this.position[piece] !== ABSENT;
  }

  /** Adds the piece, or moves it if it is there already. */
  put(piece: number, rarity: number): void {
    if (this.has(piece)) {
      if (this.level[piece] === rarity) return;
      this.remove(piece);
    }
    while (this.buckets.length <= rarity) this.buckets.push([]);
    const bucket = this.buckets[rarity]!;
    this.position[piece] = bucket.length;
    this.level[piece] = rarity;
    bucket.push(piece);
    this.pieceCount++;
  }

  remove(piece: number): void {
    if (!this.has(piece)) return;
    const bucket = this.buckets[this.level[piece]!]!;
    const last = bucket.pop()!;
    if (last !== piece) {
      bucket[this.position[piece]!] = last;
      this.position[last] = this.position[piece]!;
    }
    this.position[piece] = ABSENT;
    this.pieceCount--;
  }

  /** The first piece of exactly that rarity from `from` on, then from 0 on, that `accept` takes; null if there is none. */
  findInOrder(rarity: number, from: number, accept: (piece: number) => boolean): number | null {
    const size = this.position.length;
    if (!this.buckets[rarity]?.length) return null;
    for (let step = 0; step < size; step++) {
      const piece = (from + step) % size;
      if (this.has(piece) && this.level[piece] === rarity && accept(piece)) return piece;
    }
    return null;
  }

  /**
   * The rarest piece that `accept` takes, ties at random; null if none of the first `probesMax` candidates is taken. Within
   * a bucket it looks at neighbours of a random start, which is random enough and needs no shuffle.
   */
  findRarest(accept: (piece: number) => boolean, random: () => number, probesMax: number): number | null {
    let probes = 0;
    for (const bucket of this.buckets) {
      const start = Math.floor(random() * bucket.length);
      for (let step = 0; step < bucket.length; step++) {
        const piece = bucket[(start + step) % bucket.length]!;
        if (accept(piece)) return piece;
        if (++probes >= probesMax) return null;
      }
    }
    return null;
  }
}
