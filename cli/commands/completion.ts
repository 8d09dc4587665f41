import * as Args from '@oclif/core/args';
import { MtError } from '../../codec/errors.ts';
import { printable } from '../../codec/ids.ts';
import { BaseCommand } from '../base-command.ts';
import { socketPath } from '../socket-path.ts';

export default class Completion extends BaseCommand {
  static override description =
    `Prints a completion script for your shell: commands, flags, and the groups, files and users that the daemon knows.`;
  static override examples = [
    { description: 'bash, in ~/.bashrc:', command: 'eval "$(mt completion bash)"' },
    { description: 'zsh, in ~/.zshrc after compinit:', command: 'eval "$(mt completion zsh)"' },
    { description: 'fish:', command: 'mt completion fish > ~/.config/fish/completions/mt.fish' },
  ];
  static override args = {
    shell: Args.string({ required: true, ignoreStdin: true, description: 'bash, zsh or fish' }),
    // What the scripts ask at run time: `mt completion candidates -- <words of the line, the last one unfinished>`.
    words: Args.string({ multiple: true, ignoreStdin: true, hidden: true }),
  };
  static override errors = ['USAGE'] as const;

  override async run(): Promise<void> {
    const { args, flags } = await this.parseLine(Completion);
    if (args.shell === 'candidates') {
      const [{ candidatesFor }, { daemonLists }] = await Promise.all([
        import('../shell/candidates.ts'),
        import('../shell/daemon-lists.ts'),
      ]);
      const words = args.words ?? [];
      const lists = daemonLists(socketPath(flags.socket, process.env));
      const { words: found, paths } = await candidatesFor(words.slice(0, -1), words.at(-1) ?? '', lists);
      process.stdout.write((paths ? [':paths'] : found).map((line) => `${line}\n`).join(''));
      return;
    }
    const { SCRIPTS } = await import('../shell/completion-scripts.ts');
    const script = Object.hasOwn(SCRIPTS, args.shell) ? SCRIPTS[args.shell as keyof typeof SCRIPTS] : undefined;
    if (!script || args.words) {
      throw new MtError('USAGE', `There is no completion for "${printable(args.shell)}"`, 'Choose bash, zsh or fish.');
    }
    process.stdout.write(await script());
  }
}
