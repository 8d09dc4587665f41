// Rows of `downloads`: what this daemon downloads and has downloaded, for every user who used it. Verified pieces are not here
// but in each download's map (disk/resume.ts). Writes survive a kill -9 at once and a power loss after `sync`: an fsync in every
// write would hold up the thread that moves the content, by hundreds of milliseconds when the disk is busy.
import type { Statement } from 'better-sqlite3';
import type { FileRef } from '../download/types.ts';
import { quickly, type Sqlite, syncStore } from './store.ts';

/**
 *     downloading ◀──▶ paused          finishing: all pieces are verified, the file is on its way to its final name
 *          └──▶ finishing ──▶ complete
 *     any of these ──▶ failed
 */
export type DownloadPhase = 'downloading' | 'paused' | 'finishing' | 'complete' | 'failed';

export interface DownloadRecord extends FileRef {
  readonly id: number;
  readonly userId: string;
  /** Absolute. */
  readonly destination: string;
  readonly partPath: string;
  readonly force: boolean;
  readonly peer: string | null;
  readonly publisher: string;
  readonly manifestHash: Uint8Array;
  /** Encoded; empty once the download is settled. */
  readonly manifest: Uint8Array;
  readonly sizeBytes: number;
  readonly phase: DownloadPhase;
  readonly reasonCode: string | null;
  readonly reason: string | null;
  readonly inode: bigint | null;
  /** The finished file is surely on the disk. */
  readonly settled: boolean;
  readonly bootId: string | null;
  readonly createdAt: number;
}
export type NewDownload = Omit<
  DownloadRecord,
  'id' | 'phase' | 'reasonCode' | 'reason' | 'inode' | 'settled' | 'bootId'
>;
export type DownloadChange = Partial<
  Pick<DownloadRecord, 'phase' | 'reasonCode' | 'reason' | 'inode' | 'settled' | 'bootId' | 'force'>
>;

interface Row {
  id: number;
  user_id: string;
  group_id: string;
  file_name: string;
  destination: string;
  part_path: string;
  force: number;
  peer: string | null;
  publisher: string;
  manifest_hash: Buffer;
  manifest: Buffer;
  size_bytes: number;
  state: DownloadPhase;
  reason_code: string | null;
  reason: string | null;
  inode: string | null;
  settled: number;
  boot_id: string | null;
  created_at: number;
}

export class DownloadStore {
  readonly #insert: Statement<unknown[]>;
  readonly #all: Statement<[], Row>;
  readonly #update: Statement<unknown[]>;
  readonly #delete: Statement<[number]>;
  readonly #db: Sqlite;

  constructor(db: Sqlite) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT INTO downloads (user_id, group_id, file_name, destination, part_path, force, peer, publisher,
         manifest_hash, manifest, size_bytes, created_at, state, settled)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'downloading', 0)`,
    );
    this.#all = db.prepare('SELECT * FROM downloads ORDER BY id');
    this.#update = db.prepare(
      `UPDATE downloads SET state = ?, reason_code = ?, reason = ?, inode = ?, settled = ?, boot_id = ?, force = ?,
         manifest = iif(? = 1, x'', manifest)
       WHERE id = ?`,
    );
    this.#delete = db.prepare('DELETE FROM downloads WHERE id = ?');
  }

  /** Oldest first. */
  all(): DownloadRecord[] {
    return this.#all.all().map((row) => ({
      id: row.id,
      userId: row.user_id,
      groupId: row.group_id,
      fileName: row.file_name,
      destination: row.destination,
      partPath: row.part_path,
      force: row.force === 1,
      peer: row.peer,
      publisher: row.publisher,
      manifestHash: row.manifest_hash,
      manifest: row.manifest,
      sizeBytes: row.size_bytes,
      phase: row.state,
      reasonCode: row.reason_code,
      reason: row.reason,
      inode: row.inode === null ? null : BigInt(row.inode),
      settled: row.settled === 1,
      bootId: row.boot_id,
      createdAt: row.created_at,
    }));
  }

  add(download: NewDownload): DownloadRecord {
    const { lastInsertRowid } = this.#quickly(
      this.#insert,
      download.userId,
      download.groupId,
      download.fileName,
      download.destination,
      download.partPath,
      Number(download.force),
      download.peer,
      download.publisher,
      download.manifestHash,
      download.manifest,
      download.sizeBytes,
      download.createdAt,
    );
    const blank = { phase: 'downloading', reasonCode: null, reason: null, inode: null, settled: false, bootId: null };
    return { ...download, ...blank, phase: 'downloading', id: Number(lastInsertRowid) };
  }

  /** Returns the record as it is now. */
  change(record: DownloadRecord, change: DownloadChange): DownloadRecord {
    const next = { ...record, ...change };
    this.#quickly(
      this.#update,
      next.phase,
      next.reasonCode,
      next.reason,
      next.inode === null ? null : String(next.inode),
      Number(next.settled),
      next.bootId,
      Number(next.force),
      Number(next.settled),
      next.id,
    );
    return next;
  }

  delete(record: DownloadRecord): void {
    this.#quickly(this.#delete, record.id);
  }

  /** Everything written so far survives a power loss when this returns. Other threads do the waiting. */
  async sync(): Promise<void> {
    await syncStore(this.#db);
  }

  #quickly<P extends unknown[]>(statement: Statement<P>, ...values: P) {
    return quickly(this.#db, () => statement.run(...values));
  }
}
