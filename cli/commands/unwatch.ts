import * as Args from '@oclif/core/args';
import { requireId } from '../../codec/ids.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';

export default class Unwatch extends BaseCommand {
  static override description = `Ends the watching of a directory: what appears in it is no longer shared.

What was shared from it stays shared; end that with mt stop_share.`;
  static override examples = [
    'mt unwatch ~/outbox',
    { description: 'For one group only:', command: 'mt unwatch ~/outbox lab' },
  ];
  static override args = {
    path: Args.string({ required: true, ignoreStdin: true, description: 'The directory, as mt watch lists it' }),
    group_id: Args.string({ ignoreStdin: true, description: 'The group; without it: every group' }),
  };
  static override errors = [...DAEMON_ERRORS, 'INVALID_NAME', 'NOT_LOGGED_IN', 'NO_SUCH_SHARE'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(Unwatch);
    const group_id = args.group_id === undefined ? null : requireId('group', args.group_id);
    const ended = await this.ask('unwatch', { path: this.absolutePath(args.path), group_id });
    this.done(ended, `No longer watching ${harmless(args.path)} for ${ended.group_ids.join(', ')}.`);
  }
}
