import { requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';

export default class CancelDownload extends BaseCommand {
  static override description =
    'Gives a download up and removes what was fetched of it. A complete one only leaves the list: its file stays.';
  static override examples = ['mt cancel_download lab node.tar'];
  static override args = { group_id: groupArg, file_name: fileArg };
  static override errors = [...DAEMON_ERRORS, 'INVALID_NAME', 'NO_SUCH_DOWNLOAD'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(CancelDownload);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    await this.ask('cancel_download', { group_id, file_name });
    this.done({ group_id, file_name }, 'Cancelled.');
  }
}
