import { requireId } from '../../codec/ids.ts';
import { groupArg, userArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class TransferOwnership extends BaseCommand {
  static override description = 'Makes another member the owner of a group. For its owner only, who stays a member.';
  static override examples = ['mt transfer_ownership lab bob'];
  static override args = { group_id: groupArg, user_id: userArg };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NO_SUCH_MEMBER', 'NOT_OWNER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(TransferOwnership);
    const group_id = requireId('group', args.group_id);
    const user_id = requireId('user', args.user_id);
    await this.ask('transfer_ownership', { group_id, user_id });
    this.done({ group_id, user_id }, `${user_id} is now the owner of ${group_id}.`);
  }
}
