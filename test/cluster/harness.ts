// Real trackers as real processes, and clients that speak the daemon's conversation to them. Everything in a temporary folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { isMtError, type MtError } from '../../codec/errors.ts';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import { type CallOptions, type EventOf, type Params, type Result, RpcConnection } from '../../codec/rpc.ts';
import { type TrackerApi, trackerApi, trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import { freePorts } from '../harness/free-ports.ts';

const PROGRAM = process.env.MT_TRACKERD ?? join(import.meta.dirname, '../../cluster/bin/mt-trackerd.cjs');
const HOST = '127.0.0.1';

export async function until<T>(what: string, probe: () => T | Promise<T>, timeoutMs = 30_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value) return value as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(10);
  }
}

export class TestTracker {
  readonly number: number;
  readonly port: number;
  readonly dataDir: string;
  process: ChildProcess | null = null;
  stdout = '';
  stderr = '';
  exit: Promise<number | null> = Promise.resolve(null);

  constructor(number: number, port: number, dataDir: string) {
    this.number = number;
    this.port = port;
    this.dataDir = dataDir;
  }

  get isReady(): boolean {
    return this.stdout.includes('ready on');
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    this.process?.kill(signal);
    const code = await this.exit;
    this.process = null;
    return code;
  }
}

export class TestCluster {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-cluster-'));
  readonly trackers: TestTracker[] = [];
  readonly #clients: TestClient[] = [];

  static async make(count: number): Promise<TestCluster> {
    const cluster = new TestCluster();
    const ports = await freePorts(count);
    for (const [at, port] of ports.entries()) {
      cluster.trackers.push(new TestTracker(at + 1, port, join(cluster.dir, `t${at + 1}`)));
    }
    writeFileSync(cluster.infoFile, ports.map((port) => `${HOST}:${port}\n`).join(''));
    return cluster;
  }

  get infoFile(): string {
    return join(this.dir, 'tracker_info.txt');
  }

  tracker(number: number): TestTracker {
    return this.trackers[number - 1]!;
  }

  /** Starts one tracker; does not wait for it to be ready. */
  spawn(number: number, ...args: string[]): TestTracker {
    const tracker = this.tracker(number);
    tracker.stdout = '';
    tracker.stderr = '';
    const child = this.run(this.infoFile, String(number), '--data-dir', tracker.dataDir, ...args);
    child.stdout!.on('data', (chunk) => {
      tracker.stdout += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      tracker.stderr += chunk;
    });
    tracker.process = child;
    tracker.exit = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    return tracker;
  }

  run(...args: string[]): ChildProcess {
    return spawn(process.execPath, [...(process.env.MT_NODE_ARGS?.split(' ') ?? []), PROGRAM, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, XDG_STATE_HOME: this.dir },
    });
  }

  async start(): Promise<void> {
    for (const { number } of this.trackers) this.spawn(number);
    await this.allReady();
  }

  async allReady(): Promise<void> {
    for (const tracker of this.trackers) {
      await until(`tracker ${tracker.number} is ready\n${tracker.stderr}`, () => tracker.isReady || !tracker.process);
    }
  }

  /** A client of tracker `number`, with a key of its own unless one is given. */
  async client(number: number, identity?: TlsIdentity): Promise<TestClient> {
    const client = await TestClient.connect(
      this.tracker(number).port,
      identity ?? (await makeDaemonIdentity(Date.now())),
    );
    this.#clients.push(client);
    return client;
  }

  /** The number of the tracker that leads, once there is one. */
  leader(): Promise<number> {
    return until('a leader', async () => {
      for (const { number, process } of this.trackers) {
        if (!process) continue;
        const client = await this.client(number).catch(() => null);
        if (!client) continue;
        const status = await client.call('tracker_status', {}).catch(() => null);
        client.close();
        const leader = status?.trackers.find(({ role }) => role === 'leader');
        if (leader) return leader.number;
      }
      return null;
    });
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.trackers.map((tracker) => tracker.process && tracker.kill()));
    if (process.env.MT_TEST_LOG)
      for (const { number, stderr } of this.trackers) console.log(`tracker ${number}:\n${stderr}`);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs mt-trackerd to its end; a program that stays is killed after a while. */
export async function run(cluster: TestCluster, ...args: string[]): Promise<Ended> {
  const child = cluster.run(...args);
  const ended: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout!.on('data', (chunk) => {
    ended.stdout += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    ended.stderr += chunk;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  ended.code = await new Promise((resolve) => child.once('close', (code) => resolve(code)));
  clearTimeout(timer);
  return ended;
}

type Bare<M extends keyof TrackerApi> = {
  [K in Exclude<keyof Params<TrackerApi, M>, 'request' | 'session'>]: Params<TrackerApi, M>[K] extends Uint8Array
    ? Uint8Array
    : Params<TrackerApi, M>[K];
};

export class TestClient {
  readonly identity: TlsIdentity;
  readonly rpc: RpcConnection<TrackerApi, Record<never, never>, typeof trackerHelloSchema>;
  session = '0'.repeat(32);
  epoch = 0;
  clientId = '';
  #seq = 0;

  private constructor(identity: TlsIdentity, rpc: TestClient['rpc']) {
    this.identity = identity;
    this.rpc = rpc;
  }

  static async connect(port: number, identity: TlsIdentity): Promise<TestClient> {
    const { keyPem: key, certPem: cert } = identity;
    const socket = connect({ host: HOST, port, key, cert, rejectUnauthorized: false, minVersion: 'TLSv1.3' });
    socket.setNoDelay(true);
    const rpc = new RpcConnection(socket, {
      calls: trackerApi,
      hello: { role: 'daemon' },
      helloSchema: trackerHelloSchema,
    });
    await rpc.ready;
    return new TestClient(identity, rpc);
  }

  nextRequest() {
    const seq = ++this.#seq;
    return { client_id: this.clientId, seq, acked: seq };
  }

  async register(): Promise<this> {
    this.clientId = (await this.call('register_client', {})).client_id;
    return this;
  }

  /** A call as it is. */
  call<M extends keyof TrackerApi>(
    method: M,
    params: Params<TrackerApi, M>,
    options: CallOptions<EventOf<TrackerApi, M>> = {},
  ): Promise<Result<TrackerApi, M>> {
    return this.rpc.call(method, params, { timeoutMs: 10_000, graceMs: 500, ...options });
  }

  /** A command, with request id and session. */
  command<M extends keyof TrackerApi>(method: M, params: Bare<M>): Promise<Result<TrackerApi, M>> {
    const session = method === 'login' || method === 'create_user' ? {} : { session: this.session };
    return this.call(method, { request: this.nextRequest(), ...session, ...params } as never);
  }

  /** A read, with session; listings from their beginning. */
  read<M extends keyof TrackerApi>(
    method: M,
    params: Omit<Bare<M>, 'after' | 'limit'>,
  ): Promise<Result<TrackerApi, M>> {
    const page = method.startsWith('list_') ? { after: null, limit: 1000 } : {};
    return this.call(method, { session: this.session, ...page, ...params } as never);
  }

  async login(userId: string, password = 'secret', port = 18_000): Promise<this> {
    const address = { host: HOST, port };
    const { session, epoch } = await this.command('login', { user_id: userId, password, address } as never);
    this.session = session;
    this.epoch = epoch;
    return this;
  }

  /** A registered client whose user exists and is logged in. */
  async signUp(userId: string, port?: number): Promise<this> {
    await this.register();
    await this.command('create_user', { user_id: userId, password: 'secret' } as never);
    return this.login(userId, 'secret', port);
  }

  close(): void {
    this.rpc.close();
  }
}

/** The code that a promise fails with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'OK';
  } catch (error) {
    if (isMtError(error)) return (error as MtError).code;
    throw error;
  }
}
