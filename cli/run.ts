// Runs one line of words (`list_files lab --json`) and says how it ended. The shell uses it as `main` does.
// Never ends the process and never throws for what a user or the daemon did.
import { CLIError } from '@oclif/core/errors';
import { isMtError, MtError, toMtError } from '../codec/errors.ts';
import { printable } from '../codec/ids.ts';
import { COMMAND_NAMES, commandNamed, loadCommand } from './command-table.ts';
import { didYouMean } from './did-you-mean.ts';
import { oclifConfig } from './oclif-config.ts';
import { harmless } from './render/harmless.ts';
import { usageError } from './usage-error.ts';
import { VERSION } from './version.ts';

const HELP_FLAGS = ['--help', '-h'];

/** @returns the exit number, after everything was printed. */
export async function runWords(words: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    return await dispatch(words, signal);
  } catch (error) {
    return reportError(error, hasFlag(words, '--json'));
  }
}

async function dispatch(words: readonly string[], signal: AbortSignal): Promise<number> {
  const [first, ...rest] = words;
  if (first === undefined || first === 'help' || HELP_FLAGS.includes(first)) {
    const { printHelp } = await import('./help.ts');
    await printHelp(first === undefined ? undefined : rest.find((word) => !word.startsWith('-')));
    return 0;
  }
  if (first === '--version' || first === '-v') {
    process.stdout.write(`mt ${VERSION}\n`);
    return 0;
  }
  const name = commandNamed(first);
  if (!name) throw unknownCommand(first);
  if (HELP_FLAGS.some((flag) => hasFlag(rest, flag))) {
    const { printHelp } = await import('./help.ts');
    await printHelp(name);
    return 0;
  }
  const command = await loadCommand(name);
  const instance = new command(rest, oclifConfig());
  instance.signal = signal;
  try {
    await instance.execute();
    return instance.exitNumber;
  } catch (error) {
    throw error instanceof CLIError ? usageError(error, name, command) : error;
  }
}

/** @returns USAGE for a word that is no command, with the one it probably was. */
export function unknownCommand(word: string): MtError {
  const flag = word.startsWith('-');
  const near = flag ? undefined : didYouMean(word, COMMAND_NAMES);
  return new MtError(
    'USAGE',
    flag
      ? `A command comes first, then its flags: "${printable(word)}" is a flag`
      : `There is no command "${printable(word)}"`,
    near ? `Did you mean: mt ${near}` : 'Run mt help for all commands.',
  );
}

/** Whether a flag stands among the words before `--`. */
function hasFlag(words: readonly string[], flag: string): boolean {
  const end = words.indexOf('--');
  return (end === -1 ? words : words.slice(0, end)).includes(flag);
}

function reportError(thrown: unknown, json: boolean): number {
  const error = isMtError(thrown) ? thrown : toMtError(thrown);
  if (json) process.stdout.write(`${JSON.stringify({ error: error.toWire() })}\n`);
  else process.stderr.write(`${sentence(error)}\n`);
  // A fault of our own: the stack is what a bug report needs.
  if (!isMtError(thrown)) process.stderr.write(`${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
  return error.exit;
}

/** Message and suggestion, made safe for the terminal line by line: the daemon may pass on what peers named. */
function sentence(error: MtError): string {
  const shown = /[.!?]$/.test(error.message) ? error.message : `${error.message}.`;
  return error.suggestion ? `${harmless(shown)}\n${harmless(error.suggestion)}` : harmless(shown);
}
