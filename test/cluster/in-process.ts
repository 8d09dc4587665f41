// Trackers as objects in the test's own process: for what real processes cannot be told, such as early snapshots.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { SnapshotSettings } from '../../cluster/node/settings.ts';
import { clusterKeyOf } from '../../cluster/node/tls.ts';
import { Tracker, type TrackerConfig } from '../../cluster/node/tracker.ts';
import { makeClusterKeyPem, makeDaemonIdentity, parseClusterKeyPem, type TlsIdentity } from '../../codec/identity.ts';
import { freePorts } from '../harness/free-ports.ts';
import { TestClient } from './harness.ts';

export class LocalCluster {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-local-'));
  readonly trackers = new Map<number, Tracker>();
  readonly #key = clusterKeyOf(parseClusterKeyPem(makeClusterKeyPem()));
  readonly #ports: number[];
  readonly #snapshots: SnapshotSettings;
  readonly #more: Partial<TrackerConfig>;
  readonly #clients: TestClient[] = [];

  private constructor(ports: number[], snapshots: SnapshotSettings, more: Partial<TrackerConfig>) {
    this.#ports = ports;
    this.#snapshots = snapshots;
    this.#more = more;
  }

  static async start(
    count: number,
    snapshots: SnapshotSettings,
    more: Partial<TrackerConfig> = {},
  ): Promise<LocalCluster> {
    const cluster = new LocalCluster(await freePorts(count), snapshots, more);
    await Promise.all(cluster.#ports.map((_, at) => cluster.startOne(at + 1)));
    await Promise.all([...cluster.trackers.values()].map((tracker) => tracker.ready));
    return cluster;
  }

  dataDir(number: number): string {
    return join(this.dir, `t${number}`);
  }

  async startOne(number: number): Promise<Tracker> {
    const { mkdirSync } = await import('node:fs');
    mkdirSync(this.dataDir(number), { recursive: true });
    const addresses = this.#ports.map((port) => ({ host: '127.0.0.1', port }));
    const tracker = await Tracker.start({
      number,
      addresses,
      listen: addresses[number - 1]!,
      dataDir: this.dataDir(number),
      key: this.#key,
      log: pino({ level: process.env.MT_TEST_LOG ?? 'silent' }),
      snapshots: this.#snapshots,
      onFatal: (error) => {
        throw error;
      },
      ...this.#more,
    });
    this.trackers.set(number, tracker);
    return tracker;
  }

  async stopOne(number: number): Promise<void> {
    await this.trackers.get(number)?.stop();
    this.trackers.delete(number);
  }

  async client(number: number, identity?: TlsIdentity): Promise<TestClient> {
    const own = identity ?? (await makeDaemonIdentity(Date.now()));
    const client = await TestClient.connect(this.#ports[number - 1]!, own);
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const number of [...this.trackers.keys()]) await this.stopOne(number);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
