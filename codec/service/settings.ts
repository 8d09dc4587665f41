// Where a daemon's options come from: flags over environment over configuration file over default. Knows no option of its own:
// each program names its options in a table and reads the texts itself, wherever they came from, by the same rules.
import { dirname, resolve } from 'node:path';
import { MtError } from '../errors.ts';
import { printable } from '../ids.ts';
import { environmentName, readConfigFile } from './config-file.ts';

/** `path`: a relative one counts from the user's working directory, or, in a configuration file, from where that file is. `switch`: true or false. */
export type OptionKind = 'text' | 'path' | 'switch';

export interface OptionSpec {
  readonly kind: OptionKind;
  /** An older name in the environment, beside MT_<PROGRAM>_<NAME>. */
  readonly env?: string;
  /** Set by position on the command line, not by a flag. */
  readonly positional?: true;
}
export type OptionTable = Readonly<Record<string, OptionSpec>>;
export type FlagValues = Readonly<Record<string, string | boolean | undefined>>;

export type Source = 'flag' | 'environment' | 'file';
interface Setting {
  readonly text: string;
  readonly from: Source;
}

export interface SettingsRequest<T extends OptionTable> {
  /** Such as mt-peerd: names the environment variables and the default file. */
  readonly program: string;
  readonly table: T;
  /** As parsed; `config` among them names the file. */
  readonly flags: FlagValues;
  readonly env: NodeJS.ProcessEnv;
}

export class Settings<Name extends string = string> {
  /** The file that was read; null: none. */
  readonly file: string | null;
  readonly #settings: ReadonlyMap<string, Setting>;

  constructor(file: string | null, settings: ReadonlyMap<string, Setting>) {
    this.file = file;
    this.#settings = settings;
  }

  get(name: Name): string | undefined {
    return this.#settings.get(name)?.text;
  }

  isOn(name: Name): boolean {
    return this.get(name) === 'true';
  }

  from(name: Name): Source | 'default' {
    return this.#settings.get(name)?.from ?? 'default';
  }
}

/**
 * Reads every option from where it is set with the highest rank.
 * @throws MtError PATH_NOT_FOUND, PERMISSION or INVALID_ARGUMENT about the file, INVALID_ARGUMENT about a switch.
 */
export function loadSettings<T extends OptionTable>(request: SettingsRequest<T>): Settings<keyof T & string> {
  const { program, table, flags, env } = request;
  const file = readConfigFile(program, flags.config as string | undefined, env, Object.keys(table));
  const settings = new Map<string, Setting>();
  for (const [name, { kind, env: olderName }] of Object.entries(table)) {
    const flag = flags[name];
    const variable = environmentName(program, name);
    const inEnvironment = env[variable] || (olderName && env[olderName]) || undefined;
    const inFile = file?.values.get(name);
    if (flag !== undefined) settings.set(name, { text: ofKind(kind, String(flag), '', `--${name}`), from: 'flag' });
    else if (inEnvironment)
      settings.set(name, { text: ofKind(kind, inEnvironment, '', variable), from: 'environment' });
    else if (inFile !== undefined) {
      settings.set(name, { text: ofKind(kind, inFile, dirname(file!.path), `${name} in ${file!.path}`), from: 'file' });
    }
  }
  return new Settings(file?.path ?? null, settings);
}

function ofKind(kind: OptionKind, text: string, folder: string, name: string): string {
  if (kind === 'path') return resolve(folder, text);
  if (kind === 'text') return text;
  if (/^(true|1|yes|on)$/i.test(text)) return 'true';
  if (/^(false|0|no|off)$/i.test(text)) return 'false';
  throw new MtError('INVALID_ARGUMENT', `${name} is true or false, not "${printable(text)}"`);
}

/**
 * What holds now, as a configuration file that would set the same. Each line says where its value comes from.
 * @param values by option name; null: not set.
 */
export function printConfig(
  settings: Settings,
  values: Readonly<Record<string, string | number | boolean | null>>,
): string {
  const lines = Object.entries(values).map(([name, value]) => {
    const from = settings.from(name);
    const source = from === 'file' ? settings.file : from === 'flag' ? 'command line' : from;
    // A JSON string is a TOML basic string too.
    return value === null ? `# ${name} is not set` : `${name} = ${JSON.stringify(value)}  # ${source}`;
  });
  return `${lines.join('\n')}\n`;
}
