// A queue of records by last use, linked through the records themselves: touch, add and remove in constant time. A Map that is
// deleted from and appended to would do the same on paper, but finding its first entry walks over the holes at its front.

/** What a record needs to be queued; owned by the queue. */
export interface Linked<T> {
  older: T | null;
  newer: T | null;
}

export class Recency<T extends Linked<T>> {
  #oldest: T | null = null;
  #newest: T | null = null;

  get oldest(): T | null {
    return this.#oldest;
  }

  /** Adds at the newest end. */
  add(item: T): void {
    item.older = this.#newest;
    item.newer = null;
    if (this.#newest) this.#newest.newer = item;
    else this.#oldest = item;
    this.#newest = item;
  }

  remove(item: T): void {
    if (item.older) item.older.newer = item.newer;
    else this.#oldest = item.newer;
    if (item.newer) item.newer.older = item.older;
    else this.#newest = item.older;
    item.older = null;
    item.newer = null;
  }

  /** Makes it the newest. */
  touch(item: T): void {
    if (this.#newest === item) return;
    this.remove(item);
    this.add(item);
  }

  /** Oldest first. */
  *values(): IterableIterator<T> {
    for (let item = this.#oldest; item !== null; item = item.newer) yield item;
  }
}
