// Snapshots between trackers. The leader streams the newest one, a chunk a call; the follower restores it into a state of its own as
// it arrives, fetches the manifests that it lacks, verifies every hash, and only then shows it to its core.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import type { SnapshotHeader } from '../../codec/tracker-link.ts';
import type { InstallSnapshot } from '../raft/messages.ts';
import type { NodeId } from '../raft/types.ts';
import { manifestHashes } from '../state/lookups.ts';
import { SnapshotReader } from '../state/restore.ts';
import type { State } from '../state/state.ts';
import { isDamage } from '../store/database.ts';
import type { Snapshot } from '../store/snapshot-table.ts';
import type { Store } from '../store/store.ts';
import { sha256 } from './digest.ts';
import type { ReceivedSnapshot } from './driver.ts';
import type { LinkConnection } from './link.ts';
import type { Links } from './links.ts';

/** One chunk, or the end with all missing manifests. A receiver that stands still holds the stream no longer than this. */
const CALL_MS = 30_000;
/** Manifests are fetched this many at a time and written in one transaction. */
const MANIFESTS_AT_ONCE = 32;
/** After the last sign of a stream: the end fetches manifests, and installing takes a moment. */
const BUSY_MS = 2 * CALL_MS;

/** The leader's side. One stream a receiver; a new one replaces the old. */
export class SnapshotSender {
  readonly #store: Store;
  readonly #links: Links;
  readonly #log: Logger;
  readonly #onDamage: (error: Error) => void;
  readonly #streams = new Map<NodeId, symbol>();

  /** @param onDamage what is stored of the snapshot is not what was written: this node's data cannot be trusted. */
  constructor(store: Store, links: Links, log: Logger, onDamage: (error: Error) => void) {
    this.#store = store;
    this.#links = links;
    this.#log = log;
    this.#onDamage = onDamage;
  }

  /** Streams to `message.to`; `done` is not called for a stream that was replaced. */
  async send(message: InstallSnapshot, done: (index: number, ok: boolean) => void): Promise<void> {
    const own = Symbol();
    const { to, term } = message;
    this.#streams.set(to, own);
    const isCurrent = () => this.#streams.get(to) === own;
    const snapshot = this.#store.snapshots.newest();
    const { index } = snapshot.meta;
    try {
      const rpc = this.#links.byNode(to)?.rpc;
      if (!rpc) throw new MtError('TRACKER_UNREACHABLE', 'no link to the receiver');
      this.#log.info({ index, size: snapshot.size }, 'sends a snapshot');
      await this.#stream(rpc, snapshot, term, isCurrent);
      if (isCurrent()) done(index, true);
    } catch (error) {
      if (isDamage(error) || isMtError(error, 'INTEGRITY')) this.#verify(snapshot);
      if (!isCurrent()) return;
      this.#log.warn({ index, error: toMtError(error).message }, 'a snapshot was not taken');
      done(index, false);
    } finally {
      if (isCurrent()) this.#streams.delete(to);
    }
  }

  /** The receiver sees a wrong chunk before the hash of all can show it here. An older snapshot may have been removed meanwhile. */
  #verify(snapshot: Snapshot): void {
    if (this.#store.snapshots.newest() !== snapshot) return;
    try {
      for (const _ of this.#store.snapshots.chunks(snapshot));
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#onDamage(error);
    }
  }

  async #stream(rpc: LinkConnection, snapshot: Snapshot, term: number, isCurrent: () => boolean): Promise<void> {
    const { meta, chain, chunkCount, size, hash } = snapshot;
    const { voters, learners, info } = meta.membership;
    const header = {
      meta: { ...meta, membership: { voters: [...voters], learners: [...learners], info: { ...info } } },
      chain,
      chunk_count: chunkCount,
      size,
      hash,
    };
    const { index } = meta;
    await rpc.call('snapshot_begin', header, { timeoutMs: CALL_MS });
    let position = 0;
    for (const data of this.#store.snapshots.chunks(snapshot)) {
      if (!isCurrent()) return;
      await rpc.call('snapshot_chunk', { index, position, data }, { timeoutMs: CALL_MS });
      position++;
    }
    if (isCurrent()) await rpc.call('snapshot_end', { index, term }, { timeoutMs: CALL_MS });
  }
}

interface Receiving {
  readonly header: SnapshotHeader;
  readonly reader: SnapshotReader;
  readonly hash: ReturnType<typeof createHash>;
  position: number;
  size: number;
}

/** The follower's side. One snapshot at a time: a new header forgets an unfinished one. */
export class SnapshotReceiver {
  readonly #store: Store;
  readonly #links: Links;
  #receiving: Receiving | null = null;
  #busyUntilMs = 0;

  constructor(store: Store, links: Links) {
    this.#store = store;
    this.#links = links;
  }

  /** A snapshot is on its way, or has come and may not be installed yet. */
  get isBusy(): boolean {
    return performance.now() < this.#busyUntilMs;
  }

  begin(header: SnapshotHeader): void {
    this.#busyUntilMs = performance.now() + BUSY_MS;
    if (this.#receiving) this.#store.snapshots.dropChunks(this.#receiving.header.meta.index);
    const hash = createHash('sha256');
    this.#receiving = { header, reader: new SnapshotReader(sha256), hash, position: 0, size: 0 };
  }

  chunk(index: number, position: number, data: Uint8Array): void {
    const receiving = this.#require(index);
    this.#busyUntilMs = performance.now() + BUSY_MS;
    if (position !== receiving.position) {
      throw new MtError('PROTOCOL', `snapshot chunk: expected ${receiving.position}, got ${position}`);
    }
    receiving.reader.push(data);
    receiving.hash.update(data);
    receiving.size += data.length;
    receiving.position++;
    // The one that is served now may be the very same: its chunks are in place already.
    if (index === this.#store.snapshots.newest().meta.index) return;
    this.#store.transaction(() => this.#store.snapshots.putChunk(index, position, data));
  }

  /** @throws MtError INTEGRITY when it is not what the header says, or a manifest cannot be had. */
  async end(index: number, from: NodeId): Promise<ReceivedSnapshot> {
    const { header, reader, hash, position, size } = this.#require(index);
    this.#busyUntilMs = performance.now() + BUSY_MS;
    this.#receiving = null;
    const state = reader.finish();
    const { meta, chain, chunk_count: chunkCount } = header;
    const fits = position === chunkCount && size === header.size && hash.digest().equals(header.hash);
    if (!fits || state.index !== meta.index) throw new MtError('INTEGRITY', 'The snapshot is not what its header says');
    await this.#fetchManifests(state, from);
    return { snapshot: { meta, chain, chunkCount, size, hash: header.hash }, state };
  }

  async #fetchManifests(state: State, from: NodeId): Promise<void> {
    let missing: Uint8Array[] = [];
    for (const hash of manifestHashes(state)) {
      if (this.#store.manifests.has(hash)) continue;
      missing.push(hash);
      if (missing.length < MANIFESTS_AT_ONCE) continue;
      await this.#fetch(missing, from);
      missing = [];
    }
    if (missing.length > 0) await this.#fetch(missing, from);
  }

  async #fetch(hashes: readonly Uint8Array[], from: NodeId): Promise<void> {
    const rpc = this.#links.byNode(from)?.rpc;
    if (!rpc) throw new MtError('TRACKER_UNREACHABLE', 'no link to the sender of the snapshot');
    const found = await Promise.all(hashes.map((hash) => rpc.call('get_manifest', { hash }, { timeoutMs: CALL_MS })));
    this.#store.transaction(() => {
      for (const [at, { manifest: bytes }] of found.entries()) {
        const hash = hashes[at]!;
        if (!bytes || !Buffer.from(sha256(bytes)).equals(hash))
          throw new MtError('INTEGRITY', 'A manifest is not right');
        this.#store.manifests.put({ hash, bytes });
      }
    });
  }

  #require(index: number): Receiving {
    if (this.#receiving?.header.meta.index === index) return this.#receiving;
    throw new MtError('PROTOCOL', `no snapshot at ${index} is under way here`);
  }
}
