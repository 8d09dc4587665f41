// Where the daemon's socket is, for a command.
import { resolve } from 'node:path';
import { defaultSocket, requireSocketPath } from '../codec/places.ts';

/** --socket, else where the daemon puts it (codec/places.ts). @throws MtError USAGE when the path is too long for a socket */
export function socketPath(flag: string | undefined, env: NodeJS.ProcessEnv): string {
  return requireSocketPath(resolve(flag || defaultSocket(env)));
}
