import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';

export default class ListGroups extends BaseCommand {
  static override description =
    'Lists every group in the network: its owner, how many members it has, and your own standing.';
  static override examples = ['mt list_groups', 'mt list_groups --json'];
  static override errors = READ_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(ListGroups);
    const { groups } = await this.ask('list_groups', {});
    if (groups.length === 0) this.note('There are no groups yet. Make one with: mt create_group <group_id>');
    const rows = groups.map(({ group_id, owner, members, standing }) => [
      group_id,
      owner,
      String(members),
      standing === 'none' ? '-' : standing,
    ]);
    this.answer({ groups }, () => table(['group', 'owner', { right: 'members' }, 'you are'], rows));
  }
}
