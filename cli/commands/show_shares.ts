import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';
import { table } from '../render/table.ts';

export default class ShowShares extends BaseCommand {
  static override description = `Lists what this daemon shares, and whether each file is still there and unchanged.

States: shared; pending (the trackers do not know yet); missing or changed (the file on disk is, so it is not served); damaged (some pieces are, the others are served); not_shared (nobody is logged in).`;
  static override examples = ['mt show_shares', 'mt show_shares --json'];
  static override errors = DAEMON_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(ShowShares);
    const { shares } = await this.ask('show_shares', {});
    if (shares.length === 0) this.note('This daemon shares nothing.');
    const rows = shares.map((share) => [share.group_id, share.file_name, share.state, share.path]);
    const notes = shares.flatMap(({ file_name, note }) =>
      note === undefined ? [] : [`${harmless(file_name)}: ${harmless(note)}`],
    );
    this.answer({ shares }, () => [table(['group', 'file', 'state', 'path'], rows), ...notes].join('\n'));
  }
}
