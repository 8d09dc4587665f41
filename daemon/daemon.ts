// Wires one daemon: data directory, identity, trust, tracker client, outbox, shares, data plane, session, control socket.
// In that order: what is below never needs what is above, but through a callback. Does nothing else.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { MtError } from '../codec/errors.ts';
import { type Address, formatAddress } from '../codec/ids.ts';
import { parseTrackerInfo, type TrackerInfo } from '../codec/tracker-info.ts';
import packageJson from '../package.json' with { type: 'json' };
import type { DaemonArguments } from './arguments.ts';
import type { ControlContext } from './control/context.ts';
import { limitsAtStart } from './control/transfers.ts';
import { ControlServer } from './control-server.ts';
import { loadIdentity, openDataDir } from './data-dir.ts';
import { makeDataPlanePorts } from './data-plane-ports.ts';
import { FileHasher } from './disk/hash.ts';
import { HashPool } from './disk/hash-pool.ts';
import type { DataPlane } from './download/types.ts';
import { startDataPlane } from './download.ts';
import { Outbox } from './outbox.ts';
import { Session } from './session.ts';
import { Shares } from './share.ts';
import { ShareKeeper } from './shares/keeper.ts';
import { OutboxStore } from './store/outbox-store.ts';
import { SettingsStore } from './store/settings-store.ts';
import { ShareStore } from './store/share-store.ts';
import { openStore, type Sqlite } from './store/store.ts';
import { WatchStore } from './store/watch-store.ts';
import { TrackerClient } from './tracker-client.ts';
import { ClusterTrust } from './trackers/trust.ts';
import { Uploads } from './upload.ts';
import { Watches } from './watch/watches.ts';

export const VERSION: string = packageJson.version;

export interface RunningDaemon {
  readonly address: Address;
  readonly socket: string;
  /** What its control socket works with; monitoring and SIGHUP use it too. */
  readonly context: ControlContext;
  /** Stops cleanly: transfers end, what is remembered is on disk, socket and lock are free. */
  close(): Promise<void>;
}

/**
 * Starts a daemon; resolves when socket and port listen, whether trackers are there or not.
 * @throws MtError DATA_DIR_LOCKED, ADDRESS_IN_USE, INVALID_TRACKER_INFO, PATH_NOT_FOUND, PERMISSION …
 */
export async function startDaemon(args: DaemonArguments, log: Logger): Promise<RunningDaemon> {
  const startedAtMs = performance.now();
  const trackerInfo = readTrackerInfo(args.trackerInfoFile);
  const dataDir = openDataDir(args);
  const closers: (() => unknown)[] = [() => dataDir.release()];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const identity = await loadIdentity(dataDir.files.identity);
    const db = openStore(dataDir.files.store);
    closers.push(() => db.close());
    const settings = new SettingsStore(db);
    const trust = new ClusterTrust(settings, trackerInfo.keyFingerprints, args.trustFirstUse);

    const client = new TrackerClient({
      identity,
      trust,
      settings,
      addresses: trackerInfo.addresses,
      onLink: (link) =>
        link
          ? log.info({ tracker: link.hello.number, address: formatAddress(link.address) }, 'connected to a tracker')
          : log.info('the link to the tracker ended'),
    });
    closers.push(() => client.close());
    const outbox = new Outbox({ db, store: new OutboxStore(db), settings, client, log });
    closers.push(() => outbox.close());
    const shares = new Shares({
      db,
      store: new ShareStore(db),
      outbox,
      log,
      onStopped: (file) => {
        dataPlane.onShareStopped(file);
        session.beatSoon();
      },
    });
    const pool = new HashPool();
    closers.push(() => pool.close());

    const { dataPlane, address } = await startDataPlane({
      ports: makeDataPlanePorts({ client, trust, shares, session: () => session, log }),
      listen: args.listen,
      limits: limitsAtStart(settings, { up: args.uploadLimit, down: args.downloadLimit }),
      connections: args.connections,
      db,
      log,
      onCrash: (error) => {
        throw error;
      },
    });
    closers.push(() => dataPlane.close());
    const announced = args.announce ?? { host: args.listen.host, port: address.port };
    const session: Session = new Session({ db, settings, client, shares, outbox, address: announced, dataPlane, log });
    closers.push(() => session.close());

    const about = { version: VERSION, dataDir: args.dataDir, socket: args.socket, address: announced, startedAtMs };
    const { uploads, keeper, watches } = startSharing({ args, db, client, shares, pool, dataPlane, log }, closers);
    const context = { client, session, shares, keeper, uploads, watches, outbox, dataPlane, settings, about };
    const control = new ControlServer(context, log);
    await control.listen();
    closers.push(() => control.close());

    dataDir.announce(announced, args.socket);
    outbox.start(shares);
    session.start();
    return { address: announced, socket: args.socket, context, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface SharingParts {
  readonly args: DaemonArguments;
  readonly db: Sqlite;
  readonly client: TrackerClient;
  readonly shares: Shares;
  readonly pool: HashPool;
  readonly dataPlane: DataPlane;
  readonly log: Logger;
}

/** What makes shares, looks after them, and finds new ones by itself. */
function startSharing({ args, db, client, shares, pool, dataPlane, log }: SharingParts, closers: (() => unknown)[]) {
  const uploads = new Uploads({ shares, hasher: new FileHasher(pool), client });
  const directory = join(args.dataDir, 'repairs');
  const keeper = new ShareKeeper({ shares, pool, dataPlane, directory, settings: args.scrub, log });
  closers.push(() => keeper.close());
  const watches = new Watches({ store: new WatchStore(db), shares, uploads, client, log });
  closers.push(() => watches.close());
  return { uploads, keeper, watches };
}

function readTrackerInfo(path: string): TrackerInfo {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new MtError(
      'INVALID_TRACKER_INFO',
      `The tracker info file ${path} cannot be read (${code ?? 'unknown error'})`,
      'It holds the address of each tracker, as ip:port on a line of its own.',
      { cause },
    );
  }
  return parseTrackerInfo(text, path);
}
