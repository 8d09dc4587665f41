import { requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';
import { formatTime } from '../render/units.ts';

export default class ListRequests extends BaseCommand {
  static override description =
    'Lists who asks to join a group. For its owner only, who answers with accept_request or reject_request.';
  static override examples = ['mt list_requests lab'];
  static override args = { group_id: groupArg };
  static override errors = [...READ_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NOT_OWNER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(ListRequests);
    const { requests } = await this.ask('list_requests', { group_id: requireId('group', args.group_id) });
    if (requests.length === 0) this.note('Nobody asks to join.');
    const rows = requests.map((request) => [request.user_id, formatTime(request.at)]);
    this.answer({ requests }, () => table(['user', 'asked at'], rows));
  }
}
