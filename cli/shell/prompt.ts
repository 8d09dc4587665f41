// The prompt of `mt shell`: reads lines, runs them as `mt` would, and stays whatever they do.
// Each prompt has a readline of its own, closed while a command runs, so that hidden passwords and Ctrl-C are the command's.
import { createInterface, type Interface } from 'node:readline';
import { isMtError } from '../../codec/errors.ts';
import { commandNamed, loadCommand } from '../command-table.ts';
import { quoted } from '../render/quoted.ts';
import { runWords } from '../run.ts';
import { candidatesFor, type Lists, positionals } from './candidates.ts';
import { History } from './history.ts';
import { localPaths } from './paths.ts';
import { splitLine, splitWords } from './words.ts';

const PROMPT = 'mt> ';
const LEAVE = new Set(['quit', 'exit', 'q']);
/** End the shell, and the command that it runs; the terminal is put right first. */
const ENDS = ['SIGTERM', 'SIGHUP'] as const;

export interface ShellOptions {
  lists: Lists;
  /** Flags of the shell's own line that each command inherits, such as --socket PATH. */
  inherited: readonly string[];
  /** Off with --quiet. */
  greet: boolean;
}

/** @returns the exit number of the last command when lines came from a pipe; 0 from a terminal. */
export async function runShell(options: ShellOptions): Promise<number> {
  return process.stdin.isTTY ? runInteractive(options) : runPiped(options);
}

async function runInteractive({ lists, inherited, greet }: ShellOptions): Promise<number> {
  const history = new History(process.env);
  if (greet) process.stderr.write('Commands as for mt, without "mt". Tab completes, help lists them, quit leaves.\n');
  const end = new AbortController();
  for (const signal of ENDS) process.once(signal, () => end.abort());
  while (!end.signal.aborted) {
    const line = await readLine(history, lists, end.signal);
    if (line === null) return 0;
    const words = wordsOf(line);
    if (words === null || words.length === 0) continue;
    if (LEAVE.has(words[0]!)) return 0;
    history.add(words);
    await runOne(words, inherited);
  }
  return 0;
}

/** Lines from a pipe or a file: no prompt, no history, and no question can be asked. */
async function runPiped({ inherited }: ShellOptions): Promise<number> {
  let exit = 0;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const words = wordsOf(line);
    if (words === null) exit = 2;
    if (words === null || words.length === 0) continue;
    if (LEAVE.has(words[0]!)) break;
    exit = await runOne(words, [...inherited, '--no-input']);
  }
  return exit;
}

function wordsOf(line: string): string[] | null {
  try {
    return splitWords(line);
  } catch (error) {
    if (!isMtError(error)) throw error;
    process.stderr.write(`${error.message}.\n`);
    return null;
  }
}

async function runOne(typed: readonly string[], inherited: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  for (const signal of ['SIGINT', ...ENDS]) process.on(signal, onInterrupt);
  try {
    const words = await withoutTrailingQ(typed);
    const [command, ...rest] = words;
    if (command === 'shell') return 0;
    return await runWords(commandNamed(command!) ? [command!, ...inherited, ...rest] : words, interrupt.signal);
  } finally {
    for (const signal of ['SIGINT', ...ENDS]) process.off(signal, onInterrupt);
  }
}

/** The seeds' syntax may end a line with `q`: dropped where the command has no argument left that it could be. */
export async function withoutTrailingQ(words: readonly string[]): Promise<readonly string[]> {
  const name = commandNamed(words[0] ?? '');
  if (!name || words.at(-1) !== 'q') return words;
  const command = await loadCommand(name);
  const surplus = positionals(words.slice(1), command).length > Object.keys(command.args).length;
  return surplus ? words.slice(0, -1) : words;
}

/** One line from the terminal; null at its end (Ctrl-D), or when `end` aborts. Ctrl-C drops the line and asks again. */
function readLine(history: History, lists: Lists, end: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const terminal: Interface = createInterface({
      input: process.stdin,
      output: process.stderr,
      prompt: PROMPT,
      history: history.newestFirst(),
      completer: (line: string, done: (error: null, result: [string[], string]) => void) => {
        completeLine(line, lists).then((result) => done(null, result));
      },
    });
    let answer: string | null = null;
    terminal.on('line', (line) => {
      answer = line;
      terminal.close();
    });
    terminal.on('SIGINT', () => {
      answer = '';
      process.stderr.write('\n');
      terminal.close();
    });
    const onEnd = () => terminal.close();
    end.addEventListener('abort', onEnd, { once: true });
    terminal.on('close', () => {
      end.removeEventListener('abort', onEnd);
      if (answer === null) process.stderr.write('\n');
      resolve(answer);
    });
    terminal.prompt();
  });
}

/** @returns full replacements for the last word, and that word as it stands on the line: what readline wants. */
export async function completeLine(line: string, lists: Lists): Promise<[string[], string]> {
  const { words, open } = splitLine(line);
  const before = open ? words.slice(0, -1) : words;
  const current = open?.text ?? '';
  const { words: found, paths } = await candidatesFor(before, current, lists);
  const shown = paths ? localPaths(current) : found;
  const single = shown.length === 1 && !shown[0]!.endsWith('/') ? ' ' : '';
  return [shown.map((word) => `${quoted(word)}${single}`), open ? line.slice(open.start) : ''];
}
