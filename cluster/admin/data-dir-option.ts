// Which data directory a subcommand means: --data-dir, or the default one of a tracker number, or the only one there is.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { parseNumber } from '../arguments.ts';
import { defaultDataDir } from '../paths.ts';
import { DATABASE_FILE } from '../store/store.ts';

/** Default directories are looked for under these numbers. */
const NUMBERS_TRIED = 16;

/** @throws MtError PATH_NOT_FOUND, INVALID_ARGUMENT */
export function chooseDataDir(option: string | undefined, number: string | undefined, env: NodeJS.ProcessEnv): string {
  if (option !== undefined) return resolve(option);
  if (number !== undefined) return defaultDataDir(env, parseNumber(number));
  for (let tried = 1; tried <= NUMBERS_TRIED; tried++) {
    const dataDir = defaultDataDir(env, tried);
    if (existsSync(join(dataDir, DATABASE_FILE))) return dataDir;
  }
  throw new MtError('PATH_NOT_FOUND', "No tracker's data was found", 'Say where it is: --data-dir DIR');
}
