// Reads a daemon's configuration file (TOML): one table of options, spelled as the flags. Whatever is not understood is refused, for a
// misspelled limit that is passed over in silence would be found out too late.
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { MtError } from '../errors.ts';
import { printable } from '../ids.ts';
import { configDir } from '../places.ts';

/** A hand-written file has a few lines. */
const FILE_BYTES_MAX = 64 * 1024;

export interface ConfigFile {
  readonly path: string;
  /** Each value as the text that its flag would have. */
  readonly values: ReadonlyMap<string, string>;
}

/**
 * The file that --config names, else the environment (MT_PEERD_CONFIG), else <program>.toml in the configuration directory, if it is there.
 * @throws MtError PATH_NOT_FOUND, PERMISSION, INVALID_ARGUMENT with line and key.
 */
export function readConfigFile(
  program: string,
  flag: string | undefined,
  env: NodeJS.ProcessEnv,
  options: readonly string[],
): ConfigFile | null {
  const named = flag ?? (env[environmentName(program, 'config')] || undefined);
  const path = named === undefined ? join(configDir(env), `${program}.toml`) : resolve(named);
  const text = readText(path);
  if (text !== null) return { path, values: valuesOf(text, path, options) };
  if (named === undefined) return null;
  throw new MtError('PATH_NOT_FOUND', `There is no configuration file ${path}`);
}

/** `MT_PEERD_DATA_DIR` of mt-peerd's --data-dir. */
export function environmentName(program: string, option: string): string {
  return `${program}-${option}`.toUpperCase().replaceAll('-', '_');
}

function readText(path: string): string | null {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) throw new MtError('INVALID_ARGUMENT', `The configuration file ${path} is too large`);
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    if (cause instanceof MtError) throw cause;
    throw new MtError('PERMISSION', `The configuration file ${path} cannot be read (${code})`, undefined, { cause });
  }
}

function valuesOf(text: string, path: string, options: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(parsed(text, path))) {
    if (!options.includes(name)) {
      throw new MtError(
        'INVALID_ARGUMENT',
        `${path} sets "${printable(name)}", which is no option`,
        `Options are ${options.join(', ')}.`,
      );
    }
    if (typeof value !== 'string' && typeof value !== 'boolean' && typeof value !== 'number') {
      throw new MtError('INVALID_ARGUMENT', `${path}: ${name} takes a text, a number, true or false`);
    }
    values.set(name, String(value));
  }
  return values;
}

function parsed(text: string, path: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const why = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
    throw new MtError('INVALID_ARGUMENT', `${path}, line ${error.line}: ${why}`, 'It is TOML: name = "value".');
  }
}
