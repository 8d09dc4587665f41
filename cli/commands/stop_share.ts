import { requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';

export default class StopShare extends BaseCommand {
  static override description = `Stops sharing a file in a group. The file on disk stays.

When the last sharer stops, the file leaves the group.`;
  static override examples = ['mt stop_share lab node.tar'];
  static override args = { group_id: groupArg, file_name: fileArg };
  static override errors = [...CHANGE_ERRORS, 'INVALID_NAME', 'NO_SUCH_SHARE'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(StopShare);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    await this.ask('stop_share', { group_id, file_name });
    this.done({ group_id, file_name }, `No longer shared in ${group_id}. The file on disk stays.`);
  }
}
