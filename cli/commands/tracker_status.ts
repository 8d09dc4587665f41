import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';

export default class TrackerStatus extends BaseCommand {
  static override description =
    `Shows every tracker: number, address, role, term, log indexes, how far it lags behind, and whether it answers.

Works without a quorum and without a login.`;
  static override examples = ['mt tracker_status', 'mt tracker_status --json'];
  static override errors = [...DAEMON_ERRORS, 'TRACKER_UNREACHABLE'] as const;

  override async run(): Promise<void> {
    await this.parseLine(TrackerStatus);
    const status = await this.ask('tracker_status', {});
    const rows = status.trackers.map((row) => [
      String(row.number),
      row.address,
      row.role,
      ...[row.term, row.last_index, row.commit_index, row.applied_index, row.lag].map((value) => `${value ?? '-'}`),
    ]);
    const counts = ['term', 'last', 'commit', 'applied', 'lag'].map((right) => ({ right }));
    if (status.leader === null) this.note('There is no leader: fewer than half of the trackers reach each other.');
    this.answer(status, () => table([{ right: 'tracker' }, 'address', 'role', ...counts], rows));
  }
}
