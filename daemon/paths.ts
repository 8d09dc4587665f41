// What lies where in a peer daemon's data directory. Touches no disk.
import { join } from 'node:path';

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
