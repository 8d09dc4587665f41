import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { formatLimit, parseSize } from '../render/units.ts';

export default class Limits extends BaseCommand {
  static override description = `Shows or sets the transfer limits of this daemon, in bytes a second.

A new limit holds at once, for running transfers too, and is remembered for the next start of the daemon, where its own flags and configuration stand over it. Sizes are powers of two: 20M is 20,971,520. 0 means no limit.`;
  static override examples = [
    'mt limits',
    { description: 'Send at most 2 MB/s, receive without a limit:', command: 'mt limits --up 2M --down 0' },
  ];
  static override flags = {
    up: Flags.string({ description: 'Upload limit, such as 64K or 20M; 0 for none', helpValue: 'RATE' }),
    down: Flags.string({ description: 'Download limit, such as 64K or 20M; 0 for none', helpValue: 'RATE' }),
  };
  static override errors = [...DAEMON_ERRORS, 'INVALID_ARGUMENT'] as const;

  override async run(): Promise<void> {
    const { flags } = await this.parseLine(Limits);
    const limits = await this.ask('limits', {
      up: flags.up === undefined ? null : parseSize(flags.up),
      down: flags.down === undefined ? null : parseSize(flags.down),
    });
    this.answer(limits, () => `up    ${formatLimit(limits.up)}\ndown  ${formatLimit(limits.down)}`);
  }
}
