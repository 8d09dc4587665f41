// The shell's history: one file, readable by its user only, and never a password in it.
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateDir } from '../../codec/places.ts';
import { commandNamed } from '../command-table.ts';
import { quoted } from '../render/quoted.ts';

const LINES_MAX = 1_000;
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Best effort throughout: a history that cannot be read or written must not keep anybody from working. */
export class History {
  readonly #file: string;
  #lines: string[];

  constructor(env: NodeJS.ProcessEnv) {
    this.#file = join(stateDir(env), 'shell_history');
    this.#lines = readLines(this.#file).slice(-LINES_MAX);
  }

  /** Newest first, as readline wants it. */
  newestFirst(): string[] {
    return this.#lines.toReversed();
  }

  add(words: readonly string[]): void {
    const line = withoutPassword(words).map(quoted).join(' ');
    if (line === '' || line === this.#lines.at(-1)) return;
    this.#lines.push(line);
    try {
      mkdirSync(join(this.#file, '..'), { recursive: true, mode: FOLDER_MODE });
      if (this.#lines.length > LINES_MAX * 2) {
        this.#lines = this.#lines.slice(-LINES_MAX);
        writeFileSync(this.#file, `${this.#lines.join('\n')}\n`, { mode: FILE_MODE });
      } else appendFileSync(this.#file, `${line}\n`, { mode: FILE_MODE });
    } catch {
      // A read-only home: the history lives as long as this shell.
    }
  }
}

/**
 * The words up to the user id, for commands that take a password after it; none for a word that is no command: it may be such a
 * command mistyped, or `mt` before one.
 */
export function withoutPassword(words: readonly string[]): string[] {
  const command = commandNamed(words[0] ?? '');
  if (command === undefined && words[0] !== 'help') return [];
  if (command !== 'create_user' && command !== 'login') return [...words];
  const positionals = words.slice(1).filter((word) => !word.startsWith('-'));
  return [command, ...positionals.slice(0, 1)];
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}
