// A tracker's data directory, and what the second tracker that wants it is told.
import { dirname, join } from 'node:path';
import { MtError } from '../codec/errors.ts';
import { holdPrivateDir } from '../codec/service/private-dir.ts';
import { shellWord } from '../codec/shell-word.ts';
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
  let release: (() => void) | null;
  try {
    release = holdPrivateDir(dataDir, { store: join(dataDir, DATABASE_FILE), lock: join(dataDir, LOCK_FILE) });
  } catch (cause) {
    throw fileError(`The data directory ${dataDir} cannot be used`, cause);
  }
  if (!release) throw locked(args, trackerCount);
  return release;
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
