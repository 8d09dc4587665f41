import * as Args from '@oclif/core/args';
import { MtError } from '../../codec/errors.ts';
import { requireId } from '../../codec/ids.ts';
import { BaseCommand } from '../base-command.ts';
import { CHANGE_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';
import { table } from '../render/table.ts';

export default class Watch extends BaseCommand {
  static override description =
    `Shares what is in a directory, and what appears in it, in a group. Without arguments: lists the watched directories.

The daemon goes on watching after a restart and after a logout and login, until mt unwatch. A file is shared once it has not changed for 2 s. Passed over: sub-directories, symbolic links, hidden files, and names of unfinished files and backups (.part, .tmp, .crdownload, ~ …). A name that the group has with other content is reported here and not tried again until the file changes. A file that is deleted later is shown by mt show_shares as missing.`;
  static override examples = [
    'mt watch ~/outbox lab',
    { description: 'What is watched, how far it is, and what could not be shared:', command: 'mt watch' },
  ];
  static override args = {
    path: Args.string({ ignoreStdin: true, description: 'The directory, from your working directory' }),
    group_id: Args.string({ ignoreStdin: true, description: 'The group' }),
  };
  static override errors = [
    ...CHANGE_ERRORS,
    'INVALID_NAME',
    'INVALID_ARGUMENT',
    'PATH_NOT_FOUND',
    'PERMISSION',
    'NO_SUCH_GROUP',
    'NOT_MEMBER',
  ] as const;

  override async run(): Promise<void> {
    const { args } = await this.parseLine(Watch);
    if (args.path === undefined) return await this.#list();
    if (args.group_id === undefined) {
      throw new MtError('USAGE', 'watch needs <group_id>', 'mt watch <path> <group_id>; mt watch alone lists.');
    }
    const params = { path: this.absolutePath(args.path), group_id: requireId('group', args.group_id) };
    const watch = await this.ask('watch', params);
    const how = watch.new_watch ? 'Watching' : 'Already watching';
    this.done(watch, `${how} ${harmless(watch.path)} for ${watch.group_id}. See how far it is: mt watch`);
  }

  async #list(): Promise<void> {
    const { watches } = await this.ask('list_watches', {});
    if (watches.length === 0) this.note('No directory is watched. Begin with: mt watch <path> <group_id>');
    const rows = watches.map((watch) => [
      watch.group_id,
      String(watch.shared),
      String(watch.waiting),
      String(watch.failed.length),
      watch.problem === null ? watch.path : `${watch.path} (${watch.problem})`,
    ]);
    const counts = ['shared', 'waiting', 'failed'].map((right) => ({ right }));
    const failed = watches.flatMap((watch) =>
      watch.failed.map(({ file, message }) => `${harmless(file)}: ${harmless(message)}`),
    );
    this.answer({ watches }, () => [table(['group', ...counts, 'directory'], rows), ...failed].join('\n'));
  }
}
