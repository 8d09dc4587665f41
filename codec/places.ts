// Where the three programs keep things and find each other unless they are told: the same lookups in all of them. Touches no disk.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { MtError } from './errors.ts';

/** `sun_path` of Linux holds 108 bytes with the closing NUL. */
const SOCKET_PATH_BYTES_MAX = 107;

/** mini-torrent's folder in the XDG state directory. */
export function stateDir(env: NodeJS.ProcessEnv): string {
  return xdgFolder(env, 'XDG_STATE_HOME', '.local/state');
}

/** mini-torrent's folder in the XDG configuration directory. */
export function configDir(env: NodeJS.ProcessEnv): string {
  return xdgFolder(env, 'XDG_CONFIG_HOME', '.config');
}

/** A relative path in such a variable is ignored, as the XDG Base Directory Specification says. */
function xdgFolder(env: NodeJS.ProcessEnv, variable: string, otherwise: string): string {
  const base = env[variable];
  return join(base && isAbsolute(base) ? base : join(env.HOME || homedir(), otherwise), 'mini-torrent');
}

/** A peer daemon's data directory. */
export function defaultPeerDir(env: NodeJS.ProcessEnv): string {
  return join(stateDir(env), 'peer');
}

/** A peer daemon's control socket: MT_SOCKET, else in $XDG_RUNTIME_DIR/mini-torrent/, else in the default data directory. */
export function defaultSocket(env: NodeJS.ProcessEnv): string {
  if (env.MT_SOCKET) return env.MT_SOCKET;
  if (env.XDG_RUNTIME_DIR && isAbsolute(env.XDG_RUNTIME_DIR)) {
    return join(env.XDG_RUNTIME_DIR, 'mini-torrent', 'peerd.sock');
  }
  return join(defaultPeerDir(env), 'peerd.sock');
}

/** @returns the path itself. @throws MtError USAGE when it is too long for a socket. */
export function requireSocketPath(path: string): string {
  const sizeBytes = Buffer.byteLength(path);
  if (sizeBytes <= SOCKET_PATH_BYTES_MAX) return path;
  throw new MtError(
    'USAGE',
    `The socket's path has ${sizeBytes} bytes; the system takes ${SOCKET_PATH_BYTES_MAX}`,
    'Choose a shorter path with --socket, for mt-peerd and mt alike.',
  );
}
