// A tracker's data directory: made private, held by one tracker at a time. The lock is SQLite's own on a file of its own: the
// kernel frees it however the holder ends.
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { MtError } from '../codec/errors.ts';
import type { TrackerArguments } from './arguments.ts';
import { fileError } from './cluster-key.ts';
import { DATABASE_FILE } from './store/store.ts';

type Place = Pick<TrackerArguments, 'dataDir' | 'number' | 'trackerInfoShown'>;

const LOCK_FILE = 'lock.sqlite';

/**
 * Makes the directory (0700) if need be and takes its lock.
 * @param trackerCount of the tracker file, to name another tracker's command.
 * @returns gives the lock back.
 * @throws MtError DATA_DIR_LOCKED with the command that starts another tracker, PERMISSION, DISK_FULL.
 */
export function lockDataDir(args: Place, trackerCount: number): () => void {
  const { dataDir } = args;
  let lock: Database.Database;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if ((statSync(dataDir).mode & 0o077) !== 0) chmodSync(dataDir, 0o700);
    for (const file of [DATABASE_FILE, LOCK_FILE]) touchPrivate(join(dataDir, file));
    lock = new Database(join(dataDir, LOCK_FILE), { timeout: 0 });
  } catch (cause) {
    throw fileError(`The data directory ${dataDir} cannot be used`, cause);
  }
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('BEGIN EXCLUSIVE');
    return () => lock.close();
  } catch (cause) {
    lock.close();
    if ((cause as { code?: string }).code?.startsWith('SQLITE_BUSY')) throw locked(args, trackerCount);
    throw fileError(`The data directory ${dataDir} cannot be locked`, cause);
  }
}

/** The database and what SQLite puts beside it take their mode from this file. */
function touchPrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
}

function locked({ dataDir, number, trackerInfoShown }: Place, trackerCount: number): MtError {
  const other = trackerCount > 1 ? (number % trackerCount) + 1 : number;
  const otherDir = join(dirname(dataDir), other === number ? `tracker-${number}-2` : `tracker-${other}`);
  const command = ['mt-trackerd', trackerInfoShown, String(other), '--data-dir', otherDir].map(shellWord).join(' ');
  return new MtError(
    'DATA_DIR_LOCKED',
    `Another mt-trackerd runs on the data directory ${dataDir}`,
    `To start another tracker: ${command}`,
  );
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
