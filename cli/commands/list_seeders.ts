import { requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';

export default class ListSeeders extends BaseCommand {
  static override description = 'Lists who can serve a file now, as a whole or in part. For members only.';
  static override examples = ['mt list_seeders lab node.tar'];
  static override args = { group_id: groupArg, file_name: fileArg };
  static override errors = [...READ_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NO_SUCH_FILE', 'NOT_MEMBER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(ListSeeders);
    const group_id = requireId('group', args.group_id);
    const { seeders } = await this.ask('list_seeders', { group_id, file_name: requireFileName(args.file_name) });
    if (seeders.length === 0) this.note('Nobody serves it now.');
    const rows = seeders.map((seeder) => [
      seeder.user_id,
      String(seeder.pieces),
      seeder.complete ? 'complete' : 'in part',
    ]);
    this.answer({ seeders }, () => table(['user', { right: 'pieces' }, 'has it'], rows));
  }
}
