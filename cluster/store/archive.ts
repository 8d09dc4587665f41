// A data directory opened for looking only, also while its tracker runs: for events and verify. Writes nothing, takes no lock.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { openReadOnly } from './database.ts';
import { EventLog } from './event-log.ts';
import { History } from './history.ts';
import { ManifestTable } from './manifest-table.ts';
import { type Identity, type RecordOf, RecordTable } from './record-table.ts';
import { SnapshotTable } from './snapshot-table.ts';
import { DATABASE_FILE } from './store.ts';

export interface Archive {
  /** In a backup. */
  readonly origin: RecordOf<'origin'> | null;
  readonly identity: Identity | null;
  readonly log: EventLog;
  readonly history: History;
  readonly snapshots: SnapshotTable;
  readonly manifests: ManifestTable;
  /** Known to be committed at this moment. */
  commit(): number;
  /** The row after `index` is missing, although the log is longer. */
  isBehindGap(index: number): boolean;
  close(): void;
}

/** @param dataDir or a backup's file. @throws MtError PATH_NOT_FOUND when there is no tracker's data; DamageError when it cannot be trusted. */
export function openArchive(dataDir: string): Archive {
  const path = statSync(dataDir, { throwIfNoEntry: false })?.isFile() ? dataDir : join(dataDir, DATABASE_FILE);
  if (!existsSync(path)) throw new MtError('PATH_NOT_FOUND', `There is no tracker's data in ${dataDir}`);
  const db = openReadOnly(path);
  const records = new RecordTable(db);
  const manifests = new ManifestTable(db);
  const snapshots = new SnapshotTable(db, { voters: [], learners: [], info: {} });
  const log = new EventLog(db, records, manifests, snapshots);
  return {
    identity: records.read('identity'),
    origin: records.read('origin'),
    manifests,
    snapshots,
    log,
    history: new History(db, log, snapshots),
    commit: () => Math.max(records.read('hard_state')?.commit ?? 0, snapshots.newest().meta.index),
    isBehindGap: (index) => {
      log.reload();
      return log.lastIndex() > index && log.rows(index + 1, index + 2).next().done === true;
    },
    close: () => db.close(),
  };
}
