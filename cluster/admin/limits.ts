// mt-trackerd limits: how many groups and files one user may have. Kept in the log, so all trackers agree; holds from then on.
import { MtError } from '../../codec/errors.ts';
import { printable } from '../../codec/ids.ts';
import { parseOptions, usage } from '../arguments.ts';
import { ADMIN_MS, CLUSTER_OPTIONS, CLUSTER_USAGE, withCluster } from './connect.ts';
import type { Subcommand } from './subcommand.ts';

export const limits: Subcommand = {
  usage: `[--groups-per-user N] [--files-per-user N]   ${CLUSTER_USAGE}`,
  summary: 'show or set how many groups one user may own and files one user may share',
  async run(argv, env) {
    const own = { 'groups-per-user': { type: 'string' }, 'files-per-user': { type: 'string' } } as const;
    const { values, positionals } = parseOptions(argv, { ...CLUSTER_OPTIONS, ...own });
    if (positionals.length > 0) throw usage('limits takes options only');
    const change = {
      groups_per_user: parseCount('groups-per-user', values['groups-per-user']),
      files_per_user: parseCount('files-per-user', values['files-per-user']),
    };
    const now = await withCluster(values, env, (cluster) => cluster.call('limits', change, { timeoutMs: ADMIN_MS }));
    process.stdout.write(
      values.json
        ? `${JSON.stringify(now)}\n`
        : `Groups that one user may own: ${now.groups_per_user}\nFiles that one user may share: ${now.files_per_user}\n`,
    );
  },
};

function parseCount(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new MtError('INVALID_ARGUMENT', `--${name} takes a number from 1 to 999999999, not "${printable(text)}"`);
}
