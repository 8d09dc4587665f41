import { requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class JoinGroup extends BaseCommand {
  static override description =
    'Asks to join a group. Its owner decides; after a rejection you may ask again. mt list_groups shows your standing.';
  static override examples = ['mt join_group lab'];
  static override args = { group_id: groupArg };
  static override errors = [
    ...CHANGE_ERRORS,
    'INVALID_NAME',
    'NO_SUCH_GROUP',
    'ALREADY_MEMBER',
    'ALREADY_REQUESTED',
  ] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(JoinGroup);
    const group_id = requireId('group', args.group_id);
    await this.ask('join_group', { group_id });
    this.done({ group_id }, `Asked to join ${group_id}. Its owner decides.`);
  }
}
