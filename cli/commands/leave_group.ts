import { requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class LeaveGroup extends BaseCommand {
  static override description = `Leaves a group, or withdraws your request to join it. Your shares there stop.

When the owner leaves, the longest-standing member becomes the owner; when the last member leaves, the group ends.`;
  static override examples = ['mt leave_group lab'];
  static override args = { group_id: groupArg };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NOT_MEMBER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(LeaveGroup);
    const group_id = requireId('group', args.group_id);
    await this.ask('leave_group', { group_id });
    this.done({ group_id }, `Left ${group_id}.`);
  }
}
