import * as Flags from '@oclif/core/flags';
import { requireId } from '../../codec/ids.ts';
import { passwordArg, userArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';
import { readPassword } from '../passwords.ts';

export default class Login extends BaseCommand {
  static override description =
    `Logs this daemon in. Everything that this user shared here before is shared again, from this address.

A user may be logged in at several daemons at once, each with its own shares. The daemon stays logged in until mt logout, across restarts.`;
  static override examples = [
    'mt login alice',
    { description: 'From a script:', command: `printf %s "$PASSWORD" | mt login alice --password-stdin` },
  ];
  static override args = { user_id: userArg, password: passwordArg };
  static override flags = {
    'password-stdin': Flags.boolean({ description: 'Read the password from stdin (one trailing newline is dropped)' }),
  };
  static override errors = [
    ...CHANGE_ERRORS.filter((code) => code !== 'NOT_LOGGED_IN'),
    'INVALID_NAME',
    'INVALID_ARGUMENT',
    'BAD_CREDENTIALS',
    'TOO_MANY_ATTEMPTS',
    'ALREADY_LOGGED_IN',
    'UNTRUSTED_CLUSTER',
  ] as const;

  override async run(): Promise<void> {
    const { args, flags } = await this.parseLine(Login);
    const user_id = requireId('user', args.user_id);
    const password = await readPassword(`Password of ${user_id}: `, {
      argument: args.password,
      fromStdin: flags['password-stdin'],
      noInput: flags['no-input'],
      signal: this.signal,
    });
    await this.ask('login', { user_id, password });
    this.done({ user_id }, `Logged in as ${user_id}.`);
  }
}
