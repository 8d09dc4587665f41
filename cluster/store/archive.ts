// A data directory opened for looking only, also while its tracker runs: for events and verify. Writes nothing, takes no lock.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { openReadOnly } from './database.ts';
import { EventLog } from './event-log.ts';
import { History } from './history.ts';
import { ManifestTable } from './manifest-table.ts';
import { type Identity, RecordTable } from './record-table.ts';
import { SnapshotTable } from './snapshot-table.ts';
import { DATABASE_FILE } from './store.ts';

export interface Archive {
  readonly identity: Identity | null;
  readonly log: EventLog;
  readonly history: History;
  readonly snapshots: SnapshotTable;
  readonly manifests: ManifestTable;
  /** Known to be committed at this moment. */
  commit(): number;
  close(): void;
}

/** @throws MtError PATH_NOT_FOUND when there is no tracker's data; DamageError when it cannot be trusted. */
export function openArchive(dataDir: string): Archive {
  const path = join(dataDir, DATABASE_FILE);
  if (!existsSync(path)) throw new MtError('PATH_NOT_FOUND', `There is no tracker's data in ${dataDir}`);
  const db = openReadOnly(path);
  const records = new RecordTable(db);
  const manifests = new ManifestTable(db);
  const snapshots = new SnapshotTable(db, { voters: [], learners: [], info: {} });
  const log = new EventLog(db, records, manifests, snapshots);
  return {
    identity: records.read('identity'),
    manifests,
    snapshots,
    log,
    history: new History(db, log, snapshots),
    commit: () => Math.max(records.read('hard_state')?.commit ?? 0, snapshots.newest().meta.index),
    close: () => db.close(),
  };
}
