// A model of one tracker's disk: writes are transactions that become durable in order, some time after they are submitted.
// A crash keeps a random prefix of what was under way; a lying disk may lose durable rows too; a byte may rot.
// What stands outside the database (the durable mark, the boot counter) survives all of that but a wipe.
import type { Entry, HardState, Index, LogReader, SnapshotMeta, Write } from '../../cluster/raft/types.ts';
import type { Prng } from './prng.ts';
import type { World } from './world.ts';

/** A durable snapshot with the state machine's bytes. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly state: Uint8Array;
}

interface Submitted {
  readonly write: Write;
  readonly snapshotState: Uint8Array | null;
  readonly onDurable: () => void;
}

/** What a start finds on the disk. */
export interface Recovered {
  readonly boot: number;
  readonly hardState: HardState;
  readonly mayVote: boolean;
  readonly snapshot: StoredSnapshot;
  /** In words, for the timeline: what was wrong, if anything. */
  readonly damage: string | null;
}

export class DamagedRow extends Error {}

export class SimDisk {
  /** Median time of one durable transaction, virtual ms. */
  latencyMs = 1;
  /** No transaction ends before this time: a stalled disk. */
  stalledUntil = 0;
  full = false;
  readonly #world: World;
  readonly #random: Prng;
  #hardState: HardState = { term: 0, vote: null };
  #snapshot: StoredSnapshot;
  /** entries[i].index = #first + i. Invariant: #first <= snapshot index + 1. */
  #entries: Entry[] = [];
  #first: Index = 1;
  /** Term of the entry before #first. */
  #termBefore = 0;
  /** Indexes of rows with a flipped byte: a checksum finds them when they are read. */
  readonly #rotten = new Set<Index>();
  /** Outside the database: the last index that was ever promised, and whether this node may vote. */
  #mark: Index = 0;
  #mayVote = true;
  #boot = 0;
  #queue: Submitted[] = [];
  #busy = false;
  /** Tells timers of before a crash from later ones. */
  #epoch = 0;

  constructor(world: World, random: Prng, founding: StoredSnapshot) {
    this.#world = world;
    this.#random = random;
    this.#snapshot = founding;
    this.#first = founding.meta.index + 1;
    this.#termBefore = founding.meta.term;
  }

  get snapshot(): StoredSnapshot {
    return this.#snapshot;
  }

  get lastIndex(): Index {
    return Math.max(this.#first + this.#entries.length - 1, this.#snapshot.meta.index);
  }

  /** Every durable entry, for the checkers. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get isRotten(): boolean {
    return this.#rotten.size > 0;
  }

  submit(write: Write, snapshotState: Uint8Array | null, onDurable: () => void): void {
    this.#queue.push({ write, snapshotState, onDurable });
    this.#work();
  }

  /** Room again after `full`. */
  makeRoom(): void {
    this.full = false;
    this.#work();
  }

  /** The state machine's snapshot at an applied index; entries up to `purgeTo` go. */
  compact(snapshot: StoredSnapshot, purgeTo: Index): void {
    if (snapshot.meta.index <= this.#snapshot.meta.index) return;
    this.#snapshot = snapshot;
    const drop = Math.min(purgeTo, snapshot.meta.index) - this.#first + 1;
    if (drop <= 0) return;
    this.#termBefore = this.#entries[drop - 1]!.term;
    this.#entries = this.#entries.slice(drop);
    this.#first += drop;
    for (const index of this.#rotten) if (index < this.#first) this.#rotten.delete(index);
  }

  /** The node is whole again. */
  setMayVote(): void {
    this.#mayVote = true;
  }

  /**
   * Power or process lost. A prefix of the submitted writes survives; the one after it is torn, which SQLite undoes.
   * @param lose durable rows at the end that vanish although they were promised (a lying disk).
   */
  crash(lose = 0): void {
    this.#epoch += 1;
    this.#busy = false;
    const kept = this.full ? 0 : this.#random.int(0, this.#queue.length);
    for (const { write, snapshotState } of this.#queue.slice(0, kept)) this.#commit(write, snapshotState);
    this.#queue = [];
    const losable = Math.max(0, this.lastIndex - this.#snapshot.meta.index);
    const lost = Math.min(lose, losable, this.#entries.length);
    if (lost > 0) this.#entries = this.#entries.slice(0, this.#entries.length - lost);
  }

  /** Flips a byte in a random durable row. @returns its index, or null when there is none. */
  rot(): Index | null {
    if (this.#entries.length === 0) return null;
    const index = this.#first + this.#random.int(0, this.#entries.length - 1);
    if (index <= this.#snapshot.meta.index) return null;
    this.#rotten.add(index);
    return index;
  }

  /** Start: reads everything back, checks every row against its checksum and the end against the mark. */
  recover(): Recovered {
    this.#boot += 1;
    let damage: string | null = null;
    const rotten = Math.min(...this.#rotten);
    if (this.#rotten.size > 0) {
      damage = `row ${rotten} is damaged`;
      this.#entries = this.#entries.slice(0, Math.max(0, rotten - this.#first));
      this.#rotten.clear();
    }
    if (this.lastIndex < this.#mark) damage ??= `the log ends at ${this.lastIndex}, but ${this.#mark} was promised`;
    if (damage) {
      this.#mayVote = false;
      this.#mark = this.lastIndex;
    }
    return {
      boot: this.#boot,
      hardState: this.#hardState,
      mayVote: this.#mayVote,
      snapshot: this.#snapshot,
      damage,
    };
  }

  reader(): LogReader {
    const row = (index: Index): Entry => {
      if (this.#rotten.has(index)) throw new DamagedRow(`row ${index}`);
      return this.#entries[index - this.#first]!;
    };
    return {
      firstIndex: () => (this.#entries.length > 0 ? this.#first : this.lastIndex + 1),
      lastIndex: () => this.lastIndex,
      term: (index) => {
        if (index === this.#first - 1) return this.#termBefore;
        if (index === this.#snapshot.meta.index) return this.#snapshot.meta.term;
        const i = index - this.#first;
        return i >= 0 && i < this.#entries.length ? this.#entries[i]!.term : null;
      },
      entries: (lo, hi, maxBytes) => {
        const result: Entry[] = [];
        let bytes = 0;
        for (let index = lo; index < hi; index++) {
          const entry = row(index);
          bytes += entry.sizeBytes;
          if (result.length > 0 && bytes > maxBytes) break;
          result.push(entry);
        }
        return result;
      },
      configEntries: () => this.#entries.filter((entry) => entry.kind === 'config'),
      snapshot: () => this.#snapshot.meta,
    };
  }

  #work(): void {
    if (this.#busy || this.full || this.#queue.length === 0) return;
    this.#busy = true;
    const epoch = this.#epoch;
    const wait = Math.max(0, this.stalledUntil - this.#world.now);
    this.#world.after(wait + this.latencyMs * (0.3 + this.#random.exponential(0.7)), () => {
      if (epoch !== this.#epoch) return;
      this.#busy = false;
      if (this.full) return;
      const { write, snapshotState, onDurable } = this.#queue.shift()!;
      this.#commit(write, snapshotState);
      onDurable();
      this.#work();
    });
  }

  /** What was cut off before it does not come back: the log ends at the snapshot, unless entries that match reach beyond it. */
  #install(snapshot: StoredSnapshot): void {
    const { index, term } = snapshot.meta;
    const end = this.#first + this.#entries.length - 1;
    this.#snapshot = snapshot;
    if (index + 1 >= this.#first && index < end) return;
    this.#entries = [];
    this.#first = index + 1;
    this.#termBefore = term;
  }

  #commit(write: Write, snapshotState: Uint8Array | null): void {
    if (write.hardState) this.#hardState = write.hardState;
    if (write.truncateFrom !== null) {
      this.#entries = this.#entries.slice(0, Math.max(0, write.truncateFrom - this.#first));
      for (const index of this.#rotten) if (index >= write.truncateFrom) this.#rotten.delete(index);
    }
    if (write.snapshot) this.#install({ meta: write.snapshot, state: snapshotState! });
    for (const entry of write.append) {
      if (entry.index !== this.#first + this.#entries.length) {
        throw new Error(`a gap in the log: ${entry.index} after ${this.#first + this.#entries.length - 1}`);
      }
      this.#entries.push(entry);
    }
    this.#mark = this.lastIndex;
  }
}
