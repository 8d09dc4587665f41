import * as Flags from '@oclif/core/flags';
import { requireId } from '../../codec/ids.ts';
import { passwordArg, userArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';
import { readPassword } from '../passwords.ts';

export default class CreateUser extends BaseCommand {
  static override description = `Makes an account. It does not log in.

Without a password argument you are asked twice, without echo. An argument is hidden from the process list at once, but your shell's history keeps it.`;
  static override examples = [
    'mt create_user alice',
    { description: 'From a script:', command: `printf %s "$PASSWORD" | mt create_user alice --password-stdin` },
  ];
  static override args = { user_id: userArg, password: passwordArg };
  static override flags = {
    'password-stdin': Flags.boolean({ description: 'Read the password from stdin (one trailing newline is dropped)' }),
  };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'INVALID_ARGUMENT', 'USER_EXISTS'] as const;

  override async run(): Promise<void> {
    const { args, flags } = await this.parseLine(CreateUser);
    const user_id = requireId('user', args.user_id);
    const password = await readPassword(`Password for the new user ${user_id}: `, {
      argument: args.password,
      fromStdin: flags['password-stdin'],
      noInput: flags['no-input'],
      twice: true,
      signal: this.signal,
    });
    await this.ask('create_user', { user_id, password });
    this.done({ user_id }, `Created user ${user_id}. Log in with: mt login ${user_id}`);
  }
}
