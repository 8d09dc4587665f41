import { BaseCommand } from '../base-command.ts';
import { socketPath } from '../socket-path.ts';

export default class Shell extends BaseCommand {
  static override description =
    `Opens a prompt that takes the same commands without mt. Tab completes commands, groups and file names; quit or Ctrl-D leaves.

The history is kept in a file that only you can read, without passwords. A trailing q on a line is accepted. Lines from a pipe are run one after the other; the exit number is that of the last one.`;
  static override examples = ['mt shell', { description: 'Commands from a file:', command: 'mt shell < commands.txt' }];

  override async run(): Promise<void> {
    const { flags } = await this.parseLine(Shell);
    const inherited = ['--timeout', flags.timeout];
    if (flags.socket !== undefined) inherited.push('--socket', flags.socket);
    for (const name of ['json', 'quiet', 'no-input'] as const) if (flags[name]) inherited.push(`--${name}`);
    const [{ runShell }, { daemonLists }] = await Promise.all([
      import('../shell/prompt.ts'),
      import('../shell/daemon-lists.ts'),
    ]);
    const lists = daemonLists(socketPath(flags.socket, process.env));
    this.exitNumber = await runShell({ lists, inherited, greet: !flags.quiet });
  }
}
