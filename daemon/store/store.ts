// Opens the daemon's SQLite file and knows its traps (durability, migrations). Owns the connection; what the tables mean is
// the business of one repository a concern, beside this file.
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { MtError } from '../../codec/errors.ts';

export type Sqlite = Database.Database;

/** The schema of schema.sql with all migrations. */
const SCHEMA_VERSION = 3;
/** PRAGMA synchronous = FULL, as SQLite answers it. */
const SYNCHRONOUS_FULL = 2;

/** Migrations from version n to n + 1, at index n - 1. */
const MIGRATIONS: readonly string[] = [
  // Scrubbing. scrubbed_at: when all of the file was last read and compared (Unix ms; 0: not since it was shared);
  // scrub_next: the piece at which an unfinished round goes on; rotten: bitfield of pieces found damaged, null: none.
  `ALTER TABLE shares ADD COLUMN scrubbed_at INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE shares ADD COLUMN scrub_next INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE shares ADD COLUMN rotten BLOB;`,
  // Directories. tree: of a shared directory, its document and what each file is on this disk (tree/tree-index.ts); null: a file.
  // watches: directories of which a user shares what appears in them, until told otherwise.
  `ALTER TABLE shares ADD COLUMN tree BLOB;
   CREATE TABLE watches (
     user_id  TEXT NOT NULL,    -- who shares
     path     TEXT NOT NULL,    -- absolute, symlinks resolved
     group_id TEXT NOT NULL,    -- in which group
     added_at INTEGER NOT NULL, -- Unix ms
     PRIMARY KEY (user_id, path, group_id)
   ) STRICT;`,
];

/**
 * Opens the store, making it when it is not there. Every write is durable when it returns.
 * @param path of the SQLite file; its directory exists and is private to this user.
 * @throws MtError INTERNAL when the file is of a newer version of this program.
 */
export function openStore(path: string): Sqlite {
  const db = new Database(path);
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('foreign_keys = ON');
    setDurable(db);
    migrate(db);
    // WAL may fall back to NORMAL with the first write of a new file: set again, and believe only what is read back.
    setDurable(db);
    assert.strictEqual(db.pragma('synchronous', { simple: true }), SYNCHRONOUS_FULL, 'synchronous=FULL');
    assert.strictEqual(db.pragma('journal_mode', { simple: true }), 'wal', 'journal_mode=WAL');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Writes without waiting for the disk: what `work` did survives a kill -9 at once, a power loss with the next durable write or `sync`. */
export function quickly<T>(db: Sqlite, work: () => T): T {
  db.pragma('synchronous = NORMAL');
  try {
    return work();
  } finally {
    setDurable(db);
  }
}

/** Everything written so far survives a power loss when this returns. Other threads do the waiting. */
export async function syncStore(db: Sqlite): Promise<void> {
  const wal = await open(`${db.name}-wal`, 'r+');
  try {
    await wal.datasync();
  } finally {
    await wal.close();
  }
}

function setDurable(db: Sqlite): void {
  db.pragma('synchronous = FULL');
}

function migrate(db: Sqlite): void {
  const found = db.pragma('user_version', { simple: true }) as number;
  if (found > SCHEMA_VERSION) {
    throw new MtError(
      'INTERNAL',
      `The data directory was written by a newer mt-peerd (format ${found}, this one knows ${SCHEMA_VERSION})`,
      'Start the newer version, or use another --data-dir.',
    );
  }
  db.transaction(() => {
    if (found === 0) db.exec(readFileSync(new URL('./schema.sql', import.meta.url), 'utf8'));
    for (let version = Math.max(found, 1); version < SCHEMA_VERSION; version++) db.exec(MIGRATIONS[version - 1]!);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
  }).immediate();
}
