import { requireId } from '../../codec/ids.ts';
import { groupArg, userArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class RemoveMember extends BaseCommand {
  static override description =
    'Removes a member from a group. For its owner only. The shares and transfers of that member there end at once.';
  static override examples = ['mt remove_member lab bob'];
  static override args = { group_id: groupArg, user_id: userArg };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NO_SUCH_MEMBER', 'NOT_OWNER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(RemoveMember);
    const group_id = requireId('group', args.group_id);
    const user_id = requireId('user', args.user_id);
    await this.ask('remove_member', { group_id, user_id });
    this.done({ group_id, user_id }, `Removed ${user_id} from ${group_id}.`);
  }
}
