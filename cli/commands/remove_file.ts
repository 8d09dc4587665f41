import { requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class RemoveFile extends BaseCommand {
  static override description =
    'Takes a file out of a group for everyone. For the owner of the group and the publisher of the file. No file on disk is touched.';
  static override examples = ['mt remove_file lab node.tar'];
  static override args = { group_id: groupArg, file_name: fileArg };
  static override errors = [
    ...CHANGE_ERRORS,
    'INVALID_NAME',
    'NO_SUCH_GROUP',
    'NO_SUCH_FILE',
    'NOT_MEMBER',
    'FORBIDDEN',
  ] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(RemoveFile);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    await this.ask('remove_file', { group_id, file_name });
    this.done({ group_id, file_name }, `Removed from ${group_id} for everyone.`);
  }
}
