import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';

export default class ListGroups extends BaseCommand {
  static override description =
    'Lists every group in the network: its owner, how many members it has, and your own standing.';
  static override examples = ['mt list_groups', 'mt list_groups --json'];
  static override errors = READ_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(ListGroups);
    const { groups } = await this.ask('list_groups', {});
    if (groups.length === 0) this.note('There are no groups yet. Make one with: mt create_group <group_id>');
    this.answer({ groups }, this.globals.json ? '' : await rendered(groups));
  }
}

async function rendered(
  groups: readonly { group_id: string; owner: string; members: number; standing: string }[],
): Promise<string> {
  const { table } = await import('../render/table.ts');
  return table(
    [{ title: 'group' }, { title: 'owner' }, { title: 'members', align: 'right' }, { title: 'you are' }],
    groups.map((group) => [
      group.group_id,
      group.owner,
      String(group.members),
      group.standing === 'none' ? '-' : group.standing,
    ]),
  );
}
