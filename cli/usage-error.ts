// oclif's own complaints about a line, in our form: code USAGE, one sentence, and where to read more.
import type { CLIError } from '@oclif/core/errors';
import { MtError } from '../codec/errors.ts';
import { printable } from '../codec/ids.ts';
import { BaseCommand, type MtCommandClass } from './base-command.ts';
import { didYouMean } from './did-you-mean.ts';

/** Fields by which oclif's parse errors differ: missing arguments are objects, surplus ones strings, unknown flags `flags`. */
interface ParseErrorFields {
  args?: readonly (string | { name: string })[];
  flags?: readonly string[];
}

export function usageError(error: CLIError, name: string, command: MtCommandClass): MtError {
  const { args, flags } = error as CLIError & ParseErrorFields;
  const help = `Run mt help ${name} for its arguments and flags.`;
  // What does not fit may be a password (one that begins with a dash, or has a space in it): it is not repeated.
  const isSecret = 'password-stdin' in (command.flags ?? {});
  if (flags?.length) {
    const known = Object.keys({ ...BaseCommand.baseFlags, ...command.flags }).map((flag) => `--${flag}`);
    const near = didYouMean(flags[0]!, known);
    const what = isSecret ? 'such flag' : `flag ${shown(flags)}`;
    return new MtError('USAGE', `${name} has no ${what}`, near ? `Did you mean: ${near}` : help);
  }
  if (args?.length) {
    const missing = args.filter((arg) => typeof arg === 'object').map((arg) => `<${arg.name}>`);
    if (missing.length > 0) return new MtError('USAGE', `${name} needs ${missing.join(' ')}`, help);
    const what = isSecret ? 'so many arguments' : shown(args as readonly string[]);
    return new MtError('USAGE', `${name} does not take ${what}`, help);
  }
  const message = error.message.replace(/\nSee more help with --help$/, '').replaceAll(/\s*\n\s*/g, ' ');
  return new MtError('USAGE', `${name}: ${message}`, help);
}

function shown(words: readonly string[]): string {
  return words.map((word) => `"${printable(word)}"`).join(', ');
}
