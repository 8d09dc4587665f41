// Manual pages, made from the definitions that `mt help` reads: mt(1), one a command, mt-errors(7); and those of the two daemons from
// their own --help. Text in, roff out (groff_man(7)): no file is touched here.
import { type ErrorCode, EXIT_OF } from '../../codec/errors.ts';
import { BaseCommand, type MtCommandClass } from '../base-command.ts';
import { COMMAND_NAMES, type CommandName, loadCommand, SUBJECTS } from '../command-table.ts';
import { ERROR_GUIDE } from '../error-guide.ts';
import { byExit } from '../error-sets.ts';
import { summaryOf } from '../help.ts';
import { VERSION } from '../version.ts';

export interface Page {
  /** Such as mt-login.1. */
  readonly file: string;
  readonly text: string;
}

interface Definition {
  readonly description?: string | undefined;
  readonly required?: boolean | undefined;
  readonly hidden?: boolean | undefined;
  readonly char?: string | undefined;
  readonly type?: string;
  readonly helpValue?: string | undefined;
  readonly default?: unknown;
}

/** Every page of `mt`. */
export async function mtPages(): Promise<Page[]> {
  const commands = await Promise.all(COMMAND_NAMES.map(async (name) => commandPage(name, await loadCommand(name))));
  return [await frontPage(), ...commands, errorsPage()];
}

/** A program's own --help, as it prints it. */
export function programPage(name: string, summary: string, help: string): Page {
  const [, usage = '', rest = ''] = /^Usage: ([\s\S]*?)\n\n([\s\S]*)$/.exec(help.trimEnd()) ?? [];
  const lines = usage.split('\n').map((line) => line.trim());
  return page(name, 1, summary, [
    section('SYNOPSIS', verbatim(lines.join('\n'))),
    section('DESCRIPTION', verbatim(rest)),
    section('EXIT STATUS', '0 after a clean stop; else as .BR mt\\-errors (7) tells.'.replace(' .BR', '\n.BR')),
    section('SEE ALSO', seeAlso(['mt(1)', 'mt-peerd(1)', 'mt-trackerd(1)', 'mt-errors(7)'], `${name}(1)`)),
  ]);
}

async function commandPage(name: CommandName, command: MtCommandClass): Promise<Page> {
  const { description = '', args, flags, examples = [], errors } = command;
  const own = Object.entries(args as Record<string, Definition>).filter(([, { hidden }]) => !hidden);
  const usage = own.map(([arg, { required }]) => (required ? `<${arg}>` : `[${arg}]`));
  const parts = [
    section('SYNOPSIS', `.B mt ${roff(name)}\n${roff([...usage, '[flags]'].join(' '))}`),
    section('DESCRIPTION', paragraphs(description)),
  ];
  if (own.length > 0)
    parts.push(section('ARGUMENTS', own.map(([arg, d]) => tagged(`<${arg}>`, d.description)).join('\n')));
  parts.push(section('FLAGS', flagList({ ...flags, ...BaseCommand.baseFlags } as Record<string, Definition>)));
  parts.push(section('EXAMPLES', examples.map(exampleText).join('\n.PP\n')));
  parts.push(section('EXIT STATUS', exitList(errors)));
  parts.push(section('SEE ALSO', seeAlso(['mt(1)', 'mt-peerd(1)', 'mt-errors(7)'])));
  return page(`mt-${name}`, 1, summaryOf(description), parts);
}

async function frontPage(): Promise<Page> {
  const subjects: string[] = [];
  for (const { title, commands } of SUBJECTS) {
    const rows = await Promise.all(
      commands.map(async (name) => tagged(name, summaryOf((await loadCommand(name)).description))),
    );
    subjects.push(`.SS ${title}\n${rows.join('\n')}`);
  }
  return page('mt', 1, 'share files in groups, from peer to peer', [
    section('SYNOPSIS', '.B mt\n<command> [arguments] [flags]'),
    section(
      'DESCRIPTION',
      `${roff('The command line of mini-torrent. It talks to your daemon, mt-peerd, which has to run. Each command has a page of its own, such as ')}\n.BR mt\\-login (1);\n${roff('mt help <command> says the same without man.')}`,
    ),
    section('COMMANDS', subjects.join('\n')),
    section('FLAGS OF EVERY COMMAND', flagList(BaseCommand.baseFlags as Record<string, Definition>)),
    section(
      'ENVIRONMENT',
      [
        tagged('MT_SOCKET', "The daemon's socket, where --socket does not name it."),
        tagged('NO_COLOR', 'When set: no colour and nothing that moves.'),
      ].join('\n'),
    ),
    section('EXIT STATUS', exitList(Object.keys(EXIT_OF) as ErrorCode[])),
    section('SEE ALSO', seeAlso(['mt-peerd(1)', 'mt-trackerd(1)', 'mt-errors(7)'])),
  ]);
}

function errorsPage(): Page {
  const groups = byExit(Object.keys(EXIT_OF) as ErrorCode[]).map(([exit, codes]) => {
    const entries = codes.map((code) => {
      const { means, why, todo } = ERROR_GUIDE[code];
      return `${tagged(code, `${means} ${why}`.replaceAll('`', ''))}\n.IP\n${roff(todo.replaceAll('`', ''))}`;
    });
    return section(`EXIT ${exit}`, entries.join('\n'));
  });
  return page('mt-errors', 7, 'error codes of mt, mt-peerd and mt-trackerd', [
    section('DESCRIPTION', roff('Codes and exit numbers are stable. mt help <CODE> shows one.')),
    ...groups,
  ]);
}

function page(name: string, number: number, summary: string, sections: readonly string[]): Page {
  const title = `.TH "${roff(name.toUpperCase())}" ${number} "" "mini\\-torrent ${roff(VERSION)}" "mini\\-torrent"`;
  const named = `.SH NAME\n${roff(name)} \\- ${roff(summary)}`;
  return { file: `${name}.${number}`, text: `${[title, named, ...sections].join('\n')}\n` };
}

function section(title: string, body: string): string {
  return `.SH "${title}"\n${body}`;
}

function paragraphs(text: string): string {
  return text.split('\n\n').map(roff).join('\n.PP\n');
}

function tagged(tag: string, text: string | undefined): string {
  return `.TP\n.B "${roff(tag)}"\n${roff(text ?? '')}`;
}

function verbatim(text: string): string {
  return `.nf\n${text.split('\n').map(roff).join('\n')}\n.fi`;
}

function flagList(flags: Readonly<Record<string, Definition>>): string {
  return Object.entries({ ...flags, help: { description: 'Show the help of this command' } as Definition })
    .map(([name, { char, type, helpValue, description, default: otherwise }]) => {
      const short = char ? `-${char}, ` : '';
      const value = type === 'option' ? ` ${helpValue ?? 'VALUE'}` : '';
      const shown = typeof otherwise === 'string' ? ` (default: ${otherwise})` : '';
      return tagged(`${short}--${name}${value}`, `${description ?? ''}${shown}`);
    })
    .join('\n');
}

function exampleText(example: NonNullable<MtCommandClass['examples']>[number]): string {
  const { description, command } = typeof example === 'string' ? { description: '', command: example } : example;
  return `${description ? `${roff(description)}\n.PP\n` : ''}.RS\n${verbatim(`$ ${command}`)}\n.RE`;
}

function exitList(errors: readonly ErrorCode[]): string {
  const rows = byExit(errors).map(([exit, codes]) => tagged(String(exit), codes.join(', ')));
  return [tagged('0', 'done'), ...rows].join('\n');
}

function seeAlso(pages: readonly string[], own = ''): string {
  return pages
    .filter((name) => name !== own)
    .map((name, at, all) => {
      const [, title, number] = /^(.*)\((\d)\)$/.exec(name)!;
      return `.BR ${roff(title!)} (${number})${at < all.length - 1 ? ',' : ''}`;
    })
    .join('\n');
}

/** Text as roff shows it: no character commands, no line commands, real minus signs, one line. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll('’', "'")
    .replaceAll('…', '...')
    .replace(/^([.'])/, '\\&$1');
}
