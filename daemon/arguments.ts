// The command line of mt-peerd, and what stands behind it (environment, configuration file): reads and checks, changes nothing.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { MtError } from '../codec/errors.ts';
import { type Address, printable } from '../codec/ids.ts';
import { defaultPeerDir, defaultSocket, requireSocketPath } from '../codec/places.ts';
import { type AdmissionLimits, readConnectionLimits } from '../codec/service/admission.ts';
import { type LogLevel, parseLogLevel } from '../codec/service/log.ts';
import { parsePort } from '../codec/service/monitor.ts';
import { loadSettings, printConfig, type Settings } from '../codec/service/settings.ts';
import { parseAddress } from '../codec/tracker-info.ts';
import { readSize } from '../codec/typed-size.ts';
import { PEER_CONNECTIONS_DEFAULT } from './peer/connection-limits.ts';
import type { ScrubSettings } from './shares/scrub-plan.ts';

export const USAGE = `Usage: mt-peerd <ip>:<port> <tracker_info_file> [options]
       mt-peerd <ip> <port> <tracker_info_file> [options]
       mt-peerd [options]            (address and tracker-info from the configuration file)

Shares and fetches files for the user who logs in with mt. Runs in the foreground and logs to stderr.

Arguments:
  <ip>:<port>                  where other peers reach this daemon ([v6]:port too; port 0: any free one)
  <tracker_info_file>          the trackers' addresses, and "key <fingerprint>" lines that pin their cluster

Options:
  --data-dir DIR               its key, session and shares (default: mini-torrent/peer in the XDG state directory)
  --socket PATH                where mt finds it (default: MT_SOCKET, else mini-torrent/peerd.sock in XDG_RUNTIME_DIR)
  --announce HOST:PORT         the address that peers are told, when it is not the one listened on
  --trust-first-use            accept a cluster key that is not pinned, also off loopback
  --upload-limit BYTES_PER_S   such as 20M; 0: none (default: what mt limits set last, else none)
  --download-limit BYTES_PER_S
  --scrub-rate BYTES_PER_S     how fast shared files are read again in the background (default: 8M; 0: no limit)
  --scrub-interval TIME        how often, such as 30d, 12h or 90m (default: 30d; 0: never by itself)
  --max-connections N          peers' connections at once in all (default: 2500)
  --max-connections-per-address N
                               of them from one address (default: 512)
  --log-level LEVEL            fatal, error, warn, info (default), debug, trace or silent
  --metrics-port PORT          serve /metrics, /healthz and /readyz on 127.0.0.1 (0: any free port; default: not at all)
  --config FILE                TOML: options as above, and address, tracker-info (default: MT_PEERD_CONFIG,
                               else mini-torrent/mt-peerd.toml in the XDG configuration directory, if it is there)
  --print-config               show what holds, and from where, and end
  --detach                     go to the background once ready; logs to peerd.log in the data directory
  --version, --help

Flags stand over the environment (MT_PEERD_UPLOAD_LIMIT for --upload-limit, and so on), which stands over the file.
SIGHUP reads limits, scrub settings and log level again.

Example: mt-peerd 127.0.0.1:18000 tracker_info.txt`;

/** What environment and configuration file may set too. */
const OPTIONS = {
  address: { kind: 'text', positional: true },
  'tracker-info': { kind: 'path', positional: true },
  'data-dir': { kind: 'path' },
  socket: { kind: 'path', env: 'MT_SOCKET' },
  announce: { kind: 'text' },
  'trust-first-use': { kind: 'switch' },
  'upload-limit': { kind: 'text' },
  'download-limit': { kind: 'text' },
  'log-level': { kind: 'text' },
  'metrics-port': { kind: 'text' },
  'scrub-rate': { kind: 'text' },
  'scrub-interval': { kind: 'text' },
  'max-connections': { kind: 'text' },
  'max-connections-per-address': { kind: 'text' },
} as const;
/** A disk is hardly busier for it, and a terabyte is read in a day and a half. */
const SCRUB_RATE_DEFAULT = '8M';
/** Disks forget slowly: once a month is what file systems and arrays do. */
const SCRUB_INTERVAL_DEFAULT = '30d';
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export interface DaemonArguments {
  readonly help: boolean;
  readonly version: boolean;
  /** Port 0: any free one. */
  readonly listen: Address;
  /** null: the address listened on. */
  readonly announce: Address | null;
  readonly trackerInfoFile: string;
  readonly dataDir: string;
  readonly socket: string;
  readonly trustFirstUse: boolean;
  readonly logLevel: LogLevel;
  /** Bytes a second; 0: no limit; null: not said, so that what `mt limits` set last holds. */
  readonly uploadLimit: number | null;
  readonly downloadLimit: number | null;
  /** 0: any free one; null: no monitoring. */
  readonly metricsPort: number | null;
  readonly scrub: ScrubSettings;
  readonly connections: AdmissionLimits;
  readonly detach: boolean;
  /** What --print-config shows; null: it was not asked for. */
  readonly config: string | null;
}

/** @throws MtError USAGE or INVALID_ARGUMENT saying which argument and why; PATH_NOT_FOUND, PERMISSION of a configuration file. */
export function parseArguments(argv: readonly string[], env: NodeJS.ProcessEnv): DaemonArguments {
  const { values, positionals } = parse(argv);
  const help = values.help === true;
  const version = values.version === true;
  const wantsConfig = values['print-config'] === true;
  if (positionals.length === 1 || positionals.length > 3) {
    throw usage(positionals.length === 1 ? 'An address and a tracker info file are needed' : 'Too many arguments');
  }
  const places = help || version ? ['127.0.0.1:0', ''] : positionals;
  const place =
    places.length > 0 ? { address: places.slice(0, -1).join(' '), 'tracker-info': places[places.length - 1]! } : {};
  const settings = loadSettings({ program: 'mt-peerd', table: OPTIONS, flags: { ...values, ...place }, env });
  if (settings.get('address') === undefined || settings.get('tracker-info') === undefined) {
    throw usage('An address and a tracker info file are needed');
  }
  const args = {
    help,
    version,
    ...readAddresses(settings),
    trackerInfoFile: settings.get('tracker-info')!,
    dataDir: settings.get('data-dir') ?? defaultPeerDir(env),
    socket: requireSocketPath(settings.get('socket') ?? resolve(defaultSocket(env))),
    trustFirstUse: settings.isOn('trust-first-use'),
    ...readReloadable(settings),
    metricsPort: settings.get('metrics-port') ? parsePort('--metrics-port', settings.get('metrics-port')!) : null,
    connections: readConnectionLimits(settings, PEER_CONNECTIONS_DEFAULT),
    detach: values.detach === true,
  };
  return { ...args, config: wantsConfig ? shownConfig(settings, args) : null };
}

function readAddresses(settings: Settings): { listen: Address; announce: Address | null } {
  const [address, announced] = [settings.get('address')!, settings.get('announce')];
  const listen = parseListen(address) ?? badAddress(address);
  const announce = announced === undefined ? null : (parseAddress(announced) ?? badAddress(announced));
  if (!announce && (listen.host === '0.0.0.0' || listen.host === '::')) {
    throw usage(
      `${listen.host} means every address of this machine: say with --announce HOST:PORT where peers reach it`,
    );
  }
  return { listen, announce };
}

/** What SIGHUP reads again. */
function readReloadable(settings: Settings) {
  return {
    logLevel: parseLogLevel(settings.get('log-level') ?? 'info'),
    uploadLimit: readLimit(settings, 'upload-limit'),
    downloadLimit: readLimit(settings, 'download-limit'),
    scrub: {
      bytesPerS: parseSize('--scrub-rate', settings.get('scrub-rate') ?? SCRUB_RATE_DEFAULT),
      intervalMs: parseDuration('--scrub-interval', settings.get('scrub-interval') ?? SCRUB_INTERVAL_DEFAULT),
    },
  };
}

function readLimit(settings: Settings, name: 'upload-limit' | 'download-limit'): number | null {
  const text = settings.get(name);
  return text === undefined ? null : parseSize(`--${name}`, text);
}

function shownConfig(settings: Settings, args: Omit<DaemonArguments, 'config'>): string {
  return printConfig(settings, {
    address: settings.get('address')!,
    'tracker-info': args.trackerInfoFile,
    'data-dir': args.dataDir,
    socket: args.socket,
    announce: settings.get('announce') ?? null,
    'trust-first-use': args.trustFirstUse,
    'upload-limit': args.uploadLimit,
    'download-limit': args.downloadLimit,
    'scrub-rate': args.scrub.bytesPerS,
    'scrub-interval': settings.get('scrub-interval') ?? SCRUB_INTERVAL_DEFAULT,
    'log-level': args.logLevel,
    'metrics-port': args.metricsPort,
    'max-connections': args.connections.total,
    'max-connections-per-address': args.connections.perAddress,
  });
}

/**
 * Bytes from `20M`, `64K`, `1.5GiB`, `0`: units are powers of 1024.
 * @throws MtError INVALID_ARGUMENT
 */
export function parseSize(name: string, text: string): number {
  const bytes = readSize(text);
  if (bytes !== null) return bytes;
  throw new MtError(
    'INVALID_ARGUMENT',
    `${name} takes a size such as 20M or 512K, not "${printable(text)}"`,
    'Units are K, M, G and T (×1024).',
  );
}

/**
 * Milliseconds from `30d`, `12h`, `90m`, `10s`, `0`.
 * @throws MtError INVALID_ARGUMENT
 */
function parseDuration(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  const ms =
    text === '0' ? 0 : match ? Math.round(Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]) : Number.NaN;
  if (Number.isSafeInteger(ms)) return ms;
  throw new MtError(
    'INVALID_ARGUMENT',
    `${name} takes a time such as 30d or 12h, not "${printable(text)}"`,
    'Units are s, m, h and d.',
  );
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'data-dir': { type: 'string' },
        socket: { type: 'string' },
        announce: { type: 'string' },
        'trust-first-use': { type: 'boolean' },
        'log-level': { type: 'string' },
        'metrics-port': { type: 'string' },
        'scrub-rate': { type: 'string' },
        'scrub-interval': { type: 'string' },
        'max-connections': { type: 'string' },
        'max-connections-per-address': { type: 'string' },
        config: { type: 'string' },
        'print-config': { type: 'boolean' },
        detach: { type: 'boolean' },
        'upload-limit': { type: 'string' },
        'download-limit': { type: 'string' },
        version: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw usage((error as Error).message);
  }
}

function parseListen(text: string): Address | null {
  const address = parseAddress(text.replace(/([:\s])0$/, '$11'));
  return address && /[:\s]0$/.test(text) ? { host: address.host, port: 0 } : address;
}

function badAddress(text: string): never {
  throw usage(`"${printable(text)}" is not an address: write ip:port or [v6]:port`);
}

function usage(message: string): MtError {
  return new MtError('USAGE', message, 'See: mt-peerd --help');
}
