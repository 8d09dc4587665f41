/**
 * A disk for tests: what a Write made durable, and the LogReader over it. A crash loses whatever was not written, nothing else.
 */
import assert from 'node:assert';
import type {
  Entry,
  HardState,
  Index,
  LogReader,
  Membership,
  SnapshotMeta,
  Term,
  Write,
} from '../../cluster/raft/types.ts';

export class MemoryStore implements LogReader {
  hardState: HardState = { term: 0, vote: null };
  meta: SnapshotMeta;
  /** The state machine's bytes at `meta`: the commands applied so far. */
  snapshotState: readonly string[] = [];
  #entries: Entry[] = [];
  /** Index and term before the first entry kept. */
  #base = { index: 0, term: 0 };
  /** Bytes of snapshots that were received and not installed, by index. */
  readonly received = new Map<Index, readonly string[]>();
  /** Entries handed out, to see that a core does not read the whole log. */
  entriesRead = 0;

  constructor(membership: Membership) {
    this.meta = { index: 0, term: 0, membership };
  }

  write(write: Write): void {
    if (write.hardState !== null) this.hardState = write.hardState;
    if (write.truncateFrom !== null) this.#entries.length = Math.max(0, write.truncateFrom - 1 - this.#base.index);
    if (write.snapshot !== null) {
      const state = this.received.get(write.snapshot.index);
      assert(state !== undefined, `snapshot ${write.snapshot.index} was never received`);
      this.meta = write.snapshot;
      this.snapshotState = state;
      this.#entries = [];
      this.#base = { index: write.snapshot.index, term: write.snapshot.term };
    }
    for (const entry of write.append) {
      assert.equal(entry.index, this.lastIndex() + 1, 'a write leaves a gap');
      this.#entries.push(entry);
    }
  }

  /** Takes a snapshot at `index` and forgets the entries through `purgeTo`. */
  compact(index: Index, membership: Membership, state: readonly string[], purgeTo: Index): void {
    assert(purgeTo <= index);
    this.meta = { index, term: this.term(index)!, membership };
    this.snapshotState = state;
    if (purgeTo <= this.#base.index) return;
    const base = { index: purgeTo, term: this.term(purgeTo)! };
    this.#entries = this.#entries.filter((entry) => entry.index > purgeTo);
    this.#base = base;
  }

  /** A damaged file: everything at and after `index` cannot be read any more. */
  damageFrom(index: Index): void {
    this.#entries.length = index - 1 - this.#base.index;
  }

  firstIndex(): Index {
    return this.#base.index + 1;
  }

  lastIndex(): Index {
    return this.#base.index + this.#entries.length;
  }

  term(index: Index): Term | null {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - 1 - this.#base.index]?.term ?? null;
  }

  entries(lo: Index, hi: Index, maxBytes: number): readonly Entry[] {
    assert(this.firstIndex() <= lo);
    assert(lo < hi);
    assert(hi <= this.lastIndex() + 1, `read to ${hi}, durable to ${this.lastIndex()}`);
    const picked: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#entries.slice(lo - 1 - this.#base.index, hi - 1 - this.#base.index)) {
      bytes += entry.sizeBytes;
      if (bytes > maxBytes && picked.length > 0) break;
      picked.push(entry);
    }
    this.entriesRead += picked.length;
    return picked;
  }

  configEntries(): readonly Entry[] {
    return this.#entries.filter((entry) => entry.kind === 'config');
  }

  snapshot(): SnapshotMeta {
    return this.meta;
  }

  all(): readonly Entry[] {
    return this.#entries;
  }
}
