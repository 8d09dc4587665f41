// `mt help` and `mt help <command>`: oclif's command help with a section of exit numbers, and our own front page by subject.
// Loaded only when help is asked for.

import type { Interfaces } from '@oclif/core';
import type { Command } from '@oclif/core/command';
import { CommandHelp } from '@oclif/core/help';
import type { ErrorCode } from '../codec/errors.ts';
import { BaseCommand, type MtCommandClass } from './base-command.ts';
import { commandNamed, loadCommand, SUBJECTS } from './command-table.ts';
import { errorHelp, isErrorCode } from './error-guide.ts';
import { byExit } from './error-sets.ts';
import { oclifConfig } from './oclif-config.ts';
import { unknownCommand } from './run.ts';
import { VERSION } from './version.ts';

const SECTIONS = ['USAGE', 'DESCRIPTION', 'ARGUMENTS', 'FLAGS', 'ALIASES', 'EXAMPLES'];
const OPTIONS: Interfaces.HelpOptions = {
  docopts: false,
  flagSortOrder: 'none',
  maxWidth: Math.min(process.stdout.columns || 80, 100),
};

class MtCommandHelp extends CommandHelp {
  readonly #errors: MtCommandClass['errors'];

  constructor(command: Command.Loadable, config: Interfaces.Config, errors: MtCommandClass['errors']) {
    super(command, config, OPTIONS);
    this.#errors = errors;
  }

  protected override arg(arg: Command.Arg.Any): string {
    return arg.required ? `<${arg.name}>` : `[${arg.name}]`;
  }

  protected override args(args: Command.Arg.Any[]): [string, string | undefined][] | undefined {
    return args.length === 0 ? undefined : args.map((arg) => [this.arg(arg), arg.description]);
  }

  protected override defaultUsage(): string {
    return `${super.defaultUsage()} [flags]`;
  }

  protected override sections(): ReturnType<CommandHelp['sections']> {
    const standard = super.sections();
    const ordered = SECTIONS.map((header) => standard.find((section) => section.header === header)!);
    return [...ordered, { header: 'EXIT STATUS', generate: (_, header) => [{ header, body: this.#exits() }] }];
  }

  #exits(): [string, string][] {
    return [
      ['0', 'done'],
      ...byExit(this.#errors).map(([exit, codes]): [string, string] => [`${exit}`, codes.join(', ')]),
    ];
  }
}

/**
 * Prints to stdout: all commands, everything about one, or what an error code means.
 * @throws MtError USAGE when there is no such command
 */
export async function printHelp(word: string | undefined): Promise<void> {
  if (word === undefined) {
    process.stdout.write(`${await frontPage()}\n`);
    return;
  }
  const name = commandNamed(word);
  if (!name && isErrorCode(word.toUpperCase())) {
    process.stdout.write(`${errorHelp(word.toUpperCase() as ErrorCode)}\n`);
    return;
  }
  if (!name) throw unknownCommand(word);
  const command = await loadCommand(name);
  const loadable = {
    id: name,
    description: command.description,
    aliases: command.aliases,
    args: named(command.args),
    flags: named({ ...command.flags, ...BaseCommand.baseFlags }),
    examples: command.examples,
  } as unknown as Command.Loadable;
  process.stdout.write(`${new MtCommandHelp(loadable, oclifConfig(), command.errors).generate()}\n`);
}

/** oclif's help reads the name from each definition, which only its manifest puts there. */
function named<T extends object>(definitions: Record<string, T>): Record<string, T & { name: string }> {
  return Object.fromEntries(Object.entries(definitions).map(([name, definition]) => [name, { ...definition, name }]));
}

async function frontPage(): Promise<string> {
  const lines = [
    `mini-torrent ${VERSION}: group file sharing, from peer to peer.`,
    '',
    'USAGE',
    '  $ mt <command> [arguments] [flags]',
  ];
  for (const { title, commands } of SUBJECTS) {
    lines.push('', title);
    for (const name of commands) {
      const { description } = await loadCommand(name);
      lines.push(`  ${name.padEnd(20)}${summaryOf(description)}`);
    }
  }
  lines.push(
    '',
    'Every command takes --json, --quiet, --socket PATH, --timeout SECONDS and --no-input.',
    'mt help <command> says more, with examples and exit numbers; mt help <ERROR_CODE> what an error means.',
    'mt-peerd, the daemon, has to run.',
  );
  return lines.join('\n');
}

/** What a command does, in a few words: its description up to the first stop. */
export function summaryOf(description: string | undefined): string {
  return (description ?? '').split(/[.:;,](?:\s|$)/)[0]!;
}
