import { requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class CreateGroup extends BaseCommand {
  static override description = 'Makes a group. You are its owner and first member.';
  static override examples = ['mt create_group lab'];
  static override args = { group_id: groupArg };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'GROUP_EXISTS'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(CreateGroup);
    const group_id = requireId('group', args.group_id);
    await this.ask('create_group', { group_id });
    this.done({ group_id }, `Created group ${group_id}.`);
  }
}
