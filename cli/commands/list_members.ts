import { requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';

export default class ListMembers extends BaseCommand {
  static override description = 'Lists the members of a group and who of them is online. For members only.';
  static override examples = ['mt list_members lab'];
  static override args = { group_id: groupArg };
  static override errors = [...READ_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NOT_MEMBER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(ListMembers);
    const { members } = await this.ask('list_members', { group_id: requireId('group', args.group_id) });
    const rows = members.map((member) => [
      member.user_id,
      member.owner ? 'owner' : 'member',
      member.online ? 'online' : 'offline',
    ]);
    this.answer({ members }, () => table(['user', 'role', 'state'], rows));
  }
}
