import * as Args from '@oclif/core/args';
import { printable, requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';

export default class Relocate extends BaseCommand {
  static override description =
    `Says where a shared file is now, after you moved or renamed it. It is read once, and served from there when size and hashes are right.

A file that was moved near its old place is found again without this. See which are missing: mt show_shares.`;
  static override examples = ['mt relocate lab node.tar /archive/2026/node.tar'];
  static override args = {
    group_id: groupArg,
    file_name: fileArg,
    new_path: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'Where it is now, from your working directory',
    }),
  };
  static override errors = [
    ...DAEMON_ERRORS,
    'INVALID_NAME',
    'INVALID_ARGUMENT',
    'NO_SUCH_SHARE',
    'PATH_NOT_FOUND',
    'INTEGRITY',
    'PERMISSION',
  ] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(Relocate);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    const path = this.absolutePath(args.new_path);
    const { ProgressBar } = await import('../render/progress.ts');
    const bar = new ProgressBar(`Reading ${printable(file_name)}`, this.globals.json || this.globals.quiet);
    const onEvent = (event: { bytes_done: number; size: number }) => bar.update(event);
    try {
      const found = await this.ask('relocate', { group_id, file_name, path }, { unbounded: true, onEvent });
      bar.stop();
      this.done(found, `It is the same content: ${harmless(file_name)} is shared from ${harmless(found.path)} now.`);
    } finally {
      bar.stop();
    }
  }
}
