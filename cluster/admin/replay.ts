// mt-trackerd replay: the state as it was after some entry of the log: who existed, which groups, members and files. No secret is shown.
import { MtError } from '../../codec/errors.ts';
import { parseIndex, parseOptions, usage } from '../arguments.ts';
import { sha256 } from '../node/digest.ts';
import type { Group } from '../state/records.ts';
import { type State, stateHash } from '../state/state.ts';
import type { Archive } from '../store/archive.ts';
import { replay } from '../store/replay.ts';
import { chooseDataDir } from './data-dir-option.ts';
import type { Subcommand } from './subcommand.ts';
import { withArchive } from './with-archive.ts';

/** Of each list, in words; --json has all. */
const SHOWN_MAX = 50;

export const replayCommand: Subcommand = {
  usage: '[tracker_number] [--data-dir DIR] [--until N] [--json]',
  summary: 'show the state as it was after entry N (default: now)',
  async run(argv, env) {
    const { values, positionals } = parseOptions(argv, {
      'data-dir': { type: 'string' },
      until: { type: 'string' },
      json: { type: 'boolean' },
    });
    if (positionals.length > 1) throw usage('Too many arguments');
    const until = values.until === undefined ? null : parseIndex('--until', values.until);
    const dataDir = chooseDataDir(values['data-dir'], positionals[0], env);
    const shown = await withArchive(dataDir, (archive) => replayed(archive, until));
    process.stdout.write(values.json ? `${JSON.stringify(shown)}\n` : inWords(shown));
  },
};

/** The state after entry `until`; null: as far as the log is decided. @throws MtError INVALID_ARGUMENT when it cannot be had here. */
function replayed(archive: Archive, until: number | null): Dump {
  const { anchor, state, more } = replay(archive, sha256);
  if (until !== null && until < anchor) {
    throw new MtError('INVALID_ARGUMENT', `The history begins at entry ${anchor}: what was before is not here`);
  }
  if (state.index !== until) for (const { row } of more()) if (row.log_index === until) break;
  if (until !== null && state.index < until) {
    throw new MtError('INVALID_ARGUMENT', `The log is decided through entry ${state.index} only`);
  }
  return dump(state, anchor);
}

type Dump = ReturnType<typeof dump>;

function dump(state: State, anchor: number) {
  return {
    index: state.index,
    at: state.now,
    /** Entries before this one are not in the history here. */
    anchor,
    state_hash: Buffer.from(stateHash(state, sha256)).toString('hex'),
    state_version: state.version,
    sessions: state.sessions.size,
    users: [...state.users.values()].map(({ id, createdAt, onlineCount }) => ({
      user_id: id,
      created_at: createdAt,
      online: onlineCount > 0,
    })),
    groups: [...state.groupsInOrder.values()].map(dumpGroup),
  };
}

function dumpGroup({ id, owner, members, requests, files }: Group) {
  return {
    group_id: id,
    owner: owner.id,
    members: [...members.values()].map(({ user }) => user.id),
    requests: [...requests.values()].map(({ user }) => user.id),
    files: [...files.values()].map(({ name, content, publisher, sharers }) => ({
      file_name: name,
      size: content.size,
      sha1: content.sha1,
      publisher: publisher.id,
      sharers: [...sharers.values()].map(({ daemon, complete }) => ({ user_id: daemon.user.id, complete })),
    })),
  };
}

function inWords({ index, at, anchor, state_hash, sessions, users, groups }: Dump): string {
  const files = groups.reduce((sum, group) => sum + group.files.length, 0);
  const lines = [
    `After entry ${index}, ${at > 0 ? new Date(at).toISOString() : 'before the first command'}: ${users.length} users, ${groups.length} groups, ${files} files, ${sessions} sessions`,
    anchor === 0
      ? 'replayed from the first entry'
      : `replayed from the snapshot at ${anchor}, where the history begins`,
    `state hash ${state_hash}`,
    ...groups
      .slice(0, SHOWN_MAX)
      .flatMap(({ group_id, owner, members, requests, files: inGroup }) => [
        `${group_id}: owner ${owner}; members ${some(members)}${requests.length > 0 ? `; asking ${some(requests)}` : ''}`,
        ...inGroup
          .slice(0, SHOWN_MAX)
          .map(
            ({ file_name, size, sharers }) =>
              `  ${file_name}  ${size} bytes, shared by ${some(sharers.map((s) => s.user_id))}`,
          ),
        ...more(inGroup.length, 'files', '  '),
      ]),
    ...more(groups.length, 'groups', ''),
  ];
  return `${lines.join('\n')}\n`;
}

function some(names: readonly string[]): string {
  return (
    names.slice(0, SHOWN_MAX).join(', ') + (names.length > SHOWN_MAX ? ` and ${names.length - SHOWN_MAX} more` : '')
  );
}

function more(count: number, what: string, indent: string): string[] {
  return count > SHOWN_MAX ? [`${indent}and ${count - SHOWN_MAX} more ${what}: --json shows all`] : [];
}
