// A consistent copy of a tracker's data, also while it runs: one read transaction, nobody waits. A copy has forgotten what its tracker
// promised after it, so it has no identity, vote or incarnation: a tracker that starts from it is a new member, or founds anew.
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { MtError } from '../../codec/errors.ts';
import { DamageError, openReadOnly } from './database.ts';
import { RecordTable } from './record-table.ts';
import { DATABASE_FILE } from './store.ts';

/** Nobody writes to the copy in the making but us. */
const UNFINISHED = '.unfinished';

/**
 * Copies the data in `dataDir` to the new file `path`, durable and 0600.
 * @param check looks at the finished copy before it takes its name, and throws when it is not right.
 * @throws MtError DESTINATION_EXISTS, NO_QUORUM when there is no cluster's data yet; DamageError.
 */
export function makeBackup(dataDir: string, path: string, nowMs: number, check: (copy: string) => void): void {
  if (existsSync(path)) throw new MtError('DESTINATION_EXISTS', `${path} exists already`);
  const unfinished = path + UNFINISHED;
  rmSync(unfinished, { force: true });
  try {
    copy(join(dataDir, DATABASE_FILE), unfinished);
    strip(unfinished, nowMs);
    check(unfinished);
    syncFile(unfinished);
    renameSync(unfinished, path);
    syncFile(dirname(path));
  } finally {
    rmSync(unfinished, { force: true });
  }
}

function copy(from: string, to: string): void {
  closeSync(openSync(to, 'wx', 0o600)); // SQLite takes an empty file for a new one, and keeps its mode
  const source = openReadOnly(from);
  try {
    source.prepare('VACUUM INTO ?').run(to);
  } finally {
    source.close();
  }
  chmodSync(to, 0o600);
}

function strip(path: string, nowMs: number): void {
  const db = new Database(path);
  try {
    const records = new RecordTable(db);
    const identity = records.read('identity');
    const hardState = records.read('hard_state');
    if (!identity?.cluster_id || !hardState) {
      throw new MtError('NO_QUORUM', 'This tracker belongs to no cluster yet: there is nothing to copy');
    }
    if (db.pragma('quick_check', { simple: true }) !== 'ok') throw new DamageError('the copy is not a sound database');
    db.transaction(() => {
      records.write('origin', { number: identity.number, cluster_id: identity.cluster_id!, at: nowMs });
      records.write('hard_state', { ...hardState, vote: null });
      for (const name of ['identity', 'fitness', 'removed'] as const) records.drop(name);
    })();
  } finally {
    db.close();
  }
}

function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
