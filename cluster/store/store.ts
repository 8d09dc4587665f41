// All that one tracker keeps, in one SQLite file: identity, hard state, log, snapshots, manifests. One durable transaction a batch.
// Any write error but a full disk ends the process: after a failed fsync nobody knows what the disk holds (scenario 37).
import assert from 'node:assert';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import type { Entry, HardState, Index, Membership, NodeInfo, Write } from '../raft/types.ts';
import { detach } from './attachments.ts';
import { DamageError, type Db, isDiskFull, openDatabase } from './database.ts';
import { DurableMark } from './durable-mark.ts';
import { EventLog } from './event-log.ts';
import { History } from './history.ts';
import { ManifestTable } from './manifest-table.ts';
import { type Identity, type Member, type RecordOf, RecordTable } from './record-table.ts';
import { type Snapshot, SnapshotTable } from './snapshot-table.ts';
import { WalSync } from './wal-sync.ts';

export const DATABASE_FILE = 'tracker.sqlite';
export const MARK_FILE = 'promised';
/** The commit index is only a hint of how far a restart may apply at once: it need not cost every batch a page. */
const COMMIT_NOTED_EVERY = 500;

export interface Batch {
  readonly writes: readonly Write[];
  /** What is known to be committed; stored along now and then, so that a restart need not ask before it applies. */
  readonly commit: Index;
  /** The received snapshot at that index, which one of the writes installs. */
  readonly received: (index: Index) => Snapshot | null;
}

export class Store {
  readonly #db: Db;
  readonly #records: RecordTable;
  readonly #mark: DurableMark;
  readonly #wal: WalSync;
  readonly manifests: ManifestTable;
  #identity: Identity;
  #hardState: HardState & { commit: Index };
  #mayVote: boolean;
  readonly snapshots: SnapshotTable;
  readonly log: EventLog;
  readonly history: History;
  /** Told how long each commit took to be durable, in ms: the disk's fsync. */
  onCommit: ((elapsedMs: number) => void) | null = null;

  /**
   * Opens the data directory of tracker `number`, or makes it.
   * @param newIncarnation 32 random hex digits, used when the directory is new.
   * @throws MtError INVALID_ARGUMENT when it belongs to another number; DamageError when it cannot be trusted.
   */
  constructor(dataDir: string, number: number, newIncarnation: string) {
    this.#db = openDatabase(join(dataDir, DATABASE_FILE));
    this.#wal = new WalSync(this.#db, join(dataDir, DATABASE_FILE));
    this.#records = new RecordTable(this.#db);
    this.manifests = new ManifestTable(this.#db);
    const known = this.#records.read('identity');
    if (known && known.number !== number) {
      throw new MtError(
        'INVALID_ARGUMENT',
        `The data directory ${dataDir} belongs to tracker ${known.number}, not ${number}`,
        'Give each tracker its own --data-dir.',
      );
    }
    if (this.#records.read('removed')) throw wasRemoved(number);
    this.#identity = known
      ? { ...known, boot: known.boot + 1 }
      : { number, incarnation: newIncarnation, cluster_id: null, founding: null, boot: 1 };
    this.#records.write('identity', this.#identity);
    this.#hardState = this.#records.read('hard_state') ?? { term: 0, vote: null, commit: 0 };
    this.#mayVote = this.#records.read('fitness')?.may_vote ?? true;
    this.snapshots = new SnapshotTable(this.#db, this.#foundingMembership());
    this.log = new EventLog(this.#db, this.#records, this.manifests, this.snapshots);
    this.history = new History(this.#db, this.log, this.snapshots);
    if (!known && !this.origin && this.log.lastIndex() > 0) throw new DamageError('the identity is gone');
    this.#mark = new DurableMark(join(dataDir, MARK_FILE));
    this.#checkMark();
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** What this directory is a copy of, until it belongs to a cluster; null when it is none. */
  get origin(): RecordOf<'origin'> | null {
    return this.#records.read('origin');
  }

  get hardState(): HardState & { commit: Index } {
    return this.#hardState;
  }

  get mayVote(): boolean {
    return this.#mayVote;
  }

  /** This tracker belongs to a cluster from now on: a founder (with the first configuration), or taken in later (null). */
  joinCluster(clusterId: string, founding: readonly Member[] | null): void {
    const origin = this.origin;
    if (origin && origin.cluster_id !== clusterId) throw otherOrigin();
    this.#identity = { ...this.#identity, cluster_id: clusterId, founding: founding ? [...founding] : null };
    this.transaction(() => {
      this.#records.write('identity', this.#identity);
      this.#records.drop('origin');
    });
    this.#reload();
  }

  /**
   * Makes a batch durable in one transaction.
   * @returns false when the disk is full: nothing was written, the same batch may be tried again.
   */
  commit(batch: Batch): boolean {
    // A log that is cut promises less: said before it is cut, so that a crash in between is no false alarm.
    if (batch.writes.some(({ truncateFrom }) => truncateFrom !== null)) this.#promise(batch.writes);
    this.#wal.begin();
    try {
      for (const write of batch.writes) this.#write(write, batch.received);
      const noted = this.#hardState.commit;
      if (batch.commit >= noted + COMMIT_NOTED_EVERY) this.#writeHardState(this.#hardState, batch.commit);
      const startedAtMs = performance.now();
      this.#wal.commit();
      this.onCommit?.(performance.now() - startedAtMs);
      this.#promise([]);
      for (const { append } of batch.writes) dropAttachments(append);
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#wal.rollback();
      this.#hardState = this.#records.read('hard_state') ?? { term: 0, vote: null, commit: 0 };
      this.#reload(); // what is remembered of the batch is not so
      return false;
    }
  }

  /** So that a restart, and whoever reads this file, knows how far the log is decided although nothing more was written. */
  noteCommit(commit: Index): void {
    if (commit <= this.#hardState.commit) return;
    try {
      this.#writeHardState(this.#hardState, commit);
    } catch (error) {
      if (!isDiskFull(error)) throw error; // only a hint: the next one will do
    }
  }

  /**
   * Own snapshot taken: keep `entriesKept` entries before it for followers that are a little behind.
   * @param unused manifests that no file of this state has; those that kept entries name stay as well.
   * @returns how many manifests were deleted.
   */
  completeSnapshot(snapshot: Snapshot, entriesKept: number, unused: readonly Uint8Array[]): number {
    try {
      return this.transaction(() => {
        this.snapshots.complete(snapshot);
        // Rows a little before the log's start may still be in the core's memory, and on their way to a slow follower.
        const named = this.manifests.namedAfter(snapshot.meta.index - 2 * entriesKept);
        const dropped = unused.filter((hash) => !named.has(Buffer.from(hash).toString('hex')));
        this.manifests.delete(dropped);
        const start = snapshot.meta.index - entriesKept;
        if (start >= this.log.firstIndex()) this.log.startAfter(start, this.log.term(start)!, this.log.chainAt(start));
        return dropped.length;
      });
    } catch (error) {
      this.#reload();
      throw error;
    }
  }

  /** A durable transaction of the caller's own, such as chunks of a snapshot. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work)();
  }

  /** As `transaction`, for what counts for nothing until a later one names it: durable together with that. */
  transactionUnsynced(work: () => void): void {
    this.#wal.begin();
    try {
      work();
      this.#wal.commitUnsynced();
    } catch (error) {
      this.#wal.rollback();
      throw error;
    }
  }

  /** For good: a later start is refused. */
  noteRemoved(): void {
    const { cluster_id } = this.#identity;
    assert(cluster_id !== null);
    this.#records.write('removed', { cluster_id });
  }

  setMayVote(mayVote: boolean): void {
    this.#mayVote = mayVote;
    this.#records.write('fitness', { may_vote: mayVote });
  }

  /** A quota in SQLite pages: beyond it the disk counts as full. */
  limitPages(pages: number): void {
    this.#db.pragma(`max_page_count = ${pages}`);
  }

  close(): void {
    this.#mark.close();
    this.#wal.close();
    this.#db.close();
  }

  #write(write: Write, received: Batch['received']): void {
    if (write.hardState) this.#writeHardState(write.hardState, this.#hardState.commit);
    // Before the snapshot: what it cuts off is not committed history either.
    if (write.truncateFrom !== null) this.log.truncateFrom(write.truncateFrom);
    if (write.snapshot) {
      const snapshot = received(write.snapshot.index);
      if (!snapshot) throw new Error('the snapshot to install is not at hand');
      this.snapshots.complete(snapshot);
      this.log.startAfter(write.snapshot.index, write.snapshot.term, snapshot.chain);
    }
    this.log.append(write.append);
  }

  /** Marks what is durable, but for what `cuts` are about to take away. */
  #promise(cuts: readonly Write[]): void {
    const index = cuts.reduce(
      (last, { truncateFrom }) => Math.min(last, (truncateFrom ?? last + 1) - 1),
      this.log.lastIndex(),
    );
    const { term: hardTerm, vote } = this.#hardState;
    this.#mark.write({ index, term: this.log.term(index) ?? 0, hardTerm, vote });
  }

  /** @throws DamageError when something that was promised is not there any more. */
  #checkMark(): void {
    const promised = this.#mark.read();
    if (!promised) return;
    const { index, term, hardTerm, vote } = promised;
    if (this.log.lastIndex() < index) {
      throw new DamageError(`the log ends at ${this.log.lastIndex()}, but ${index} was promised`);
    }
    const found = this.log.term(index);
    if (found !== null && found < term) throw new DamageError(`log row ${index} is of term ${found}, not ${term}`);
    const own = this.#hardState;
    if (own.term < hardTerm || (own.term === hardTerm && vote !== null && own.vote !== vote)) {
      throw new DamageError(`the vote of term ${hardTerm} is gone`);
    }
  }

  #writeHardState({ term, vote }: HardState, commit: Index): void {
    this.#hardState = { term, vote, commit };
    this.#records.write('hard_state', this.#hardState);
  }

  #reload(): void {
    this.snapshots.reload(this.#foundingMembership());
    this.log.reload();
  }

  #foundingMembership(): Membership {
    return membershipOf(this.#identity.founding ?? []);
  }
}

function wasRemoved(number: number): MtError {
  return new MtError(
    'FORBIDDEN',
    `Tracker ${number} was removed from its cluster`,
    'To have this machine back: mt-trackerd members add IP:PORT, then start it under the new number with an empty data directory.',
  );
}

function otherOrigin(): MtError {
  return new MtError(
    'UNTRUSTED_CLUSTER',
    'This data directory holds a backup of another cluster',
    'Start with an empty data directory to join this one.',
  );
}

/** The first configuration: all founders vote. */
function membershipOf(members: readonly Member[]): Membership {
  const info: Record<string, NodeInfo> = {};
  for (const { number, incarnation, host, port } of members) info[incarnation] = { number, host, port };
  return { voters: members.map((member) => member.incarnation), learners: [], info };
}

function dropAttachments(entries: readonly Entry[]): void {
  for (const { data, sizeBytes } of entries) if (sizeBytes > data.length) detach(data);
}
