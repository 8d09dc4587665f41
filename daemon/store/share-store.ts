// Rows of `shares`: files on this disk that users share from here. Knows SQL and nothing else.
import type { Statement } from 'better-sqlite3';
import type { FileRef, ServableShare } from '../download/types.ts';
import type { Sqlite } from './store.ts';

/** A share without its manifest, which is large: what the registry keeps in memory. */
export interface ShareRecord extends Omit<ServableShare, 'manifest'> {
  readonly userId: string;
  /** The trackers acknowledged it once, so that the group knows the file. */
  readonly published: boolean;
  /** The session under which the trackers know this daemon as a seeder; null: none. */
  readonly announced: string | null;
  /** Pieces found damaged, as in a bitfield message; null: none. */
  readonly rotten: Uint8Array | null;
  /** When all of it was last read and compared; Unix ms, 0: never. */
  readonly scrubbedAtMs: number;
  /** The piece at which an unfinished round of the scrub goes on. */
  readonly scrubNext: number;
  readonly tree: Uint8Array | null;
}

/** What a scrub, a repair or a move changes. */
export type ShareChange = Partial<
  Pick<ShareRecord, 'path' | 'inode' | 'sizeBytes' | 'mtimeNs' | 'rotten' | 'scrubbedAtMs' | 'scrubNext' | 'tree'>
>;

interface Row {
  user_id: string;
  group_id: string;
  file_name: string;
  path: string;
  inode: string;
  size_bytes: number;
  mtime_ns: string;
  manifest_hash: Buffer;
  published: number;
  announced: string | null;
  rotten: Buffer | null;
  scrubbed_at: number;
  scrub_next: number;
  tree: Buffer | null;
}

const COLUMNS = `user_id, group_id, file_name, path, inode, size_bytes, mtime_ns, manifest_hash, published, announced,
  rotten, scrubbed_at, scrub_next, tree`;
const BY_KEY = 'user_id = ? AND group_id = ? AND file_name = ?';

export class ShareStore {
  readonly #insert: Statement<unknown[]>;
  readonly #all: Statement<[], Row>;
  readonly #manifest: Statement<[string, string, string], { manifest: Buffer }>;
  readonly #delete: Statement<[string, string, string]>;
  readonly #announce: Statement<[string, string, string, string]>;
  readonly #change: Statement<unknown[]>;

  constructor(db: Sqlite) {
    this.#insert = db.prepare(
      `INSERT OR REPLACE INTO shares (${COLUMNS}, manifest, added_at) VALUES (${'?, '.repeat(15)}?)`,
    );
    this.#all = db.prepare(`SELECT ${COLUMNS} FROM shares ORDER BY added_at, group_id, file_name`);
    this.#manifest = db.prepare(`SELECT manifest FROM shares WHERE ${BY_KEY}`);
    this.#delete = db.prepare(`DELETE FROM shares WHERE ${BY_KEY}`);
    this.#change = db.prepare(
      `UPDATE shares SET path = ?, inode = ?, size_bytes = ?, mtime_ns = ?, rotten = ?, scrubbed_at = ?, scrub_next = ?, tree = ?
       WHERE ${BY_KEY}`,
    );
    this.#announce = db.prepare(`UPDATE shares SET published = 1, announced = ? WHERE ${BY_KEY}`);
  }

  all(): ShareRecord[] {
    return this.#all.all().map((row) => ({
      userId: row.user_id,
      groupId: row.group_id,
      fileName: row.file_name,
      path: row.path,
      inode: BigInt(row.inode),
      sizeBytes: row.size_bytes,
      mtimeNs: BigInt(row.mtime_ns),
      manifestHash: row.manifest_hash,
      published: row.published === 1,
      announced: row.announced,
      rotten: row.rotten,
      scrubbedAtMs: row.scrubbed_at,
      scrubNext: row.scrub_next,
      tree: row.tree,
    }));
  }

  /** Adds the share, or takes the place of one under the same name. */
  put(record: ShareRecord, manifest: Uint8Array, addedAtMs: number): void {
    this.#insert.run(
      record.userId,
      record.groupId,
      record.fileName,
      record.path,
      String(record.inode),
      record.sizeBytes,
      String(record.mtimeNs),
      record.manifestHash,
      Number(record.published),
      record.announced,
      record.rotten,
      record.scrubbedAtMs,
      record.scrubNext,
      record.tree,
      manifest,
      addedAtMs,
    );
  }

  /** Returns the record as it is now. */
  change(record: ShareRecord, change: ShareChange): ShareRecord {
    const next = { ...record, ...change };
    this.#change.run(
      next.path,
      String(next.inode),
      next.sizeBytes,
      String(next.mtimeNs),
      next.rotten,
      next.scrubbedAtMs,
      next.scrubNext,
      next.tree,
      next.userId,
      next.groupId,
      next.fileName,
    );
    return next;
  }

  manifest(userId: string, file: FileRef): Uint8Array | null {
    return this.#manifest.get(userId, file.groupId, file.fileName)?.manifest ?? null;
  }

  markAnnounced(userId: string, file: FileRef, session: string): void {
    this.#announce.run(session, userId, file.groupId, file.fileName);
  }

  delete(userId: string, file: FileRef): void {
    this.#delete.run(userId, file.groupId, file.fileName);
  }
}
