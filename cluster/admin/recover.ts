// mt-trackerd recover: a cluster that lost its majority for good goes on from what one tracker has, as a new cluster. Shows what that
// means, and asks, before it changes anything.
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { MtError } from '../../codec/errors.ts';
import { formatAddress } from '../../codec/ids.ts';
import type { TrackerInfo } from '../../codec/tracker-info.ts';
import { parseNumber, parseOptions, usage } from '../arguments.ts';
import { lockDataDir } from '../data-dir.ts';
import { sha256 } from '../node/digest.ts';
import { currentMembers, type RosterEntry, rosterOf } from '../node/roster.ts';
import { randomToken } from '../node/server/tokens.ts';
import { defaultDataDir } from '../paths.ts';
import { decodeMembership } from '../raft/membership.ts';
import type { Membership, NodeInfo } from '../raft/types.ts';
import type { Archive } from '../store/archive.ts';
import { foundAnew, type NewCluster } from '../store/recover.ts';
import { replay } from '../store/replay.ts';
import { readTrackerInfo } from '../tracker-info-file.ts';
import type { Subcommand } from './subcommand.ts';
import { verifyArchive } from './verify.ts';
import { withArchive } from './with-archive.ts';

interface Found {
  readonly clusterId: string;
  readonly membership: Membership;
  readonly lastIndex: number;
  readonly commit: number;
  /** Unix ms of the last command; 0 when there is none. */
  readonly lastAt: number;
  readonly counts: string;
}

export const recover: Subcommand = {
  usage: '<tracker_info_file> <tracker_number> [--data-dir DIR] [--yes]',
  summary: 'found a new cluster on the data of this tracker, when most of the others are lost for good',
  async run(argv, env) {
    const { values, positionals } = parseOptions(argv, { 'data-dir': { type: 'string' }, yes: { type: 'boolean' } });
    const [infoFile, numberText, ...more] = positionals;
    if (infoFile === undefined || numberText === undefined || more.length > 0) {
      throw usage('A tracker info file and the number of this tracker are needed');
    }
    const number = parseNumber(numberText);
    const info = readTrackerInfo(infoFile, infoFile);
    const dataDir = values['data-dir'] ? resolve(values['data-dir']) : defaultDataDir(env, number);
    const found = await withArchive(dataDir, (archive) => look(archive, dataDir));
    const planned = plan(number, info, found);
    const unlock = lockDataDir({ dataDir, number, trackerInfoShown: infoFile }, info.addresses.length);
    try {
      process.stdout.write(inWords(dataDir, number, planned, found));
      if (!values.yes) await ask();
      foundAnew(dataDir, planned);
    } finally {
      unlock();
    }
    process.stdout.write(
      `Done. The new cluster is ${planned.clusterId}. Start this tracker: mt-trackerd ${infoFile} ${number}\n`,
    );
  },
};

/** Verified first: damaged data founds nothing. */
function look(archive: Archive, dataDir: string): Found {
  verifyArchive(archive);
  const clusterId = archive.identity?.cluster_id ?? archive.origin?.cluster_id;
  if (!clusterId) throw new MtError('INVALID_ARGUMENT', `The data in ${dataDir} belongs to no cluster`);
  const { state, more } = replay(archive, sha256);
  for (const _ of more());
  const config = archive.log.configEntries().at(-1);
  const membership = config ? decodeMembership(config.data) : archive.snapshots.newest().meta.membership;
  return {
    clusterId,
    membership: membership ?? archive.snapshots.newest().meta.membership,
    lastIndex: archive.log.lastIndex(),
    commit: archive.commit(),
    lastAt: state.now,
    counts: `${state.users.size} users, ${state.groups.size} groups, ${state.fileCount} files`,
  };
}

/** This tracker alone votes; the others are awaited under their numbers, and removed numbers stay taken. */
function plan(number: number, info: TrackerInfo, { membership }: Found): NewCluster {
  const incarnation = randomToken();
  const records: Record<string, NodeInfo> = {};
  const known = rosterOf(membership);
  const numbers = new Set([...known.map((entry) => entry.number), ...info.addresses.map((_, at) => at + 1), number]);
  for (const each of numbers) {
    const entry = known.find((other) => other.number === each);
    const address = info.addresses[each - 1] ?? entry;
    if (!address) {
      throw new MtError('INVALID_ARGUMENT', `Neither the tracker file nor the log says where tracker ${each} is`);
    }
    const isGone = entry?.standing === 'removed' && each !== number;
    const record = { number: each, host: address.host, port: address.port };
    records[each === number ? incarnation : randomToken()] = isGone ? { ...record, removed: 1 } : record;
  }
  const voters = [incarnation];
  return { number, incarnation, clusterId: randomToken(), membership: { voters, learners: [], info: records } };
}

function inWords(dataDir: string, number: number, { membership }: NewCluster, found: Found): string {
  const { clusterId, lastIndex, commit, lastAt, counts } = found;
  const shown = ({ number: n, ...address }: RosterEntry) => `tracker ${n} (${formatAddress(address)})`;
  const others = currentMembers(membership).filter((entry) => entry.number !== number);
  const old = currentMembers(found.membership).map(shown).join(', ');
  return `The data in ${dataDir}:
  cluster ${clusterId}: ${old}
  entries through ${lastIndex}; ${lastAt > 0 ? `the last command known to be decided is of ${new Date(lastAt).toISOString()}` : 'no command is known to be decided'}
  ${counts}
What is lost: everything that the other trackers acknowledged after entry ${lastIndex} and this one never got. Nobody can know how much.
What is kept although it may never have been acknowledged: ${lastIndex - commit} entries after ${commit}.
What happens: tracker ${number} founds a new cluster alone. ${
    others.length > 0
      ? `Then ${others.map(shown).join(' and ')} can join, started with EMPTY data directories.
The old data of those must never be started again: it belongs to another cluster, and will be refused.\n`
      : '\n'
  }`;
}

async function ask(): Promise<void> {
  if (!process.stdin.isTTY) throw usage('recover asks before it changes anything: answer with --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Type "recover" to go on: ');
  terminal.close();
  if (answer.trim() !== 'recover') throw new MtError('CANCELLED', 'Nothing was changed');
}
