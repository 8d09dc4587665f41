import { basename } from 'node:path';
import * as Args from '@oclif/core/args';
import { printable, requireFileName, requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';
import { formatSize } from '../render/units.ts';

export default class UploadFile extends BaseCommand {
  static override description =
    `Shares a file or a directory in a group. Its name, size and hashes go to the trackers, never its content: that stays where it is, and members fetch it from this daemon.

A directory is one entry of the group, with everything in it: names, contents, empty directories, and which files may be run. Symbolic links and other special files in it are refused. What is added to it later is not part of it; a file in it that changes ends the share.

The same content under the same name makes this daemon one more seeder. Other content under a name that is taken is refused.`;
  static override examples = [
    'mt upload_file ./node.tar lab',
    "mt upload_file 'holiday photos.zip' family",
    { description: 'A directory with all that is in it:', command: 'mt upload_file ./photos family' },
  ];
  static override args = {
    path: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'The file or directory, from your working directory',
    }),
    group_id: groupArg,
  };
  static override errors = [
    ...CHANGE_ERRORS,
    'INVALID_NAME',
    'INVALID_ARGUMENT',
    'TOO_LARGE',
    'PATH_NOT_FOUND',
    'PERMISSION',
    'NO_SUCH_GROUP',
    'NOT_MEMBER',
    'FILE_EXISTS',
    'ALREADY_SHARED',
  ] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(UploadFile);
    const path = this.absolutePath(args.path);
    const file_name = requireFileName(basename(path));
    const group_id = requireId('group', args.group_id);
    const { ProgressBar } = await import('../render/progress.ts');
    const bar = new ProgressBar(`Reading ${printable(file_name)}`, this.globals.json || this.globals.quiet);
    try {
      const shared = await this.ask(
        'upload_file',
        { path, group_id },
        { unbounded: true, onEvent: (event) => bar.update(event) },
      );
      bar.stop();
      const how = shared.new_file ? 'Shared' : 'The group had it already; you are one more seeder of';
      this.done(
        shared,
        `${how} ${harmless(shared.file_name)}${shared.kind === 'directory' ? '/' : ''} (${formatSize(shared.content_size ?? shared.size)}) in ${group_id}, SHA-1 ${shared.sha1}`,
      );
    } finally {
      bar.stop();
    }
  }
}
