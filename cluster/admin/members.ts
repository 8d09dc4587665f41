// mt-trackerd members: who belongs to the cluster, and how that changes. For whoever holds the cluster key, from anywhere.
import type { AdminAction } from '../../codec/admin-api.ts';
import { MtError } from '../../codec/errors.ts';
import { formatAddress, printable } from '../../codec/ids.ts';
import { parseAddress } from '../../codec/tracker-info.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { parseNumber, parseOptions, usage } from '../arguments.ts';
import { ADMIN_MS, CLUSTER_OPTIONS, CLUSTER_USAGE, withCluster } from './connect.ts';
import type { Subcommand } from './subcommand.ts';

export const members: Subcommand = {
  usage: `list | add IP:PORT | remove NUMBER   ${CLUSTER_USAGE}`,
  summary: 'show the trackers of the cluster, add a new one, remove one for good',
  async run(argv, env) {
    const { values, positionals } = parseOptions(argv, CLUSTER_OPTIONS);
    const [verb, what, ...more] = positionals;
    if (more.length > 0) throw usage('Too many arguments');
    const json = values.json === true;
    if (verb === 'list' && what === undefined) {
      const status = await withCluster(values, env, (cluster) => cluster.call('members', {}, { timeoutMs: ADMIN_MS }));
      process.stdout.write(json ? `${JSON.stringify(status)}\n` : inWords(status));
      return;
    }
    const action = parseAction(verb, what);
    const { number } = await withCluster(values, env, (cluster) =>
      cluster.call('administer', { action }, { timeoutMs: ADMIN_MS }),
    );
    process.stdout.write(json ? `${JSON.stringify({ number })}\n` : done(action, number));
  },
};

function parseAction(verb: string | undefined, what: string | undefined): AdminAction {
  if (verb === 'add' && what !== undefined) {
    const address = parseAddress(what);
    if (!address)
      throw new MtError('INVALID_ARGUMENT', `"${printable(what)}" is not an address: write ip:port or [v6]:port`);
    return { type: 'add_member', address };
  }
  if (verb === 'remove' && what !== undefined) return { type: 'remove_member', number: parseNumber(what) };
  throw usage('Say what to do: members list, members add IP:PORT, or members remove NUMBER');
}

function done(action: AdminAction, number: number): string {
  if (action.type !== 'add_member') return `Tracker ${number} was removed. Its number is never given again.\n`;
  const shown = formatAddress(action.address);
  return (
    `Tracker ${number} is expected at ${shown}. Start it there, with the tracker file and the cluster key:\n` +
    `  mt-trackerd <tracker_info_file> ${number} --listen ${shown}\n`
  );
}

function inWords({ trackers, leader }: TrackerStatus): string {
  const rows = trackers.map(
    ({ number, address, role, applied_index, lag, note }) =>
      [`${number}`, address, role, `${applied_index ?? '-'}`, `${lag ?? '-'}`, note ?? ''] as const,
  );
  const all = [['tracker', 'address', 'role', 'applied', 'lag', ''] as const, ...rows];
  const widths = [0, 1, 2, 3, 4].map((at) => Math.max(...all.map((row) => row[at]!.length)));
  const lines = all.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  if (leader === null) lines.push('There is no leader: fewer than half of the trackers reach each other.');
  return `${lines.join('\n')}\n`;
}
