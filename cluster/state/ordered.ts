// A sorted list that stays cheap at any size: blocks of at most 128 items, found by binary search. Insert, delete and seek cost
// O(log n) comparisons and one short memory move; iteration is in key order, which listings page by and replicas share.
// Owns order only; it holds whatever items it is given and never copies or changes them.

/** Moving 64 pointers costs less than the search that finds the place. */
const BLOCK_ITEMS_MAX = 128;

/** Shared by all empty lists; never written to. */
const NONE: never[] = [];

/** Where an item stands to a key: below 0, 0 or above 0. A total order, and the same one for every key type it is called with. */
export type Compare<T, K> = (item: T, key: K) => number;

/** UTF-16 code units: the same order on every machine, unlike a locale's. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export class Ordered<T, K> {
  readonly #compare: Compare<T, K>;
  /** Invariant: no block is empty; the concatenation is sorted without duplicates. */
  #blocks: T[][] = NONE;
  #size = 0;

  constructor(compare: Compare<T, K>) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  get(key: K): T | undefined {
    const block = this.#blocks[this.#blockFor(key)];
    if (block === undefined) return undefined;
    const item = block[this.#lowerBound(block, key)];
    return item !== undefined && this.#compare(item, key) === 0 ? item : undefined;
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  /** Returns false, and changes nothing, when the key is there already. */
  insert(key: K, item: T): boolean {
    const blocks = this.#blocks;
    if (blocks.length === 0) {
      // Exact literals: a push into an empty array would reserve 17 places, and most lists hold one item.
      this.#blocks = [[item]];
      this.#size = 1;
      return true;
    }
    // Keys often come in order, as those of a snapshot do: past the end belongs to the last block.
    let which = blocks.length - 1;
    let block = blocks[which]!;
    let at = block.length;
    if (this.#compare(block[at - 1]!, key) >= 0) {
      which = this.#blockFor(key);
      block = blocks[which]!;
      at = this.#lowerBound(block, key);
    }
    const found = block[at];
    if (found !== undefined && this.#compare(found, key) === 0) return false;
    insertAt(block, at, item);
    this.#size++;
    if (block.length > BLOCK_ITEMS_MAX) {
      // Keys often arrive in order: then a full block stays full instead of half empty.
      const appended = which === blocks.length - 1 && at === block.length - 1;
      const cut = appended ? block.length - 1 : block.length >> 1;
      blocks.splice(which + 1, 0, block.splice(cut));
    }
    return true;
  }

  /** Takes in many at once, in one walk over the blocks. `added` is in order, and none of its keys is here. */
  merge(added: readonly T[], keyOf: (item: T) => K): void {
    let which = 0;
    for (const item of added) {
      const key = keyOf(item);
      const blocks = this.#blocks;
      const end = blocks.length - 1;
      if (end < 0 || this.#compare(blocks[end]!.at(-1)!, key) < 0) {
        this.insert(key, item);
        continue;
      }
      while (this.#compare(blocks[which]!.at(-1)!, key) < 0) which++;
      const block = blocks[which]!;
      insertAt(block, this.#lowerBound(block, key), item);
      this.#size++;
      if (block.length > BLOCK_ITEMS_MAX) blocks.splice(which + 1, 0, block.splice(block.length >> 1));
    }
  }

  /** The item that was there, if any. */
  delete(key: K): T | undefined {
    const which = this.#blockFor(key);
    const block = this.#blocks[which];
    if (block === undefined) return undefined;
    const at = this.#lowerBound(block, key);
    const item = block[at];
    if (item === undefined || this.#compare(item, key) !== 0) return undefined;
    block.splice(at, 1);
    this.#size--;
    if (this.#size === 0) this.#blocks = NONE;
    else if (block.length === 0) this.#blocks.splice(which, 1);
    else this.#mergeWithNext(which);
    return item;
  }

  /** In order, all of them, or from the first item that is not below `from`. Do not change the list meanwhile. */
  *values(from?: K): IterableIterator<T> {
    const start = from === undefined ? 0 : this.#blockFor(from);
    for (let which = start; which < this.#blocks.length; which++) {
      const block = this.#blocks[which]!;
      for (
        let at = from !== undefined && which === start ? this.#lowerBound(block, from) : 0;
        at < block.length;
        at++
      ) {
        yield block[at]!;
      }
    }
  }

  /** Calls back with every item in order: for whole lists, several times as fast as an iterator. */
  each(visit: (item: T) => void): void {
    for (const block of this.#blocks) for (const item of block) visit(item);
  }

  /** A copy of the whole list, in order. */
  items(): T[] {
    const items = new Array<T>(this.#size);
    let at = 0;
    for (const block of this.#blocks) for (const item of block) items[at++] = item;
    return items;
  }

  /** At most `limit` items above `after`, or from the start when it is null. */
  page(after: K | null, limit: number): T[] {
    const rows: T[] = [];
    for (const item of after === null ? this.values() : this.values(after)) {
      if (rows.length === limit) break;
      if (after !== null && rows.length === 0 && this.#compare(item, after) === 0) continue;
      rows.push(item);
    }
    return rows;
  }

  /** The first block whose last item is not below the key; the number of blocks when there is none. */
  #blockFor(key: K): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const block = this.#blocks[middle]!;
      if (this.#compare(block[block.length - 1]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #lowerBound(block: readonly T[], key: K): number {
    let low = 0;
    let high = block.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(block[middle]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Keeps many deletions from leaving many tiny blocks. */
  #mergeWithNext(which: number): void {
    const block = this.#blocks[which]!;
    const next = this.#blocks[which + 1];
    if (next === undefined || block.length + next.length > BLOCK_ITEMS_MAX / 2) return;
    block.push(...next);
    this.#blocks.splice(which + 1, 1);
  }
}

/** As splice(at, 0, item), which would make an array of what it removed, and takes twice as long. */
function insertAt<T>(block: T[], at: number, item: T): void {
  block.push(item);
  for (let i = block.length - 1; i > at; i--) block[i] = block[i - 1]!;
  block[at] = item;
}
