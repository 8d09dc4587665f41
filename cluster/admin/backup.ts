// mt-trackerd backup: a consistent, verified copy of a tracker's data in one file, also while the tracker runs.
import { resolve } from 'node:path';
import { parseOptions, usage } from '../arguments.ts';
import { fileError } from '../cluster-key.ts';
import { openArchive } from '../store/archive.ts';
import { makeBackup } from '../store/backup.ts';
import { chooseDataDir } from './data-dir-option.ts';
import type { Subcommand } from './subcommand.ts';
import { verifyArchive } from './verify.ts';
import { explainDamage } from './with-archive.ts';

export const backup: Subcommand = {
  usage: 'FILE [tracker_number] [--data-dir DIR] [--json]',
  summary: 'copy the data of a tracker, running or not, to one file, and verify it',
  run(argv, env) {
    const { values, positionals } = parseOptions(argv, { 'data-dir': { type: 'string' }, json: { type: 'boolean' } });
    const [file, number, ...more] = positionals;
    if (file === undefined || more.length > 0) throw usage('Name the file to write');
    const dataDir = chooseDataDir(values['data-dir'], number, env);
    const path = resolve(file);
    let lastIndex = 0;
    try {
      openArchive(dataDir).close();
      makeBackup(dataDir, path, Date.now(), (copy) => {
        const archive = openArchive(copy);
        try {
          verifyArchive(archive);
          lastIndex = archive.log.lastIndex();
        } finally {
          archive.close();
        }
      });
    } catch (error) {
      const explained = explainDamage(dataDir, error);
      throw (explained as NodeJS.ErrnoException).code ? fileError(`${file} cannot be written`, explained) : explained;
    }
    const inWords = `Entries through ${lastIndex} copied to ${file} and verified.
To use it: copy it as tracker.sqlite into an empty data directory (mode 0700). A tracker started there joins its cluster again as a new
member; to found a new cluster from it: mt-trackerd recover.\n`;
    process.stdout.write(values.json ? `${JSON.stringify({ file: path, last_index: lastIndex })}\n` : inWords);
  },
};
