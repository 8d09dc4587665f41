// The command line of mt-peerd: parses and checks, touches nothing.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { MtError } from '../codec/errors.ts';
import { type Address, printable } from '../codec/ids.ts';
import { parseAddress } from '../codec/tracker-info.ts';
import { defaultDataDir, defaultSocket } from './paths.ts';

export const USAGE = `Usage: mt-peerd <ip>:<port> <tracker_info_file> [options]
       mt-peerd <ip> <port> <tracker_info_file> [options]

Shares and fetches files for the user who logs in with mt. Runs in the foreground and logs to stderr.

Arguments:
  <ip>:<port>                  where other peers reach this daemon ([v6]:port too; port 0: any free one)
  <tracker_info_file>          the trackers' addresses, and "key <fingerprint>" lines that pin their cluster

Options:
  --data-dir DIR               its key, session and shares (default: mini-torrent/peer in the XDG state directory)
  --socket PATH                where mt finds it (default: MT_SOCKET, else mini-torrent/peerd.sock in XDG_RUNTIME_DIR)
  --announce HOST:PORT         the address that peers are told, when it is not the one listened on
  --trust-first-use            accept a cluster key that is not pinned, also off loopback
  --upload-limit BYTES_PER_S   such as 20M; 0: none (default)
  --download-limit BYTES_PER_S
  --log-level LEVEL            fatal, error, warn, info (default), debug, trace or silent
  --version, --help

Example: mt-peerd 127.0.0.1:18000 tracker_info.txt`;

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
/** `sun_path` of Linux holds 108 bytes with the closing NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
const UNITS = ['', 'K', 'M', 'G', 'T'];

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
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Bytes a second; 0: no limit. */
  readonly uploadLimit: number;
  readonly downloadLimit: number;
}

/** @throws MtError USAGE or INVALID_ARGUMENT saying which argument and why. */
export function parseArguments(argv: readonly string[], env: NodeJS.ProcessEnv): DaemonArguments {
  const { values, positionals } = parse(argv);
  const help = values.help === true;
  const version = values.version === true;
  const place = help || version ? ['127.0.0.1:0', ''] : positionals;
  if (place.length < 2 || place.length > 3) {
    throw usage(place.length < 2 ? 'An address and a tracker info file are needed' : 'Too many arguments');
  }
  const addressText = place.slice(0, -1).join(' ');
  const listen = parseListen(addressText) ?? badAddress(addressText);
  const announce =
    values.announce === undefined ? null : (parseAddress(values.announce) ?? badAddress(values.announce));
  if (!announce && (listen.host === '0.0.0.0' || listen.host === '::')) {
    throw usage(
      `${listen.host} means every address of this machine: say with --announce HOST:PORT where peers reach it`,
    );
  }
  const logLevel = LOG_LEVELS.find((level) => level === (values['log-level'] ?? 'info'));
  if (!logLevel) throw usage(`--log-level is one of ${LOG_LEVELS.join(', ')}`);
  return {
    help,
    version,
    listen,
    announce,
    trackerInfoFile: resolve(place[place.length - 1]!),
    dataDir: resolve(values['data-dir'] ?? defaultDataDir(env)),
    socket: checkSocket(resolve(values.socket ?? defaultSocket(env))),
    trustFirstUse: values['trust-first-use'] === true,
    logLevel,
    uploadLimit: parseSize('--upload-limit', values['upload-limit'] ?? '0'),
    downloadLimit: parseSize('--download-limit', values['download-limit'] ?? '0'),
  };
}

/**
 * Bytes from `20M`, `64K`, `1.5GiB`, `0`: units are powers of 1024.
 * @throws MtError INVALID_ARGUMENT
 */
export function parseSize(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?(?:\/s)?$/i.exec(text);
  const bytes = match ? Math.round(Number(match[1]) * 1024 ** UNITS.indexOf(match[2]!.toUpperCase())) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new MtError(
    'INVALID_ARGUMENT',
    `${name} takes a size such as 20M or 512K, not "${printable(text)}"`,
    'Units are K, M, G and T (×1024).',
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

function checkSocket(path: string): string {
  const sizeBytes = Buffer.byteLength(path);
  if (sizeBytes <= SOCKET_PATH_BYTES_MAX) return path;
  throw usage(
    `The socket's path has ${sizeBytes} bytes; the system takes ${SOCKET_PATH_BYTES_MAX}: choose a shorter --socket`,
  );
}

function badAddress(text: string): never {
  throw usage(`"${printable(text)}" is not an address: write ip:port or [v6]:port`);
}

function usage(message: string): MtError {
  return new MtError('USAGE', message, 'See: mt-peerd --help');
}
