// A data directory as subcommands look at it: opened, closed whatever happens, and damage in it told as an error of ours.
import { MtError } from '../../codec/errors.ts';
import { type Archive, openArchive } from '../store/archive.ts';
import { isDamage } from '../store/database.ts';

/** @param dataDir or a backup's file. @returns what `look` returns. @throws MtError PATH_NOT_FOUND; INTEGRITY when the data is damaged. */
export async function withArchive<T>(dataDir: string, look: (archive: Archive) => T | Promise<T>): Promise<T> {
  try {
    const archive = openArchive(dataDir);
    try {
      return await look(archive);
    } finally {
      archive.close();
    }
  } catch (error) {
    throw explainDamage(dataDir, error);
  }
}

/** Damage that we or SQLite found, as INTEGRITY; any other error as it is. */
export function explainDamage(dataDir: string, error: unknown): unknown {
  if (!isDamage(error)) return error;
  return new MtError(
    'INTEGRITY',
    `${dataDir}: ${error.message}`,
    'A tracker of a cluster mends itself when it starts; else use the data of another tracker, or a backup.',
    { cause: error },
  );
}
