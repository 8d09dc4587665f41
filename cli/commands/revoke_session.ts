import * as Args from '@oclif/core/args';
import * as v from 'valibot';
import { MtError } from '../../codec/errors.ts';
import { tokenSchema } from '../../codec/ids.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class RevokeSession extends BaseCommand {
  static override description =
    'Logs one of your daemons out from here, such as that of a lost laptop. Its transfers are cut at once.';
  static override examples = ['mt revoke_session 0f1e2d3c4b5a69788796a5b4c3d2e1f0'];
  static override args = {
    session: Args.string({ required: true, ignoreStdin: true, description: 'As mt sessions prints it' }),
  };
  static override errors = [...CHANGE_ERRORS, 'INVALID_ARGUMENT'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(RevokeSession);
    if (!v.is(tokenSchema, args.session)) {
      throw new MtError('INVALID_ARGUMENT', 'A session is 32 hexadecimal digits', 'See them with: mt sessions');
    }
    await this.ask('revoke_session', { session: args.session });
    this.done({ session: args.session }, 'That session is ended.');
  }
}
