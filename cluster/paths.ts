// Where a tracker keeps things unless it is told. Touches no disk.
import { join } from 'node:path';
import { stateDir } from '../codec/places.ts';

export function defaultDataDir(env: NodeJS.ProcessEnv, number: number): string {
  return join(stateDir(env), `tracker-${number}`);
}

/** MT_CLUSTER_KEY, else `cluster.key` in the state directory: beside the data directories, never in one. */
export function defaultClusterKey(env: NodeJS.ProcessEnv): string {
  return env.MT_CLUSTER_KEY || join(stateDir(env), 'cluster.key');
}
