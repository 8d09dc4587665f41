// mt-trackerd events: who did what and when, from the log of a data directory, also while its tracker runs. No secret is in it:
// events carry none.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseIndex, parseOptions, usage } from '../arguments.ts';
import { sha256 } from '../node/digest.ts';
import { rosterOf, type Standing } from '../node/roster.ts';
import { decodeMembership } from '../raft/membership.ts';
import type { StateEvent } from '../state/types.ts';
import { KIND_NAME } from '../store/checksum.ts';
import { DamageError } from '../store/database.ts';
import type { EntryRow } from '../store/event-log.ts';
import { type Replayed, replay } from '../store/replay.ts';
import { chooseDataDir } from './data-dir-option.ts';
import type { Subcommand } from './subcommand.ts';
import { withArchive } from './with-archive.ts';

const FOLLOW_MS = 250;

interface Filter {
  readonly since: number;
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly json: boolean;
}

export const events: Subcommand = {
  usage: '[tracker_number] [--data-dir DIR] [--since N] [--user U] [--group G] [--follow] [--json]',
  summary: 'who did what and when',
  async run(argv, env) {
    const { values, positionals } = parseOptions(argv, {
      'data-dir': { type: 'string' },
      since: { type: 'string' },
      user: { type: 'string' },
      group: { type: 'string' },
      follow: { type: 'boolean' },
      json: { type: 'boolean' },
    });
    if (positionals.length > 1) throw usage('Too many arguments');
    const filter = {
      since: parseIndex('--since', values.since ?? '0'),
      user: values.user,
      group: values.group,
      json: values.json === true,
    };
    await withArchive(chooseDataDir(values['data-dir'], positionals[0], env), async (archive) => {
      const { anchor, state, more } = replay(archive, sha256);
      if (anchor > filter.since) process.stderr.write(`mt-trackerd: the history begins after entry ${anchor}\n`);
      do {
        for (const replayed of more()) print(replayed, state.now, filter);
        if (values.follow) await sleep(FOLLOW_MS);
      } while (values.follow);
    });
  },
};

function print({ row, applied }: Replayed, nowMs: number, { since, user, group, json }: Filter): void {
  if (row.log_index <= since) return;
  const events = applied ? applied.events.map(shown) : membersIn(row);
  const by = applied?.by ?? null;
  const at = applied?.at ?? nowMs; // a change of members carries no time: that of the command before it
  for (const [n, fields] of events.entries()) {
    if (user !== undefined && by !== user && fields.user_id !== user) continue;
    if (group !== undefined && fields.group_id !== group) continue;
    const { type, ...rest } = fields;
    const line = json
      ? JSON.stringify({ index: row.log_index, n, at, by, type, ...rest })
      : `${row.log_index}.${n}  ${new Date(at).toISOString()}  ${by ?? '-'}  ${type}  ${inWords(rest)}`;
    process.stdout.write(`${line}\n`);
  }
}

/** A change of the cluster's members, as an event; nothing for the entry that a new leader begins with. */
function membersIn(row: EntryRow): Record<string, unknown>[] {
  if (KIND_NAME[row.kind] !== 'config') return [];
  const membership = decodeMembership(row.data);
  if (!membership) throw new DamageError(`log row ${row.log_index} names no members`);
  const numbers = (wanted: Standing) =>
    rosterOf(membership)
      .filter(({ standing }) => standing === wanted)
      .map(({ number }) => number);
  return [
    {
      type: 'trackers_changed',
      voters: numbers('voter'),
      learners: numbers('learner'),
      awaited: numbers('awaited'),
      removed: numbers('removed'),
    },
  ];
}

/** An event as plain JSON values: hashes in hex. */
function shown(event: StateEvent): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(event).map(([key, value]) => [
      key,
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    ]),
  );
}

function inWords(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join(' ');
}
