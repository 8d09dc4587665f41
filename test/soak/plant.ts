// A loss made on purpose, to see that the checker finds it. One command is taken out of a tracker's log as if it had never been: the
// rows behind it move up, sums and hash chain are made anew, what was promised is forgotten. The tracker itself cannot notice.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sumRow } from '../../cluster/store/checksum.ts';
import { contentOf, type EntryRow } from '../../cluster/store/event-log.ts';
import { RecordTable } from '../../cluster/store/record-table.ts';
import { DATABASE_FILE, MARK_FILE } from '../../cluster/store/store.ts';

/** The tracker must not run. @throws when the command that made the group is not in the log, or a snapshot holds it already. */
export function forget(dataDir: string, groupId: string): void {
  const db = new Database(join(dataDir, DATABASE_FILE));
  try {
    db.transaction(() => takeOut(db, groupId))();
  } finally {
    db.close();
  }
  rmSync(join(dataDir, MARK_FILE), { force: true });
}

function takeOut(db: Database.Database, groupId: string): void {
  const rows = db.prepare('SELECT * FROM entries ORDER BY log_index').all() as EntryRow[];
  // The name ends where the CBOR of the command does: no longer name matches. A retried command may be there twice.
  const isVictim = ({ kind, data }: EntryRow) =>
    kind === 1 && data.includes('create_group') && data.toString('latin1').endsWith(groupId);
  const at = rows.findIndex(isVictim);
  const victim = rows[at];
  const { newest } = db.prepare('SELECT max(log_index) AS newest FROM snapshots').get() as { newest: number | null };
  if (!victim || at === 0 || (newest !== null && newest >= victim.log_index))
    throw new Error(`${groupId} cannot be taken out`);
  db.prepare('DELETE FROM entries WHERE log_index >= ?').run(victim.log_index);
  const insert = db.prepare(
    'INSERT INTO entries (log_index, term, kind, data, manifest_hash, attachment_size, checksum, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  );
  let { chain }: { chain: Uint8Array } = rows[at - 1]!;
  const kept = rows.slice(at).filter((row) => !isVictim(row));
  for (const [i, row] of kept.entries()) {
    const moved = { ...row, log_index: victim.log_index + i };
    const sums = sumRow(contentOf(moved), chain);
    chain = sums.chain;
    const { log_index, term, kind, data, manifest_hash, attachment_size } = moved;
    insert.run(log_index, term, kind, data, manifest_hash, attachment_size, sums.checksum, chain);
  }
  const records = new RecordTable(db);
  const hardState = records.read('hard_state')!;
  records.write('hard_state', { ...hardState, commit: Math.min(hardState.commit, victim.log_index - 1) });
}
