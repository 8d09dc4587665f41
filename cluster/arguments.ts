// The command line of mt-trackerd as a tracker: parses and checks, touches nothing. Subcommands parse their own (admin/).
import { resolve } from 'node:path';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { MtError } from '../codec/errors.ts';
import { type Address, printable } from '../codec/ids.ts';
import { parseAddress } from '../codec/tracker-info.ts';
import { defaultClusterKey, defaultDataDir } from './paths.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const NUMBER_MAX = 999_999_999;

export interface TrackerArguments {
  readonly trackerInfoFile: string;
  /** As typed, for messages that show a command. */
  readonly trackerInfoShown: string;
  readonly number: number;
  readonly dataDir: string;
  readonly clusterKey: string;
  /** Null: the tracker's own address in the file. */
  readonly listen: Address | null;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/** @throws MtError USAGE or INVALID_ARGUMENT saying which argument and why. */
export function parseTrackerArguments(argv: readonly string[], env: NodeJS.ProcessEnv): TrackerArguments {
  const { values, positionals } = parseOptions(argv, {
    'data-dir': { type: 'string' },
    listen: { type: 'string' },
    'cluster-key': { type: 'string' },
    'log-level': { type: 'string' },
  });
  if (positionals.length < 2) throw usage('A tracker info file and a tracker number are needed');
  if (positionals.length > 2) throw usage('Too many arguments');
  const [file, numberText] = positionals as [string, string];
  const number = parseNumber(numberText);
  const logLevel = LOG_LEVELS.find((level) => level === (values['log-level'] ?? 'info'));
  if (!logLevel) throw usage(`--log-level is one of ${LOG_LEVELS.join(', ')}`);
  return {
    trackerInfoFile: resolve(file),
    trackerInfoShown: file,
    number,
    dataDir: resolve(values['data-dir'] ?? defaultDataDir(env, number)),
    clusterKey: resolve(values['cluster-key'] ?? defaultClusterKey(env)),
    listen: values.listen === undefined ? null : parseListen(values.listen),
    logLevel,
  };
}

/** A tracker number as typed. @throws MtError INVALID_ARGUMENT */
export function parseNumber(text: string): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= NUMBER_MAX) return number;
  throw new MtError('INVALID_ARGUMENT', `"${printable(text)}" is not a tracker number`, 'Trackers count from 1.');
}

/** node:util's parseArgs, with an error of ours. @throws MtError USAGE */
export function parseOptions<const O extends ParseArgsOptionsConfig>(argv: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    throw usage((error as Error).message);
  }
}

export function usage(message: string): MtError {
  return new MtError('USAGE', message, 'See: mt-trackerd --help');
}

/** Port 0: any free one. */
function parseListen(text: string): Address {
  const address = parseAddress(text.replace(/([:\s])0$/, '$11'));
  if (address) return /[:\s]0$/.test(text) ? { host: address.host, port: 0 } : address;
  throw usage(`"${printable(text)}" is not an address: write ip:port or [v6]:port`);
}
