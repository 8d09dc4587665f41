/**
 * The log as the core sees it: the durable part through the driver's LogReader, the part that is not durable yet in memory,
 * with a bounded tail of durable entries in front of it, so that a million old entries cost nothing.
 *
 *      reader only        cache (memory)
 *     ├────────────────┼───────────────────────────────────┤
 *     first      cacheFirst      stable      written      last
 *
 *     first <= cacheFirst <= stable+1,  commit <= last,  stable <= written <= last
 *
 * `written` is the end of what was handed out for writing, `stable` of what is known to be durable. Truncation moves both
 * back and starts a new epoch, so that a report about a write from before it changes nothing (scenario 15).
 */
import { invariant } from './invariant.ts';
import type { Entry, Index, LogReader, SnapshotMeta, Term } from './types.ts';

/** What an entry costs in memory beside its data, roughly. */
const ENTRY_OVERHEAD_BYTES = 128;
/** The dead front of the cache array is cut off when it is this long and half of the array. */
const DEAD_FRONT_MAX = 1024;

/** Marks where a write ended, to be handed back when it is durable. */
export interface WriteMark {
  readonly epoch: number;
  readonly index: Index;
  readonly term: Term;
}

export class RaftLog {
  readonly #reader: LogReader;
  readonly #cacheBytesMax: number;
  #cache: Entry[] = [];
  /** Position in #cache of the entry #cacheFirst; what lies before it is dead. */
  #head = 0;
  #cacheFirst: Index;
  #cacheBytes = 0;
  /** An installed snapshot: nothing before it is read any more. {0, 0} without. */
  #anchor = { index: 0, term: 0 };
  #epoch = 0;
  #pendingTruncate: Index | null = null;
  last: Index;
  lastTerm: Term;
  stable: Index;
  #written: Index;

  constructor(reader: LogReader, cacheBytesMax: number) {
    this.#reader = reader;
    this.#cacheBytesMax = cacheBytesMax;
    this.last = reader.lastIndex();
    const lastTerm = reader.term(this.last);
    invariant(lastTerm !== null, `the log cannot tell the term of its last index ${this.last}`);
    this.lastTerm = lastTerm;
    this.stable = this.last;
    this.#written = this.last;
    this.#cacheFirst = this.last + 1;
  }

  firstIndex(): Index {
    return Math.max(this.#reader.firstIndex(), this.#anchor.index + 1);
  }

  /** The entry can be had, or is the next one to come. */
  isReadable(index: Index): boolean {
    return index >= this.#cacheFirst || index >= this.firstIndex();
  }

  /** Null when the index lies beyond the end or was purged. */
  term(index: Index): Term | null {
    if (index > this.last || index < 0) return null;
    if (index === this.last) return this.lastTerm;
    if (index >= this.#cacheFirst) return this.#cached(index).term;
    if (index <= this.#anchor.index) return index === this.#anchor.index ? this.#anchor.term : null;
    return this.#reader.term(index);
  }

  /** Entries lo..hi-1, at least one, stopping before maxBytes of sizeBytes are exceeded. */
  entries(lo: Index, hi: Index, maxBytes: number): readonly Entry[] {
    invariant(lo < hi && hi <= this.last + 1, `entries ${lo}..${hi} of a log that ends at ${this.last}`);
    if (lo < this.#cacheFirst) {
      invariant(lo >= this.firstIndex(), `entry ${lo} was purged, the log begins at ${this.firstIndex()}`);
      const read = this.#reader.entries(lo, Math.min(hi, this.#cacheFirst), maxBytes);
      invariant(read.length > 0 && read[0]!.index === lo, `the log reader gave no entry ${lo}`);
      return read;
    }
    let end = lo;
    let bytes = 0;
    while (end < hi) {
      bytes += this.#cached(end).sizeBytes;
      if (bytes > maxBytes && end > lo) break;
      end++;
    }
    const offset = this.#head - this.#cacheFirst;
    return this.#cache.slice(lo + offset, end + offset);
  }

  append(entry: Entry): void {
    invariant(entry.index === this.last + 1, `append ${entry.index} after ${this.last}`);
    invariant(entry.term >= this.lastTerm, `append of term ${entry.term} after term ${this.lastTerm}`);
    this.#cache.push(entry);
    this.#cacheBytes += entry.data.length + ENTRY_OVERHEAD_BYTES;
    this.last = entry.index;
    this.lastTerm = entry.term;
  }

  /** Drops everything at and after `index`. The caller knows that it is not committed. */
  truncateFrom(index: Index): void {
    const term = this.term(index - 1);
    invariant(term !== null, `truncation at ${index}, but ${index - 1} is unknown`);
    if (index >= this.#cacheFirst) {
      const kept = this.#head + index - this.#cacheFirst;
      for (const entry of this.#cache.slice(kept)) this.#cacheBytes -= entry.data.length + ENTRY_OVERHEAD_BYTES;
      this.#cache.length = kept;
    } else {
      this.#clearCache(index);
    }
    this.last = index - 1;
    this.lastTerm = term;
    this.stable = Math.min(this.stable, this.last);
    if (index > this.#written) return;
    this.#written = this.last;
    this.#pendingTruncate = Math.min(this.#pendingTruncate ?? index, index);
    this.#epoch++;
  }

  /** The state at `snapshot` takes the place of everything: of the log only what follows it will be kept. */
  installSnapshot(snapshot: SnapshotMeta, commit: Index): void {
    this.#anchor = { index: snapshot.index, term: snapshot.term };
    this.#clearCache(snapshot.index + 1);
    this.#pendingTruncate = Math.min(this.#pendingTruncate ?? commit + 1, commit + 1);
    this.#epoch++;
    this.last = snapshot.index;
    this.lastTerm = snapshot.term;
    this.stable = Math.min(this.stable, commit);
    this.#written = snapshot.index;
  }

  /** What must be written next, with the mark to return when it is durable. */
  takeUnwritten(): { truncateFrom: Index | null; append: readonly Entry[] } {
    const append = this.last > this.#written ? this.entries(this.#written + 1, this.last + 1, Number.MAX_VALUE) : [];
    const truncateFrom = this.#pendingTruncate;
    this.#written = this.last;
    this.#pendingTruncate = null;
    return { truncateFrom, append };
  }

  mark(): WriteMark {
    return { epoch: this.#epoch, index: this.last, term: this.lastTerm };
  }

  /** Everything up to `mark` is durable, unless the log was cut since: then a later write's report will say so. */
  persisted(mark: WriteMark): void {
    if (mark.epoch !== this.#epoch) return;
    const term = this.term(mark.index);
    invariant(term === mark.term, `write ended at ${mark.index}@${mark.term}, the log has term ${term} there`);
    this.stable = Math.max(this.stable, mark.index);
    this.#trimCache();
  }

  /**
   * The largest index in floor..from whose term is <= `term`, or floor-1 when there is none. Terms never fall along a log,
   * so this halves the range instead of walking it (scenario 18).
   */
  lastIndexUpToTerm(from: Index, term: Term, floor: Index): Index {
    let lo = floor - 1;
    let hi = from;
    while (lo < hi) {
      const middle = Math.ceil((lo + hi) / 2);
      const there = this.term(middle);
      if (there !== null && there <= term) lo = middle;
      else hi = middle - 1;
    }
    return lo;
  }

  #cached(index: Index): Entry {
    return this.#cache[this.#head + index - this.#cacheFirst]!;
  }

  #clearCache(first: Index): void {
    this.#cache = [];
    this.#head = 0;
    this.#cacheFirst = first;
    this.#cacheBytes = 0;
  }

  #trimCache(): void {
    while (this.#cacheBytes > this.#cacheBytesMax && this.#cacheFirst <= this.stable) {
      this.#cacheBytes -= this.#cache[this.#head]!.data.length + ENTRY_OVERHEAD_BYTES;
      this.#head++;
      this.#cacheFirst++;
    }
    if (this.#head >= DEAD_FRONT_MAX && this.#head * 2 >= this.#cache.length) {
      this.#cache = this.#cache.slice(this.#head);
      this.#head = 0;
    }
  }
}
