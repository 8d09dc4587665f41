import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { ControlApi } from '../../codec/control-api.ts';
import { MtError } from '../../codec/errors.ts';
import { printable, requireFileName, requireId } from '../../codec/ids.ts';
import type { Result } from '../../codec/rpc.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';
import { facts, table } from '../render/table.ts';
import { formatDuration, formatLimit, formatSize, formatTime, percentOf, plural } from '../render/units.ts';

type Answer = Result<ControlApi, 'scrub_status'>;

export default class Scrub extends BaseCommand {
  static override description = `Checks that shared files are still what they were, piece by piece.

The daemon reads all shares again by itself, slowly (--scrub-rate, --scrub-interval of mt-peerd). Without arguments this shows how far it is. With a group and a file it reads that one now and waits. Damaged pieces are no longer served, and are fetched again from other seeders in the background.`;
  static override examples = [
    'mt scrub',
    { description: 'Check one file now:', command: 'mt scrub lab node.tar' },
    { description: 'Check all shares now, in the background:', command: 'mt scrub --all' },
  ];
  static override args = {
    group_id: Args.string({ ignoreStdin: true, description: 'The group' }),
    file_name: Args.string({ ignoreStdin: true, description: "The file's name in the group" }),
  };
  static override flags = {
    all: Flags.boolean({ description: 'Start with all shares now' }),
  };
  static override errors = [
    ...DAEMON_ERRORS,
    'INVALID_NAME',
    'NO_SUCH_SHARE',
    'PATH_NOT_FOUND',
    'INTEGRITY',
    'PERMISSION',
  ] as const;

  override async run(): Promise<void> {
    const { args, flags } = await this.parseLine(Scrub);
    if (args.group_id === undefined) return this.#show(flags.all);
    if (args.file_name === undefined || flags.all) {
      throw new MtError('USAGE', 'A group and a file, or --all, or nothing', 'See: mt help scrub');
    }
    await this.#check(requireId('group', args.group_id), requireFileName(args.file_name));
  }

  async #check(group_id: string, file_name: string): Promise<void> {
    const { ProgressBar } = await import('../render/progress.ts');
    const bar = new ProgressBar(`Checking ${printable(file_name)}`, this.globals.json || this.globals.quiet);
    const onEvent = (event: { bytes_done: number; size: number }) => bar.update(event);
    try {
      const found = await this.ask('scrub', { group_id, file_name }, { unbounded: true, onEvent });
      bar.stop();
      const { pieces, damaged_pieces: damaged } = found;
      this.answer(found, () =>
        damaged === 0
          ? `All ${plural(pieces, 'piece')} of ${harmless(file_name)} are as they were.`
          : `${damaged} of ${plural(pieces, 'piece')} are damaged: no longer served, and fetched again from other seeders. See: mt show_shares`,
      );
    } finally {
      bar.stop();
    }
  }

  async #show(start: boolean): Promise<void> {
    const status = await this.ask('scrub_status', { start });
    this.answer(status, () => `${facts(summary(status))}\n${files(status)}`);
  }
}

function summary({ rate, interval_ms, running, ...since }: Answer): [string, string][] {
  const now = running
    ? `${running.group_id} ${running.file_name}, ${percentOf(running.bytes_done, running.size)}%`
    : '(nothing is due)';
  return [
    ['reads', now],
    ['rate', `${formatLimit(rate)}, less while transfers run`],
    ['each file again after', interval_ms === 0 ? '(never by itself)' : formatDuration(interval_ms)],
    [
      'since the start',
      `${formatSize(since.bytes_checked)} read, ${since.pieces_damaged} damaged, ${since.pieces_repaired} repaired`,
    ],
  ];
}

function files({ shares }: Answer): string {
  const rows = shares.map((share) => [
    share.group_id,
    share.file_name,
    share.checked_at === null ? 'not yet' : formatTime(share.checked_at),
    share.damaged_pieces === 0 ? '' : String(share.damaged_pieces),
  ]);
  return table(['group', 'file', 'last checked', 'damaged pieces'], rows);
}
