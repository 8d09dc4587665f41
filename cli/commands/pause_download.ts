import { requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { quoted } from '../render/quoted.ts';

export default class PauseDownload extends BaseCommand {
  static override description =
    'Pauses a download. Its verified pieces are kept, and shared on; mt resume_download goes on from there.';
  static override examples = ['mt pause_download lab node.tar'];
  static override args = { group_id: groupArg, file_name: fileArg };
  static override errors = [...DAEMON_ERRORS, 'INVALID_NAME', 'NO_SUCH_DOWNLOAD'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(PauseDownload);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    await this.ask('pause_download', { group_id, file_name });
    this.done({ group_id, file_name }, `Paused. Go on with: mt resume_download ${group_id} ${quoted(file_name)}`);
  }
}
