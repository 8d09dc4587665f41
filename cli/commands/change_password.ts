import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';
import { readPasswordChange } from '../passwords.ts';

export default class ChangePassword extends BaseCommand {
  static override description = `Changes the password of the user who is logged in.

Asks for the password now, and twice for the new one, without echo.`;
  static override examples = [
    'mt change_password',
    {
      description: 'From a script, the old password and the new one on two lines:',
      command: `printf '%s\\n' "$OLD" "$NEW" | mt change_password --password-stdin`,
    },
  ];
  static override flags = {
    'password-stdin': Flags.boolean({
      description: 'Read both from stdin, on two lines: the password now, then the new one',
    }),
  };
  static override errors = [...CHANGE_ERRORS, 'INVALID_ARGUMENT', 'BAD_CREDENTIALS', 'TOO_MANY_ATTEMPTS'] as const;

  override async run(): Promise<void> {
    const { flags } = await this.parseLine(ChangePassword);
    const { oldPassword, newPassword } = await readPasswordChange({
      fromStdin: flags['password-stdin'],
      noInput: flags['no-input'],
      signal: this.signal,
    });
    await this.ask('change_password', { old_password: oldPassword, new_password: newPassword });
    this.done({}, 'Password changed.');
  }
}
