// Three trackers and three peers, each a container of the real image, on a network of their own. Off loopback, so with a key made
// by `mt-trackerd init` and pinned in the tracker file. Commands go to a daemon's own socket, which its container shares with us.
// Partitions are iptables rules in a container's network namespace, put there from outside: the programs need no right for it.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, Network, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers';
import { ControlClient, type ControlMethod } from '../../cli/control-client.ts';
import type { ControlApi } from '../../codec/control-api.ts';
import type { Params, Result } from '../../codec/rpc-types.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { dockerode, IMAGE } from './engine.ts';

const UID = 1000;
const TRACKER_PORT = 5353;
const PEER_PORT = 18_000;
const START_MS_MAX = 60_000;
const COMMAND_MS = 10_000;
const NUMBERS = [1, 2, 3];

/** One container. */
export class Host {
  readonly name: string;
  readonly #world: ContainerWorld;
  readonly #command: string[];
  #container: StartedTestContainer | null = null;

  constructor(world: ContainerWorld, name: string, command: string[]) {
    this.#world = world;
    this.name = name;
    this.#command = command;
  }

  /** First start: returns when its program says that it is ready. */
  async create(): Promise<void> {
    this.#container = await new GenericContainer(IMAGE)
      .withNetwork(this.#world.network)
      .withNetworkAliases(this.name)
      .withBindMounts([
        { source: await this.#world.volume(this.name), target: '/data', mode: 'rw' },
        { source: join(this.#world.dir, 'config'), target: '/config', mode: 'ro' },
        { source: join(this.#world.dir, this.name), target: '/shared', mode: 'rw' },
      ])
      .withCommand(this.#command)
      .withWaitStrategy(Wait.forLogMessage(/ ready on /))
      .withStartupTimeout(START_MS_MAX)
      .start();
  }

  /** Starts it again, and does not wait. */
  async start(): Promise<void> {
    await (await this.handle()).start();
  }

  async kill(): Promise<void> {
    const handle = await this.handle();
    await handle.kill({ signal: 'SIGKILL' });
    await handle.wait();
  }

  /** SIGTERM. Returns how long it took, in ms. @throws when it was no clean end. */
  async stop(): Promise<number> {
    const handle = await this.handle();
    const startedAt = performance.now();
    await handle.stop({ t: 10 });
    const elapsedMs = performance.now() - startedAt;
    const { ExitCode } = (await handle.inspect()).State;
    if (ExitCode !== 0) throw new Error(`${this.name} ended with ${ExitCode} on SIGTERM\n${await this.log()}`);
    return elapsedMs;
  }

  async pause(): Promise<void> {
    await (await this.handle()).pause();
  }

  async unpause(): Promise<void> {
    await (await this.handle()).unpause();
  }

  async inspect() {
    return (await this.handle()).inspect();
  }

  async ip(): Promise<string> {
    return (await this.inspect()).NetworkSettings.Networks[this.#world.network.getName()]!.IPAddress;
  }

  /** Runs iptables in its network namespace. */
  async iptables(...args: string[]): Promise<void> {
    const { State } = await this.inspect();
    if (State.Running) execFileSync('nsenter', ['-t', String(State.Pid), '-n', 'iptables', '-w', ...args]);
  }

  async exec(...command: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    return this.#container!.exec(command);
  }

  /** The end of what its program wrote. Not by a stream that follows: that may close without an end. */
  async log(): Promise<string> {
    const raw = await (await this.handle()).logs({ stdout: true, stderr: true, follow: false, tail: 30 });
    return `── ${this.name}\n${unframed(raw)}`;
  }

  async remove(): Promise<void> {
    if (this.#container) await (await this.handle()).remove({ force: true, v: true });
  }

  async handle() {
    return (await dockerode()).getContainer(this.#container!.getId());
  }
}

export class Peer extends Host {
  readonly user: string;
  readonly dir: string;
  #client: ControlClient | null = null;

  constructor(world: ContainerWorld, name: string) {
    const announce = ['--announce', `${name}:${PEER_PORT}`];
    const command = ['mt-peerd', `0.0.0.0:${PEER_PORT}`, '/config/trackers.txt', '--socket', '/shared/peerd.sock'];
    super(world, name, [...command, ...announce]);
    this.user = `user-of-${name}`;
    this.dir = join(world.dir, name);
  }

  /** One command. @throws MtError as `mt` would show it. */
  async call<M extends ControlMethod>(
    method: M,
    params: Params<ControlApi, M>,
    timeoutMs = COMMAND_MS,
    unbounded = false,
  ) {
    const signal = new AbortController().signal;
    try {
      this.#client ??= await ControlClient.open(join(this.dir, 'peerd.sock'), { signal, timeoutMs });
      return (await this.#client.call(method, params, { signal, timeoutMs, unbounded })) as Result<ControlApi, M>;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'DAEMON_UNREACHABLE' || code === 'OUTCOME_UNKNOWN') this.disconnect();
      throw error;
    }
  }

  disconnect(): void {
    this.#client?.close();
    this.#client = null;
  }

  /** Waits until its daemon answers. */
  async answers(): Promise<void> {
    await until(`${this.name} answers`, () => this.call('whoami', {}, 1_000).catch(() => this.disconnect()), {
      timeoutMs: 20_000,
      everyMs: 50,
    });
  }

  status(): Promise<TrackerStatus> {
    return this.call('tracker_status', {});
  }
}

export class ContainerWorld {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-c-'));
  readonly trackers = new Map<number, Host>();
  readonly peers: Peer[];
  readonly #run = randomBytes(4).toString('hex');
  readonly #volumes: string[] = [];
  #network: StartedNetwork | null = null;

  constructor() {
    for (const number of NUMBERS) {
      const command = ['mt-trackerd', '/config/trackers.txt', `${number}`, '--cluster-key', '/config/cluster.key'];
      command.push('--listen', `0.0.0.0:${TRACKER_PORT}`); // a container has several addresses
      this.trackers.set(number, new Host(this, `tracker-${number}`, command));
    }
    this.peers = NUMBERS.map((number) => new Peer(this, `peer-${number}`));
    for (const { name } of this.hosts) this.#folder(name);
    this.#folder('config');
    this.#makeCluster();
  }

  get hosts(): Host[] {
    return [...this.trackers.values(), ...this.peers];
  }

  get network(): StartedNetwork {
    return this.#network!;
  }

  tracker(number: number): Host {
    return this.trackers.get(number)!;
  }

  /** All six, and each peer's user made and logged in. */
  async start(): Promise<this> {
    // Sorts after "bridge": then what Docker publishes outlives a disconnect from this network.
    this.#network = await new Network({ nextUuid: () => `net-mt-${this.#run}` }).start();
    await Promise.all(this.hosts.map((host) => host.create()));
    await Promise.all(
      this.peers.map(async (peer) => {
        await peer.call('create_user', { user_id: peer.user, password: 'a password' });
        await peer.call('login', { user_id: peer.user, password: 'a password' });
      }),
    );
    return this;
  }

  async volume(name: string): Promise<string> {
    const Name = `mt-${this.#run}-${name}`;
    await (await dockerode()).createVolume({ Name, Labels: { 'org.testcontainers': 'true' } });
    this.#volumes.push(Name);
    return Name;
  }

  /** The number of the leader that the trackers agree on, seen from a peer. */
  leader(from = this.peers[0]!): Promise<number> {
    return until('there is a leader', async () => (await from.status().catch(() => null))?.leader, {
      timeoutMs: 20_000,
      everyMs: 50,
    });
  }

  /** Waits until every tracker is reachable and has applied all. */
  async whole(from = this.peers[0]!): Promise<void> {
    await until(
      'all trackers are up to date',
      async () => {
        const status = await from.status().catch(() => null);
        return status?.leader && status.trackers.every(({ reachable, lag }) => reachable && lag === 0);
      },
      { timeoutMs: 30_000, everyMs: 50 },
    );
  }

  /** Packets from one to the other are dropped, in this direction only. */
  async cut(from: Host, to: Host): Promise<void> {
    await to.iptables('-A', 'INPUT', '-s', await from.ip(), '-j', 'DROP');
  }

  /** Nothing passes between the two sides any more. */
  async partition(left: readonly Host[], right: readonly Host[]): Promise<void> {
    const pairs = left.flatMap((a) => right.map((b) => [a, b] as const));
    await Promise.all(pairs.flatMap(([a, b]) => [this.cut(a, b), this.cut(b, a)]));
  }

  async heal(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.iptables('-F')));
  }

  async logs(): Promise<string> {
    return (await Promise.all(this.hosts.map((host) => host.log().catch(() => '')))).join('\n');
  }

  async close(): Promise<void> {
    const docker = await dockerode();
    for (const peer of this.peers) peer.disconnect();
    await Promise.all(this.hosts.map((host) => host.remove()));
    await this.#network?.stop();
    await Promise.all(this.#volumes.map((name) => docker.getVolume(name).remove()));
    rmSync(this.dir, { recursive: true, force: true });
  }

  #folder(name: string): void {
    const path = join(this.dir, name);
    mkdirSync(path, { mode: 0o700 });
    chownSync(path, UID, UID);
  }

  /** As the README tells: the key by init, its fingerprint in the tracker file, readable by the programs' user only. */
  #makeCluster(): void {
    const key = join(this.dir, 'config', 'cluster.key');
    const said = execFileSync(process.execPath, [BINS.trackerd, 'init', '--cluster-key', key], { encoding: 'utf8' });
    const pin = /^key [0-9a-f]{64}$/m.exec(said)![0];
    chownSync(key, UID, UID);
    const lines = NUMBERS.map((number) => `tracker-${number}:${TRACKER_PORT}`);
    const file = join(this.dir, 'config', 'trackers.txt');
    writeFileSync(file, `${[...lines, pin].join('\n')}\n`);
    chmodSync(file, 0o644);
    if (readFileSync(key).length === 0) throw new Error('init made an empty key');
  }
}

/** Docker sends output in frames: stream (1 byte), 3 zeroes, size (4 bytes), text. */
function unframed(raw: Buffer): string {
  let text = '';
  for (let at = 0; at + 8 <= raw.length; at += 8 + raw.readUInt32BE(at + 4)) {
    text += raw.toString('utf8', at + 8, at + 8 + raw.readUInt32BE(at + 4));
  }
  return text;
}
