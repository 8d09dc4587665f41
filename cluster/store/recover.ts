// Founds a new cluster on what one tracker's log holds, when the majority of the old one is lost for good. The new cluster has another
// id and this data a new incarnation, so nothing that the old ones promised, or still say, can be mixed with it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { encodeMembership } from '../raft/membership.ts';
import type { Membership } from '../raft/types.ts';
import { openDatabase } from './database.ts';
import { EventLog } from './event-log.ts';
import { ManifestTable } from './manifest-table.ts';
import { RecordTable } from './record-table.ts';
import { SnapshotTable } from './snapshot-table.ts';
import { DATABASE_FILE, MARK_FILE } from './store.ts';

export interface NewCluster {
  readonly number: number;
  readonly incarnation: string;
  readonly clusterId: string;
  /** This incarnation is its only voter. */
  readonly membership: Membership;
}

/** In one transaction. Everything in the log counts as decided: whatever was acknowledged is in it, as far as this tracker had it. */
export function foundAnew(dataDir: string, { number, incarnation, clusterId, membership }: NewCluster): void {
  const db = openDatabase(join(dataDir, DATABASE_FILE));
  try {
    const records = new RecordTable(db);
    const snapshots = new SnapshotTable(db, { voters: [], learners: [], info: {} });
    const log = new EventLog(db, records, new ManifestTable(db), snapshots);
    const index = log.lastIndex() + 1;
    const term = Math.max(records.read('hard_state')?.term ?? 0, log.term(index - 1) ?? 0) + 1;
    const data = encodeMembership(membership);
    // What was promised is promised to a cluster that is no more.
    rmSync(join(dataDir, MARK_FILE), { force: true });
    db.transaction(() => {
      const boot = (records.read('identity')?.boot ?? 0) + 1;
      records.write('identity', { number, incarnation, cluster_id: clusterId, founding: null, boot });
      for (const name of ['origin', 'removed', 'fitness'] as const) records.drop(name);
      log.append([{ index, term, kind: 'config', data, sizeBytes: data.length }]);
      records.write('hard_state', { term, vote: null, commit: index });
    })();
  } finally {
    db.close();
  }
}
