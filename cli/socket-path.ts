// Where the daemon's socket is: the one lookup that CONTRACT promises, in its order.
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { MtError } from '../codec/errors.ts';

/** `sun_path` of Linux holds 108 bytes with the closing NUL. */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * --socket, else MT_SOCKET, else $XDG_RUNTIME_DIR/mini-torrent/peerd.sock, else peerd.sock in the daemon's default data directory.
 * @throws MtError USAGE when the path is too long for a socket
 */
export function socketPath(flag: string | undefined, env: NodeJS.ProcessEnv): string {
  const path = lookUp(flag, env);
  const sizeBytes = Buffer.byteLength(path);
  if (sizeBytes <= SOCKET_PATH_BYTES_MAX) return path;
  throw new MtError(
    'USAGE',
    `The socket's path has ${sizeBytes} bytes; the system takes ${SOCKET_PATH_BYTES_MAX}`,
    'Choose a shorter path with --socket, for mt-peerd and mt alike.',
  );
}

function lookUp(flag: string | undefined, env: NodeJS.ProcessEnv): string {
  const named = flag ?? env.MT_SOCKET;
  if (named) return resolve(named);
  if (env.XDG_RUNTIME_DIR && isAbsolute(env.XDG_RUNTIME_DIR)) {
    return join(env.XDG_RUNTIME_DIR, 'mini-torrent', 'peerd.sock');
  }
  return join(stateDir(env), 'peer', 'peerd.sock');
}

/** mini-torrent's folder in the XDG state directory; a relative XDG_STATE_HOME is ignored, as that specification says. */
export function stateDir(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_STATE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), '.local', 'state'), 'mini-torrent');
}
