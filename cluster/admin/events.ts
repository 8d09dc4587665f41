// mt-trackerd events: who did what and when, from the log of a data directory, also while its tracker runs. No secret is in it:
// events carry none.
import { setTimeout as sleep } from 'node:timers/promises';
import { MtError } from '../../codec/errors.ts';
import { parseOptions, usage } from '../arguments.ts';
import { sha256 } from '../node/digest.ts';
import type { StateEvent } from '../state/types.ts';
import { openArchive } from '../store/archive.ts';
import { type Replayed, replay } from '../store/replay.ts';
import { chooseDataDir } from './data-dir-option.ts';
import type { Subcommand } from './table.ts';

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
      since: parseSince(values.since ?? '0'),
      user: values.user,
      group: values.group,
      json: values.json === true,
    };
    const archive = openArchive(chooseDataDir(values['data-dir'], positionals[0], env));
    try {
      const { more } = replay(archive, sha256);
      do {
        for (const replayed of more()) print(replayed, filter);
        if (values.follow) await sleep(FOLLOW_MS);
      } while (values.follow);
    } finally {
      archive.close();
    }
  },
};

function print({ row, applied }: Replayed, { since, user, group, json }: Filter): void {
  if (!applied || row.log_index <= since) return;
  for (const [n, event] of applied.events.entries()) {
    const fields = shown(event);
    if (user !== undefined && applied.by !== user && fields.user_id !== user) continue;
    if (group !== undefined && fields.group_id !== group) continue;
    const { type, ...rest } = fields;
    const at = applied.at;
    const line = json
      ? JSON.stringify({ index: row.log_index, n, at, by: applied.by, type, ...rest })
      : `${row.log_index}.${n}  ${new Date(at).toISOString()}  ${applied.by ?? '-'}  ${type}  ${inWords(rest)}`;
    process.stdout.write(`${line}\n`);
  }
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
    .map(([key, value]) => `${key}=${typeof value === 'string' ? JSON.stringify(value) : JSON.stringify(value)}`)
    .join(' ');
}

function parseSince(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new MtError('INVALID_ARGUMENT', '--since takes a log index');
}
