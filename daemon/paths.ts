// Where the daemon keeps things: the lookups that CONTRACT.md promises, in its order. Touches no disk.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** mini-torrent's folder in the XDG state directory; a relative XDG_STATE_HOME is ignored, as that specification says. */
export function stateDir(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_STATE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), '.local', 'state'), 'mini-torrent');
}

export function defaultDataDir(env: NodeJS.ProcessEnv): string {
  return join(stateDir(env), 'peer');
}

/** MT_SOCKET, else $XDG_RUNTIME_DIR/mini-torrent/peerd.sock, else peerd.sock in the default data directory. */
export function defaultSocket(env: NodeJS.ProcessEnv): string {
  if (env.MT_SOCKET) return env.MT_SOCKET;
  if (env.XDG_RUNTIME_DIR && isAbsolute(env.XDG_RUNTIME_DIR)) {
    return join(env.XDG_RUNTIME_DIR, 'mini-torrent', 'peerd.sock');
  }
  return join(defaultDataDir(env), 'peerd.sock');
}

/** What lies in a data directory. */
export function dataFiles(dataDir: string) {
  return {
    store: join(dataDir, 'peerd.sqlite'),
    lock: join(dataDir, 'lock.sqlite'),
    /** Private key and certificate, in one file so that they are made at one instant. */
    identity: join(dataDir, 'identity.pem'),
    /** Who holds the lock: shown to whoever finds it taken. */
    running: join(dataDir, 'running.json'),
  };
}
