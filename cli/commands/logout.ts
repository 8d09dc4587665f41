import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class Logout extends BaseCommand {
  static override description =
    'Logs this daemon out. It stops sharing everything; what was shared is remembered for the next login of the same user.';
  static override examples = ['mt logout'];
  static override errors = CHANGE_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(Logout);
    await this.ask('logout', {});
    this.done({}, 'Logged out.');
  }
}
