import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';
import { formatTime } from '../render/units.ts';

export default class Sessions extends BaseCommand {
  static override description =
    'Lists where you are logged in: one session for each daemon. mt revoke_session ends one of them from here.';
  static override examples = ['mt sessions'];
  static override errors = READ_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(Sessions);
    const { sessions } = await this.ask('list_sessions', {});
    const rows = sessions.map((row) => [
      row.session,
      row.address ?? '-',
      row.online ? 'online' : 'offline',
      formatTime(row.since),
      row.this_daemon ? 'this daemon' : '',
    ]);
    this.answer({ sessions }, () => table(['session', 'address', 'state', 'since', ''], rows));
  }
}
