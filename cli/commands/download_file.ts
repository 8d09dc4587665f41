import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { DownloadRow } from '../../codec/control-api.ts';
import { isMtError, MtError } from '../../codec/errors.ts';
import { printable, requireFileName, requireId } from '../../codec/ids.ts';
import { fileArg, groupArg } from '../arguments.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';
import { ProgressBar, progressText } from '../render/progress.ts';
import { quoted } from '../render/quoted.ts';
import { formatSize } from '../render/units.ts';

export default class DownloadFile extends BaseCommand {
  static override description =
    `Fetches a file or a shared directory from every member who has pieces of it, verifies each piece and the whole, and shares it on.

A directory is fetched into one .part file and gets its name when all of it is there: meanwhile it takes its size twice. It never replaces or merges with what exists, with --force neither.

Waits with a progress bar. Ctrl-C, 30 s without any source, and a full disk end the command, not the download: that stays in the daemon and goes on when it can.`;
  static override examples = [
    'mt download_file lab node.tar .',
    {
      description: 'Under another name, replacing what is there:',
      command: 'mt download_file lab node.tar ~/n.tar --force',
    },
    { description: 'Only start it, and look later:', command: 'mt download_file lab node.tar . --detach' },
  ];
  static override args = {
    group_id: groupArg,
    file_name: fileArg,
    destination_path: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'A directory (the file keeps its name) or a file path, from your working directory',
    }),
  };
  static override flags = {
    force: Flags.boolean({ description: 'Replace an existing file' }),
    detach: Flags.boolean({ description: 'Return at once; the daemon goes on' }),
    peer: Flags.string({ description: "Fetch from this user's daemons only", helpValue: 'USER_ID' }),
    progress: Flags.boolean({
      description: 'Report progress without a terminal too: lines on stderr, or with --json one document a line',
    }),
  };
  static override errors = [
    ...CHANGE_ERRORS,
    'INVALID_NAME',
    'NOT_MEMBER',
    'NO_SUCH_GROUP',
    'NO_SUCH_FILE',
    'PATH_NOT_FOUND',
    'NO_SEEDERS',
    'INTEGRITY',
    'DISK_FULL',
    'PERMISSION',
    'ALREADY_DOWNLOADED',
    'DESTINATION_EXISTS',
  ] as const;

  override async run(): Promise<void> {
    const { args, flags } = await this.parseLine(DownloadFile);
    const group_id = requireId('group', args.group_id);
    const file_name = requireFileName(args.file_name);
    const peer = flags.peer === undefined ? null : requireId('user', flags.peer);
    const destination = this.absolutePath(args.destination_path);
    const { force, detach, json, quiet, progress } = flags;
    const bar = new ProgressBar(printable(file_name), json || quiet || detach);
    const onEvent = (row: DownloadRow) => (progress ? this.#report(row) : bar.update(row));
    try {
      const params = { group_id, file_name, destination, force, detach, peer };
      const result = await this.ask('download_file', params, { unbounded: true, onEvent });
      bar.stop();
      if (result.warning !== null) this.warning(harmless(result.warning));
      const sentence =
        result.state === 'complete'
          ? `Fetched ${harmless(result.destination)} (${formatSize(result.size)}), SHA-1 ${result.sha1}`
          : 'The daemon fetches it. Watch it with: mt show_downloads --watch';
      this.done(result, sentence);
    } catch (error) {
      bar.stop();
      throw isMtError(error, 'INTERRUPTED') ? goesOn(group_id, file_name) : error;
    }
  }

  #report(row: DownloadRow): void {
    if (this.globals.json) process.stdout.write(`${JSON.stringify(row)}\n`);
    else process.stderr.write(`${progressText(row)}\n`);
  }
}

function goesOn(group: string, file: string): MtError {
  return new MtError(
    'INTERRUPTED',
    'The download goes on in the daemon',
    `See it with: mt show_downloads. Stop it with: mt cancel_download ${group} ${quoted(file)}`,
  );
}
