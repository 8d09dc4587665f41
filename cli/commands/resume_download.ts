import { requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';

export default class ResumeDownload extends BaseCommand {
  static override description = 'Goes on with a download that was paused, or that failed.';
  static override examples = ['mt resume_download lab node.tar'];
  static override args = { group_id: groupArg, file_name: fileArg };
  static override errors = [
    ...DAEMON_ERRORS,
    'INVALID_NAME',
    'NOT_LOGGED_IN',
    'NOT_MEMBER',
    'NO_SUCH_DOWNLOAD',
  ] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(ResumeDownload);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    await this.ask('resume_download', { group_id, file_name });
    this.done({ group_id, file_name }, 'Goes on. Watch it with: mt show_downloads --watch');
  }
}
