// Takes snapshots of the applied state every so many entries, one chunk at a time so that the loop stays free, and then lets the
// log begin later. History stays in the database for the audit.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Membership } from '../raft/types.ts';
import { manifestInUse } from '../state/lookups.ts';
import { countRecords, takeSnapshot } from '../state/snapshot.ts';
import type { Snapshot } from '../state/types.ts';
import { isDiskFull } from '../store/database.ts';
import type { Store } from '../store/store.ts';
import { sha256 } from './digest.ts';
import type { Driver } from './driver.ts';
import { SNAPSHOT_CHUNK_PAUSE_MS, type SnapshotSettings } from './settings.ts';

/**
 * Reading so many rows of a snapshot takes as long as applying one entry. So a start takes at most twice as long as reading the state,
 * however large that is, and what snapshots cost a command does not grow with it.
 */
const ROWS_PER_ENTRY = 16;
/** After a full disk. */
const RETRY_MS = 10_000;

interface Making {
  readonly snapshot: Snapshot;
  readonly term: number;
  readonly membership: Membership;
  readonly hash: ReturnType<typeof createHash>;
  /** Manifests that no file has at that index. */
  readonly unused: readonly Uint8Array[];
  readonly startedMs: number;
  chunkCount: number;
  size: number;
}

export class SnapshotMaker {
  readonly #store: Store;
  readonly #driver: Driver;
  readonly #log: Logger;
  readonly #settings: SnapshotSettings;
  readonly #isReceiving: () => boolean;
  #making: Making | null = null;
  #timer: NodeJS.Timeout | undefined;
  #retryAtMs = 0;

  /** @param isReceiving whether a snapshot from the leader is on its way: its manifests come before its state. */
  constructor(store: Store, driver: Driver, log: Logger, settings: SnapshotSettings, isReceiving: () => boolean) {
    this.#isReceiving = isReceiving;
    this.#store = store;
    this.#driver = driver;
    this.#log = log;
    this.#settings = settings;
  }

  /** Starts one when enough was applied since the last. */
  look(): void {
    const { state, isDiskFull: noRoom } = this.#driver;
    if (this.#making || noRoom || state.witness !== null || performance.now() < this.#retryAtMs) return;
    const due = Math.max(this.#settings.everyEntries, countRecords(state) / ROWS_PER_ENTRY);
    if (state.index - this.#store.snapshots.newest().meta.index < due) return;
    this.#making = {
      snapshot: takeSnapshot(state, sha256),
      term: this.#store.log.term(state.index)!,
      membership: this.#driver.appliedMembership,
      hash: createHash('sha256'),
      unused: this.#isReceiving()
        ? []
        : this.#store.manifests.unused(state.manifests.size, (hash) => manifestInUse(state, hash)),
      startedMs: performance.now(),
      chunkCount: 0,
      size: 0,
    };
    this.#next();
  }

  /** The state was replaced, or the tracker stops: what is half done is of no use. */
  abandon(): void {
    clearTimeout(this.#timer);
    this.#making?.snapshot.close();
    this.#making = null;
  }

  #next(): void {
    const making = this.#making;
    if (!making) return;
    const chunk = making.snapshot.next();
    if (chunk === null) {
      this.#making = null;
      this.#complete(making);
      return;
    }
    making.hash.update(chunk);
    try {
      // The snapshot's own row, written last, makes all of its chunks durable with it.
      this.#store.transactionUnsynced(() =>
        this.#store.snapshots.putChunk(making.snapshot.index, making.chunkCount, chunk),
      );
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    making.chunkCount++;
    making.size += chunk.length;
    this.#timer = setTimeout(() => this.#next(), SNAPSHOT_CHUNK_PAUSE_MS);
  }

  /** No room for a snapshot is no harm yet: the log is still there. Anything else is the end. */
  #giveUp(error: unknown): void {
    this.abandon();
    if (!isDiskFull(error)) throw error;
    this.#retryAtMs = performance.now() + RETRY_MS;
    this.#log.warn('no room for a snapshot');
  }

  #complete({ snapshot, term, membership, hash, chunkCount, size, startedMs, unused }: Making): void {
    const { index } = snapshot;
    const meta = { index, term, membership };
    const chain = this.#store.log.chainAt(index);
    let dropped = 0;
    try {
      const made = { meta, chain, chunkCount, size, hash: hash.digest() };
      // What is in use again, or was fetched for a snapshot on its way to us, stays.
      const { state } = this.#driver;
      const gone = this.#isReceiving() ? [] : unused.filter((manifest) => !manifestInUse(state, manifest));
      dropped = this.#store.completeSnapshot(made, this.#settings.entriesKept, gone);
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    this.#log.info({ index, size, tookMs: Math.round(performance.now() - startedMs), dropped }, 'snapshot taken');
  }
}
