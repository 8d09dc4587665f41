import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';

export default class Whoami extends BaseCommand {
  static override description = 'Prints who is logged in at this daemon. Prints nothing to stdout when nobody is.';
  static override examples = ['mt whoami', 'mt whoami --json'];
  static override errors = DAEMON_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(Whoami);
    const { user_id } = await this.ask('whoami', {});
    if (user_id === null) this.note('Nobody is logged in here.');
    this.answer({ user_id }, () => user_id ?? '');
  }
}
