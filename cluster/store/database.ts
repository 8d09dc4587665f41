// Opens SQLite the one safe way for a log of promises, and sorts its errors. Knows nothing of what the tables mean.
// Every open proves that a commit reaches the disk: WAL silently lowers synchronous from FULL to NORMAL on a new file.
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { MtError } from '../../codec/errors.ts';

export type Db = Database.Database;

/** 16 MiB of WAL between checkpoints: a checkpoint's own fsyncs would otherwise come every few hundred commands. */
const WAL_AUTOCHECKPOINT_PAGES = 4_096;
/** Holds the index of 100,000 manifests; twice as much changed no figure but the memory. */
const CACHE_KIB = 8 * 1024;
const SYNCHRONOUS_FULL = 2;

/**
 * Opens (and creates) the database at `path` with the schema beside the program.
 * @throws MtError DISK_FULL or PERMISSION when the file cannot be made or written.
 */
export function openDatabase(path: string): Db {
  try {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL'); // after journal_mode: WAL resets it on a new file
    db.pragma(`wal_autocheckpoint = ${WAL_AUTOCHECKPOINT_PAGES}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.exec(readFileSync(join(import.meta.dirname, 'schema.sql'), 'utf8'));
    proveDurable(db);
    return db;
  } catch (error) {
    throw explainSqlite(error, path);
  }
}

/** A second view of a database that another process may have open; writes nothing. */
export function openReadOnly(path: string): Db {
  try {
    return new Database(path, { readonly: true, fileMustExist: true });
  } catch (error) {
    throw explainSqlite(error, path);
  }
}

/** Writes one row, then reads back that commits are synchronous. */
function proveDurable(db: Db): void {
  db.exec(`INSERT INTO records (name, value, checksum) VALUES ('opened', x'00', 0)
           ON CONFLICT (name) DO UPDATE SET value = excluded.value`);
  db.pragma('synchronous = FULL');
  assert.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  assert.equal(db.pragma('synchronous', { simple: true }), SYNCHRONOUS_FULL);
}

/** Something on this disk is not what was written: never serve it, never vote by it (scenario 35). */
export class DamageError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`Damaged data: ${what}`, options);
    this.name = 'DamageError';
  }
}

/** All our SQL is fixed text: when SQLite does not understand it, the schema in the file is not the one that we wrote. */
const NOT_OUR_SCHEMA =
  /no such|has no column|no column named|unsupported file format|malformed|syntax error|unrecognized token/;

/** Found by us, or by SQLite itself: also where a flipped byte changed the name of a table, or the file's idea of its own format. */
export function isDamage(error: unknown): error is Error {
  if (error instanceof DamageError) return true;
  if (!(error instanceof Database.SqliteError)) return false;
  if (/^SQLITE_(CORRUPT|NOTADB|FORMAT)/.test(error.code)) return true;
  return error.code === 'SQLITE_ERROR' && NOT_OUR_SCHEMA.test(error.message);
}

/** SQLite keeps the type of a value in the row: a flipped byte there makes a blob a text, or nothing. */
export function isBlob(value: unknown): value is Buffer {
  return value instanceof Uint8Array;
}

/** After this nobody knows what the disk holds: the process must end (scenario 37). */
export function isBrokenDisk(error: unknown): boolean {
  return (
    error instanceof Database.SqliteError &&
    /^SQLITE_(IOERR|READONLY|CANTOPEN|FULL)/.test(error.code) &&
    !isDiskFull(error)
  );
}

/** No room: the one SQLite error that a tracker lives through. Every other write error ends the process (scenario 37). */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code === 'SQLITE_FULL';
}

function explainSqlite(error: unknown, path: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  if (error.code === 'SQLITE_FULL') {
    return new MtError('DISK_FULL', `There is no room for the database ${path}`, 'Make room and start again.');
  }
  if (error.code.startsWith('SQLITE_CANTOPEN') || error.code.startsWith('SQLITE_READONLY')) {
    return new MtError('PERMISSION', `The database ${path} cannot be opened for writing (${error.code})`);
  }
  return error;
}
