// What may stand next on a line: commands, flags, and the groups, files and users that the daemon knows.
// Shared by the prompt of `mt shell` and by the completions of bash, zsh and fish.
import type { DownloadRow, ShareRow } from '../../codec/control-api.ts';
import type { MtCommandClass } from '../base-command.ts';
import { BaseCommand } from '../base-command.ts';
import { COMMAND_NAMES, type CommandName, commandNamed, loadCommand } from '../command-table.ts';

/** What the daemon is asked; each answer may be empty, when it knows nothing or nobody is logged in. */
export interface Lists {
  groups(): Promise<readonly string[]>;
  members(group: string): Promise<readonly string[]>;
  requests(group: string): Promise<readonly string[]>;
  files(group: string): Promise<readonly string[]>;
  downloads(): Promise<readonly DownloadRow[]>;
  shares(): Promise<readonly ShareRow[]>;
  sessions(): Promise<readonly string[]>;
}

export interface Candidates {
  words: readonly string[];
  /** A path of the local disk belongs here: the caller completes it. */
  paths: boolean;
}

const NONE: Candidates = { words: [], paths: false };

/**
 * @param before whole words on the line, without `mt`
 * @param current the word that is being typed, perhaps empty
 */
export async function candidatesFor(before: readonly string[], current: string, lists: Lists): Promise<Candidates> {
  if (before.length === 0) return startingWith(current, [...COMMAND_NAMES, 'help']);
  if (before[0] === 'help') return startingWith(current, COMMAND_NAMES);
  const name = commandNamed(before[0]!);
  if (!name) return NONE;
  const command = await loadCommand(name);
  if (current.startsWith('-')) return startingWith(current, flagsOf(command));
  const given = positionals(before.slice(1), command);
  const argument = Object.keys(command.args)[given.length];
  if (argument === undefined) return NONE;
  if (argument === 'path' || argument === 'destination_path' || argument === 'new_path')
    return { words: [], paths: true };
  return startingWith(current, await valuesOf(name, argument, given, lists));
}

export function flagsOf(command: MtCommandClass): string[] {
  return [...Object.keys({ ...command.flags, ...BaseCommand.baseFlags }), 'help'].map((flag) => `--${flag}`);
}

/** The words that are neither flags nor the values of flags. */
export function positionals(words: readonly string[], command: MtCommandClass): string[] {
  const definitions: Record<string, { type: string }> = { ...command.flags, ...BaseCommand.baseFlags };
  const found: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '--') return [...found, ...words.slice(at + 1)];
    if (!word.startsWith('-')) found.push(word);
    else if (definitions[word.replace(/^--/, '')]?.type === 'option') at++;
  }
  return found;
}

async function valuesOf(
  name: CommandName,
  argument: string,
  given: readonly string[],
  lists: Lists,
): Promise<readonly string[]> {
  const group = given[0]!;
  const ofGroup = (rows: readonly { group_id: string; file_name: string }[]) =>
    rows.filter((row) => row.group_id === group).map((row) => row.file_name);
  switch (argument) {
    case 'group_id':
      return lists.groups();
    case 'file_name':
      if (name.endsWith('_download')) return ofGroup(await lists.downloads());
      if (name === 'stop_share' || name === 'relocate' || name === 'scrub') return ofGroup(await lists.shares());
      return lists.files(group);
    case 'user_id':
      if (name.endsWith('_request')) return lists.requests(group);
      return given.length === 0 ? [] : lists.members(group);
    case 'session':
      return lists.sessions();
    case 'shell':
      return ['bash', 'zsh', 'fish'];
    default:
      return [];
  }
}

function startingWith(current: string, words: readonly string[]): Candidates {
  return { words: words.filter((word) => word.startsWith(current)), paths: false };
}
