import { requireId } from '../../codec/ids.ts';
import { groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { READ_ERRORS } from '../error-sets.ts';
import { table } from '../render/table.ts';
import { formatSize } from '../render/units.ts';

export default class ListFiles extends BaseCommand {
  static override description = `Lists the files of a group: name, size, seeders online, SHA-1. For members only.

A shared directory is one entry, shown with a slash behind its name and the size of all files in it.`;
  static override examples = ['mt list_files lab', 'mt list_files lab --json'];
  static override aliases = ['list_file'];
  static override args = { group_id: groupArg };
  static override errors = [...READ_ERRORS, 'INVALID_NAME', 'NO_SUCH_GROUP', 'NOT_MEMBER'] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(ListFiles);
    const { files } = await this.ask('list_files', { group_id: requireId('group', args.group_id) });
    if (files.length === 0) this.note('There are no files yet. Share one with: mt upload_file <path> <group_id>');
    const rows = files.map((file) => [
      file.file_name + markOf(file.kind),
      formatSize(file.content_size ?? file.size),
      String(file.seeders),
      file.sha1,
    ]);
    this.answer({ files }, () => table(['file', { right: 'size' }, { right: 'seeders' }, 'sha1'], rows));
  }
}

/** A kind that this version does not know is named, so that nobody takes it for a file. */
function markOf(kind: string | undefined): string {
  if (kind === undefined) return '';
  return kind === 'directory' ? '/' : ` (${kind})`;
}
