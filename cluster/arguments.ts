// The command line of mt-trackerd as a tracker, and what stands behind it (environment, configuration file): reads and checks, changes
// nothing. Subcommands parse their own (admin/).
import { resolve } from 'node:path';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { MtError } from '../codec/errors.ts';
import { type Address, printable } from '../codec/ids.ts';
import { type AdmissionLimits, readConnectionLimits } from '../codec/service/admission.ts';
import { type LogLevel, parseLogLevel } from '../codec/service/log.ts';
import { parsePort } from '../codec/service/monitor.ts';
import { loadSettings, printConfig } from '../codec/service/settings.ts';
import { parseAddress } from '../codec/tracker-info.ts';
import { CONNECTIONS_DEFAULT } from './node/settings.ts';
import { defaultClusterKey, defaultDataDir } from './paths.ts';

/** What environment and configuration file may set too. */
const OPTIONS = {
  'tracker-info': { kind: 'path', positional: true },
  'tracker-number': { kind: 'text', positional: true },
  'data-dir': { kind: 'path' },
  listen: { kind: 'text' },
  'cluster-key': { kind: 'path', env: 'MT_CLUSTER_KEY' },
  'log-level': { kind: 'text' },
  'metrics-port': { kind: 'text' },
  'retain-events': { kind: 'text' },
  'max-connections': { kind: 'text' },
  'max-connections-per-address': { kind: 'text' },
} as const;

export interface TrackerArguments {
  readonly trackerInfoFile: string;
  /** As typed, for messages that show a command. */
  readonly trackerInfoShown: string;
  readonly number: number;
  readonly dataDir: string;
  readonly clusterKey: string;
  /** Null: the tracker's own address in the file. */
  readonly listen: Address | null;
  readonly logLevel: LogLevel;
  /** Of the past, at least; null: all. */
  readonly retainEvents: number | null;
  /** 0: any free one; null: no monitoring. */
  readonly metricsPort: number | null;
  readonly connections: AdmissionLimits;
  /** What --print-config shows; null: it was not asked for. */
  readonly config: string | null;
}

/** @throws MtError USAGE or INVALID_ARGUMENT saying which argument and why; PATH_NOT_FOUND, PERMISSION of a configuration file. */
export function parseTrackerArguments(argv: readonly string[], env: NodeJS.ProcessEnv): TrackerArguments {
  const { values, positionals } = parseOptions(argv, {
    'data-dir': { type: 'string' },
    listen: { type: 'string' },
    'cluster-key': { type: 'string' },
    'log-level': { type: 'string' },
    'metrics-port': { type: 'string' },
    'retain-events': { type: 'string' },
    'max-connections': { type: 'string' },
    'max-connections-per-address': { type: 'string' },
    config: { type: 'string' },
    'print-config': { type: 'boolean' },
  });
  if (positionals.length > 2) throw usage('Too many arguments');
  const [file, numberText] = positionals;
  const place = { 'tracker-info': file, 'tracker-number': numberText };
  const settings = loadSettings({ program: 'mt-trackerd', table: OPTIONS, flags: { ...values, ...place }, env });
  const trackerInfoFile = settings.get('tracker-info');
  const shownNumber = settings.get('tracker-number');
  if (trackerInfoFile === undefined || shownNumber === undefined) {
    throw usage('A tracker info file and a tracker number are needed');
  }
  const number = parseNumber(shownNumber);
  const listen = settings.get('listen');
  const metricsPort = settings.get('metrics-port');
  const retain = settings.get('retain-events');
  const args = {
    trackerInfoFile,
    trackerInfoShown: file ?? trackerInfoFile,
    number,
    dataDir: settings.get('data-dir') ?? resolve(defaultDataDir(env, number)),
    clusterKey: settings.get('cluster-key') ?? resolve(defaultClusterKey(env)),
    listen: listen === undefined ? null : parseListen(listen),
    logLevel: parseLogLevel(settings.get('log-level') ?? 'info'),
    metricsPort: metricsPort ? parsePort('--metrics-port', metricsPort) : null,
    retainEvents: retain ? parseIndex('--retain-events', retain) : null,
    connections: readConnectionLimits(settings, CONNECTIONS_DEFAULT),
  };
  const shown = {
    'tracker-info': args.trackerInfoFile,
    'tracker-number': number,
    'data-dir': args.dataDir,
    listen: listen ?? null,
    'cluster-key': args.clusterKey,
    'log-level': args.logLevel,
    'metrics-port': args.metricsPort,
    'retain-events': args.retainEvents,
    'max-connections': args.connections.total,
    'max-connections-per-address': args.connections.perAddress,
  };
  return { ...args, config: values['print-config'] === true ? printConfig(settings, shown) : null };
}

/** A tracker number as typed. @throws MtError INVALID_ARGUMENT */
export function parseNumber(text: string): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (number >= 1) return number;
  throw new MtError('INVALID_ARGUMENT', `"${printable(text)}" is not a tracker number`, 'Trackers count from 1.');
}

/** A log index or a count of entries. @throws MtError INVALID_ARGUMENT */
export function parseIndex(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new MtError('INVALID_ARGUMENT', `${option} takes a number of log entries, not "${printable(text)}"`);
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
