// mt-trackerd transfer-leader: another tracker leads, before maintenance for instance.
import { parseNumber, parseOptions, usage } from '../arguments.ts';
import { ADMIN_MS, CLUSTER_OPTIONS, CLUSTER_USAGE, withCluster } from './connect.ts';
import type { Subcommand } from './subcommand.ts';

export const transferLeader: Subcommand = {
  usage: `[NUMBER]   ${CLUSTER_USAGE}`,
  summary: 'let another tracker lead: that one, or whoever is best fit',
  async run(argv, env) {
    const { values, positionals } = parseOptions(argv, CLUSTER_OPTIONS);
    if (positionals.length > 1) throw usage('Too many arguments');
    const number = positionals[0] === undefined ? null : parseNumber(positionals[0]);
    const result = await withCluster(values, env, (cluster) =>
      cluster.call('administer', { action: { type: 'transfer_leader', number } }, { timeoutMs: ADMIN_MS }),
    );
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `Tracker ${result.number} leads now.\n`);
  },
};
