// mt-trackerd init: makes the cluster key, and shows the line that pins it in tracker files.
import { resolve } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { fingerprintOf, parseClusterKeyPem } from '../../codec/identity.ts';
import { parseOptions, usage } from '../arguments.ts';
import { makeClusterKey, readKeyFile } from '../cluster-key.ts';
import { defaultClusterKey } from '../paths.ts';
import type { Subcommand } from './subcommand.ts';

export const init: Subcommand = {
  usage: '[--cluster-key FILE]',
  summary: 'make the key of a new cluster, once; copy it to every tracker',
  run(argv, env) {
    const { values, positionals } = parseOptions(argv, { 'cluster-key': { type: 'string' } });
    if (positionals.length > 0) throw usage('init takes no arguments');
    const path = resolve(values['cluster-key'] ?? defaultClusterKey(env));
    const isNew = makeClusterKey(path);
    const fingerprint = fingerprintOf(parseClusterKeyPem(readKeyFile(path)!)[0]!);
    if (!isNew) {
      throw new MtError(
        'DESTINATION_EXISTS',
        `There is a cluster key at ${path} already, with fingerprint ${fingerprint}`,
        'Use it, or make another one elsewhere with --cluster-key FILE.',
      );
    }
    process.stdout.write(
      `Cluster key written to ${path}\nFingerprint: ${fingerprint}\n\n` +
        `Copy the file to every tracker (mode 0600), and add this line to the tracker file of everyone:\n\nkey ${fingerprint}\n`,
    );
  },
};
