// A directory that one process of one user owns: made private, and held by one process at a time. The lock is SQLite's own on a
// file of its own: the kernel frees it however the holder ends. Both daemons keep their data in one.
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';

/**
 * Makes the directory (0700) and these files (0600) if need be, and takes the lock.
 * @param files paths of the database, from whose mode SQLite takes that of what it puts beside it, and of the lock.
 * @returns gives the lock back; null when another process holds it.
 * @throws what the operating system or SQLite said.
 */
export function holdPrivateDir(
  dir: string,
  files: { readonly store: string; readonly lock: string },
): (() => void) | null {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if ((statSync(dir).mode & 0o077) !== 0) chmodSync(dir, 0o700);
  touchPrivate(files.store);
  touchPrivate(files.lock);
  const lock = new Database(files.lock, { timeout: 0 });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('BEGIN EXCLUSIVE');
    return () => lock.close();
  } catch (error) {
    lock.close();
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return null;
    throw error;
  }
}

/** Its mode is right before anything is written to it. */
function touchPrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
}
