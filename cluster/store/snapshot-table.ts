// Snapshots of the applied state, in chunks. A snapshot exists once its row does: the row is written last, with the hash of all
// chunks. The founding "snapshot" at index 0 has no row and no state: only a membership.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Statement } from 'better-sqlite3';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { membershipSchema } from '../../codec/raft-messages.ts';
import type { Membership, SnapshotMeta } from '../raft/types.ts';
import { CHAIN_START } from './checksum.ts';
import { DamageError, type Db, isBlob } from './database.ts';

/** The newest is served; the one before it is kept until the next, for whoever is in the middle of reading it. */
const NEWEST_KEPT = 2;
/** The oldest is where replaying starts once history has no beginning; the one after it is its successor when that grows too long. */
const OLDEST_KEPT = 2;

export interface Snapshot {
  readonly meta: SnapshotMeta;
  /** Chain hash of the entry at meta.index. */
  readonly chain: Uint8Array;
  readonly chunkCount: number;
  readonly size: number;
  /** SHA-256 of all chunks, one after the other. */
  readonly hash: Uint8Array;
}

interface SnapshotRow {
  log_index: number;
  term: number;
  membership: Buffer;
  chain: Buffer;
  chunk_count: number;
  size: number;
  hash: Buffer;
  checksum: number;
}

export class SnapshotTable {
  readonly #insert: Statement;
  readonly #insertChunk: Statement<[number, number, Uint8Array]>;
  readonly #dropChunks: Statement<[number]>;
  readonly #chunk: Statement<[number, number], { data: Buffer }>;
  readonly #delete: Statement<[number]>;
  readonly #deleteOrphans: Statement<[number]>;
  readonly #last: Statement<[], SnapshotRow>;
  readonly #firstRow: Statement<[], { first: number | null }>;
  readonly #every: Statement<[], SnapshotRow>;
  #newest: Snapshot;
  #keepOldest = false;

  constructor(db: Db, founding: Membership) {
    this.#insert = db.prepare(`INSERT OR REPLACE INTO snapshots
      (log_index, term, membership, chain, chunk_count, size, hash, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#insertChunk = db.prepare(
      'INSERT OR REPLACE INTO snapshot_chunks (log_index, position, data) VALUES (?, ?, ?)',
    );
    this.#dropChunks = db.prepare('DELETE FROM snapshot_chunks WHERE log_index = ?');
    this.#chunk = db.prepare('SELECT data FROM snapshot_chunks WHERE log_index = ? AND position = ?');
    this.#delete = db.prepare('DELETE FROM snapshots WHERE log_index = ?');
    this.#firstRow = db.prepare('SELECT min(log_index) AS first FROM entries');
    this.#every = db.prepare('SELECT * FROM snapshots ORDER BY log_index');
    this.#deleteOrphans = db.prepare(`DELETE FROM snapshot_chunks WHERE log_index < ? AND log_index NOT IN
      (SELECT log_index FROM snapshots)`);
    this.#last = db.prepare('SELECT * FROM snapshots ORDER BY log_index DESC LIMIT 1');
    this.#newest = this.reload(founding);
  }

  /**
   * Reads again which one is the newest: after a transaction that was rolled back, or when the cluster was founded.
   * @param founding the membership in force at index 0.
   */
  reload(founding: Membership): Snapshot {
    const row = this.#last.get();
    this.#newest = row ? readRow(row) : foundingSnapshot(founding);
    return this.#newest;
  }

  newest(): Snapshot {
    return this.#newest;
  }

  /** One piece of a snapshot in the making; nobody sees it before `complete`. */
  putChunk(index: number, position: number, data: Uint8Array): void {
    this.#insertChunk.run(index, position, data);
  }

  dropChunks(index: number): void {
    if (index !== this.#newest.meta.index) this.#dropChunks.run(index);
  }

  /** In the caller's transaction: the snapshot whose chunks are all there becomes the newest. */
  complete(snapshot: Snapshot): void {
    const { meta, chain, chunkCount, size, hash } = snapshot;
    const membership = encodeCbor(meta.membership);
    const row = { log_index: meta.index, term: meta.term, membership, chain, chunk_count: chunkCount, size, hash };
    this.#insert.run(meta.index, meta.term, membership, chain, chunkCount, size, hash, checksumOf(row));
    this.#newest = snapshot;
    const indexes = this.all().map((other) => other.meta.index);
    const oldest = this.#keepOldest || this.#firstRow.get()?.first !== 1 ? OLDEST_KEPT : 0;
    for (const index of indexes.slice(oldest, -NEWEST_KEPT)) this.#delete.run(index);
    this.#deleteOrphans.run(meta.index);
  }

  /** History is going to begin at a snapshot: the oldest ones are kept, as they are where it begins at one already. */
  set keepOldest(keepOldest: boolean) {
    this.#keepOldest = keepOldest;
  }

  /** Oldest first. @throws DamageError */
  all(): Snapshot[] {
    return this.#every.all().map(readRow);
  }

  /** In a transaction of its own: makes the newest snapshot at or before `index` the oldest. @returns its index; 0 without one. */
  anchorFor(index: number): number {
    const indexes = this.all().map(({ meta }) => meta.index);
    const anchor = indexes.findLast((other) => other <= index) ?? 0;
    for (const older of indexes.filter((other) => other < anchor)) {
      this.#delete.run(older);
      this.#dropChunks.run(older);
    }
    return anchor;
  }

  /** @throws DamageError when the chunk is not there. Its bytes are covered by the hash of all of them. */
  chunk(index: number, position: number): Buffer {
    const row = this.#chunk.get(index, position);
    if (!row || !isBlob(row.data)) throw new DamageError(`chunk ${position} of the snapshot at ${index} is missing`);
    return row.data;
  }

  /** The chunks of a snapshot, verified as a whole: whoever takes them all knows at the end. None for the founding one. */
  *chunks({ meta, chunkCount, hash }: Snapshot): Generator<Buffer> {
    const sum = createHash('sha256');
    for (let position = 0; position < chunkCount; position++) {
      const chunk = this.chunk(meta.index, position);
      sum.update(chunk);
      yield chunk;
    }
    if (!sum.digest().equals(hash)) throw new DamageError(`the snapshot at ${meta.index}`);
  }
}

export function hashOfChunks(chunks: Iterable<Uint8Array>): Buffer {
  const sum = createHash('sha256');
  for (const chunk of chunks) sum.update(chunk);
  return sum.digest();
}

function foundingSnapshot(membership: Membership): Snapshot {
  return {
    meta: { index: 0, term: 0, membership },
    chain: CHAIN_START,
    chunkCount: 0,
    size: 0,
    hash: hashOfChunks([]),
  };
}

function readRow(row: SnapshotRow): Snapshot {
  const isWellFormed = [row.membership, row.chain, row.hash].every(isBlob);
  if (!isWellFormed || checksumOf(row) !== row.checksum)
    throw new DamageError(`the record of the snapshot at ${row.log_index}`);
  const membership = decodeCbor(row.membership, membershipSchema, 'membership');
  return {
    meta: { index: row.log_index, term: row.term, membership },
    chain: row.chain,
    chunkCount: row.chunk_count,
    size: row.size,
    hash: row.hash,
  };
}

function checksumOf(row: Omit<SnapshotRow, 'checksum' | 'membership' | 'chain' | 'hash'> & Blobs): number {
  const numbers = `${row.log_index} ${row.term} ${row.chunk_count} ${row.size}`;
  return crc32(row.hash, crc32(row.chain, crc32(row.membership, crc32(numbers))));
}
interface Blobs {
  membership: Uint8Array;
  chain: Uint8Array;
  hash: Uint8Array;
}
