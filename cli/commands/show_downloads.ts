import * as Flags from '@oclif/core/flags';
import { MtError } from '../../codec/errors.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { downloadLine } from '../render/downloads.ts';

export default class ShowDownloads extends BaseCommand {
  static override description =
    `Lists the downloads of this daemon: [D] downloading, [C] complete, [E] failed, [P] paused, and why one does not move.

Rates and sizes count in powers of two: 1 MB is 1,048,576 bytes.`;
  static override examples = ['mt show_downloads', 'mt show_downloads --watch'];
  static override flags = {
    watch: Flags.boolean({ char: 'w', description: 'Keep it on screen until Ctrl-C' }),
  };
  static override errors = DAEMON_ERRORS;

  override async run(): Promise<void> {
    const { flags } = await this.parseLine(ShowDownloads);
    if (flags.watch) {
      if (flags.json) throw new MtError('USAGE', '--watch has no JSON form', 'Poll: mt show_downloads --json');
      const { watchDownloads } = await import('../render/watch.ts');
      return watchDownloads(async () => (await this.ask('show_downloads', {})).downloads, this.signal);
    }
    const { downloads } = await this.ask('show_downloads', {});
    if (downloads.length === 0) this.note('There are no downloads.');
    this.answer({ downloads }, () => downloads.map(downloadLine).join('\n'));
  }
}
