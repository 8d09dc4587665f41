import { requireId } from '../../codec/ids.ts';
import { groupArg, userArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class AcceptRequest extends BaseCommand {
  static override description = 'Lets a user into a group who asked to join. For its owner only.';
  static override examples = ['mt accept_request lab bob'];
  static override args = { group_id: groupArg, user_id: userArg };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NO_SUCH_REQUEST', 'NOT_OWNER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(AcceptRequest);
    const group_id = requireId('group', args.group_id);
    const user_id = requireId('user', args.user_id);
    await this.ask('accept_request', { group_id, user_id });
    this.done({ group_id, user_id }, `${user_id} is now a member of ${group_id}.`);
  }
}
