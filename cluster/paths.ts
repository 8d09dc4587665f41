// Where a tracker keeps things: the lookups that CONTRACT.md promises, in its order. Touches no disk.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** mini-torrent's folder in the XDG state directory; a relative XDG_STATE_HOME is ignored, as that specification says. */
export function stateDir(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_STATE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), '.local', 'state'), 'mini-torrent');
}

export function defaultDataDir(env: NodeJS.ProcessEnv, number: number): string {
  return join(stateDir(env), `tracker-${number}`);
}

/** MT_CLUSTER_KEY, else `cluster.key` in the state directory. */
export function defaultClusterKey(env: NodeJS.ProcessEnv): string {
  return env.MT_CLUSTER_KEY || join(stateDir(env), 'cluster.key');
}
