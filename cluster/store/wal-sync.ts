// The one transaction that is on everybody's path, made durable with fdatasync. SQLite's own synchronous=FULL calls fsync, which
// waits for the file's times too; what that costs differs from disk to disk (ARCHITECTURE has what was measured).
//
// So this transaction runs with synchronous=NORMAL, where SQLite syncs the WAL's header and all checkpoints but not the commit, and
// the commit is synced here, before anybody hears of it: what FULL promises. Every other write keeps SQLite's FULL.
import assert from 'node:assert';
import { closeSync, fdatasyncSync, fstatSync, openSync, statSync } from 'node:fs';
import type { Db } from './database.ts';

export class WalSync {
  readonly #db: Db;
  readonly #fd: number;

  /** @param path of the database, which is open in WAL mode: its WAL stays the same file until it is closed. */
  constructor(db: Db, path: string) {
    this.#db = db;
    this.#fd = openSync(`${path}-wal`, 'r');
    assert.equal(fstatSync(this.#fd).ino, statSync(`${path}-wal`).ino);
  }

  begin(): void {
    this.#db.exec('PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE');
  }

  /** Durable when it returns. After an error nobody knows what the disk holds, unless it says that it is full. */
  commit(): void {
    this.#db.exec('COMMIT; PRAGMA synchronous = FULL');
    fdatasyncSync(this.#fd);
  }

  /** Durable with the next commit, and undone together with it by a power cut. */
  commitUnsynced(): void {
    this.#db.exec('COMMIT; PRAGMA synchronous = FULL');
  }

  rollback(): void {
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
    this.#db.exec('PRAGMA synchronous = FULL');
  }

  close(): void {
    closeSync(this.#fd);
  }
}
