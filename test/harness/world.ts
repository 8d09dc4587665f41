// A small world of real programs in a private directory on private loopback addresses: trackers, daemons, and `mt` beside them.
// Whatever a test does, its end stops every program and removes the directory; a failure shows the logs first.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, EXIT_OF } from '../../codec/errors.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { makeFile } from './files.ts';
import { BINS, Program } from './program.ts';
import { until } from './until.ts';

const MT_MS_MAX = 120_000;
/** Of what only prepares a scene: many do it at once, and each waits for the disk. */
const PREPARE = ['--timeout', '60'];
const TRACKER_PORT = 5353;
const DAEMON_PORT = 18_000;

export interface MtResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** A peer daemon, its directory, and `mt` commands that talk to it. */
export class Daemon {
  readonly name: string;
  readonly address: Address;
  readonly dir: string;
  readonly socket: string;
  readonly #world: World;
  #program: Program | null = null;

  constructor(world: World, name: string, address: Address) {
    this.#world = world;
    this.name = name;
    this.address = address;
    this.dir = join(world.dir, name);
    mkdirSync(join(this.dir, 'run'), { recursive: true, mode: 0o700 });
    this.socket = join(this.dir, 'run', 's');
  }

  get program(): Program {
    if (!this.#program) throw new Error(`${this.name} was not started`);
    return this.#program;
  }

  get args(): string[] {
    return [
      formatAddress(this.address),
      this.#world.trackerInfo,
      '--data-dir',
      join(this.dir, 'data'),
      '--socket',
      this.socket,
    ];
  }

  async start(...more: string[]): Promise<this> {
    this.#program = this.#world.spawn(`mt-peerd ${this.name}`, BINS.peerd, [...this.args, ...more]);
    await this.#program.ready();
    return this;
  }

  /** A path in this daemon's directory. */
  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  /** Makes a file there; its content depends on the seed only. Returns path and SHA-1. */
  file(name: string, size: number, seed = name): { path: string; sha1: string } {
    const path = this.path(name);
    return { path, sha1: makeFile(path, size, seed) };
  }

  /** Runs `mt <args>` against this daemon, as typed. */
  mt(...args: string[]): Promise<MtResult> {
    return this.#world.mt(this.socket, args, this.dir);
  }

  /** Runs a command that must succeed; returns its JSON. */
  async ok<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const result = await this.mt(...args, '--json');
    if (result.code !== 0) throw new Error(`mt ${args.join(' ')} by ${this.name}: ${describe(result)}`);
    return JSON.parse(result.stdout) as T;
  }

  /** Runs a command that must fail with this code and its exit number. Returns the error. */
  async fails(code: ErrorCode, ...args: string[]): Promise<{ code: string; message: string; suggestion?: string }> {
    const result = await this.mt(...args, '--json');
    const error = parseError(result.stdout);
    if (error?.code !== code || result.code !== EXIT_OF[code]) {
      throw new Error(
        `mt ${args.join(' ')} by ${this.name}: expected ${code} (exit ${EXIT_OF[code]}), got ${describe(result)}`,
      );
    }
    return error;
  }

  /** Makes the user of this daemon's name and logs in. */
  async enter(): Promise<this> {
    await this.ok('create_user', this.name, `pw-${this.name}`, ...PREPARE);
    await this.ok('login', this.name, `pw-${this.name}`, ...PREPARE);
    return this;
  }
}

export interface WorldOptions {
  readonly trackerCount?: number;
  /** Where the programs listen: trackers first, then daemons. Default: addresses of a private loopback net. */
  readonly addresses?: readonly Address[];
  /** Network namespace that trackers and daemons run in. */
  readonly netns?: string;
}

export class World {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-'));
  readonly trackerInfo = join(this.dir, 'tracker_info.txt');
  readonly env: NodeJS.ProcessEnv;
  readonly trackers = new Map<number, Program>();
  readonly daemons: Daemon[] = [];
  readonly #programs: Program[] = [];
  /** 127.a.b.*, so that worlds that run at the same time never meet. */
  readonly #net = `127.${randomInt(1, 255)}.${randomInt(0, 256)}`;
  readonly #trackerCount: number;
  readonly #addresses: readonly Address[] | undefined;
  readonly #netns: string | undefined;

  constructor({ trackerCount = 3, addresses, netns }: WorldOptions = {}) {
    this.#trackerCount = trackerCount;
    this.#netns = netns;
    this.#addresses = addresses;
    for (const name of ['home', 'state', 'run']) mkdirSync(join(this.dir, name), { mode: 0o700 });
    const { PATH, LANG, MT_GATE_MARK } = process.env;
    this.env = {
      PATH,
      ...(LANG !== undefined && { LANG }),
      ...(MT_GATE_MARK !== undefined && { MT_GATE_MARK }),
      HOME: join(this.dir, 'home'),
      XDG_STATE_HOME: join(this.dir, 'state'),
      XDG_RUNTIME_DIR: join(this.dir, 'run'),
    };
    const lines = Array.from({ length: trackerCount }, (_, i) => {
      const { host, port } = this.trackerAddress(i + 1);
      return `${host}\n${port}\n`;
    });
    writeFileSync(this.trackerInfo, lines.join(''));
  }

  trackerAddress(number: number): Address {
    return this.#addresses?.[number - 1] ?? { host: `${this.#net}.${number}`, port: TRACKER_PORT };
  }

  #daemonAddress(index: number): Address {
    return this.#addresses?.[this.#trackerCount + index] ?? { host: `${this.#net}.${100 + index}`, port: DAEMON_PORT };
  }

  spawn(name: string, bin: string, args: string[], cwd = this.dir): Program {
    const program = new Program({ name, bin, args, env: this.env, cwd, netns: this.#netns });
    this.#programs.push(program);
    return program;
  }

  /** Starts tracker N without waiting for it: a new cluster is ready only when all of its trackers are up. */
  launchTracker(number: number, ...more: string[]): Program {
    const program = this.spawn(`mt-trackerd ${number}`, BINS.trackerd, [this.trackerInfo, String(number), ...more]);
    this.trackers.set(number, program);
    return program;
  }

  async startTracker(number: number): Promise<Program> {
    const program = this.launchTracker(number);
    await program.ready();
    return program;
  }

  async startTrackers(): Promise<this> {
    const numbers = Array.from({ length: this.#trackerCount }, (_, i) => i + 1);
    await Promise.all(numbers.map((number) => this.startTracker(number)));
    return this;
  }

  daemon(name: string): Daemon {
    const daemon = new Daemon(this, name, this.#daemonAddress(this.daemons.length));
    this.daemons.push(daemon);
    return daemon;
  }

  /** Daemons of these names, each started, its user made and logged in. */
  async people<const N extends string>(...names: N[]): Promise<Record<N, Daemon>> {
    const daemons = await Promise.all(names.map(async (name) => (await this.daemon(name).start()).enter()));
    return Object.fromEntries(daemons.map((daemon) => [daemon.name, daemon])) as Record<N, Daemon>;
  }

  /** Runs `mt` as typed, with the socket of one daemon in MT_SOCKET. */
  mt(socket: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}, input?: string): Promise<MtResult> {
    return new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const child = spawn(process.execPath, [BINS.mt, ...args], {
        cwd,
        env: { ...this.env, MT_SOCKET: socket, ...env },
        stdio: ['pipe', 'pipe', 'pipe'],
        timeout: MT_MS_MAX,
        killSignal: 'SIGKILL',
      });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input ?? '');
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr, elapsedMs: performance.now() - startedAt }));
    });
  }

  /** A group of the first daemon's user that the others asked to join and were accepted into. */
  async group(groupId: string, owner: Daemon, ...members: Daemon[]): Promise<void> {
    await owner.ok('create_group', groupId, ...PREPARE);
    for (const member of members) {
      await member.ok('join_group', groupId, ...PREPARE);
      await owner.ok('accept_request', groupId, member.name, ...PREPARE);
    }
  }

  async status(from: Daemon): Promise<TrackerStatus> {
    return from.ok<TrackerStatus>('tracker_status');
  }

  /** The number of the leader that the trackers agree on now. */
  leader(from: Daemon): Promise<number> {
    return until('there is a leader', async () => (await this.status(from)).leader, {
      timeoutMs: 20_000,
      everyMs: 100,
    });
  }

  /** kill -9 of the leader. Returns its number. */
  async killLeader(from: Daemon): Promise<number> {
    const number = await this.leader(from);
    await this.trackers.get(number)!.kill();
    return number;
  }

  logs(): string {
    return this.#programs.map((program) => program.log()).join('\n\n');
  }

  /** Ends everything. With MT_KEEP=1 the directory stays. */
  async close(): Promise<void> {
    for (const program of this.#programs) program.thaw();
    await Promise.all(this.#programs.map((program) => program.kill()));
    if (process.env.MT_KEEP !== '1' && existsSync(this.dir)) rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Runs a test in a world of its own. @param options how many trackers, or more about it. */
export function inWorld(
  body: (world: World) => Promise<void>,
  options: number | WorldOptions = 3,
): () => Promise<void> {
  return async () => {
    const world = new World(typeof options === 'number' ? { trackerCount: options } : options);
    try {
      await body(world);
    } catch (error) {
      console.error(`\n${world.logs()}\n`);
      throw error;
    } finally {
      await world.close();
    }
  };
}

export function parseError(stdout: string): { code: string; message: string; suggestion?: string } | undefined {
  try {
    return (JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as { error?: { code: string; message: string } }).error;
  } catch {
    return undefined;
  }
}

export function describe({ code, stdout, stderr }: MtResult): string {
  return `exit ${code}, stdout ${JSON.stringify(stdout.slice(-1_000))}, stderr ${JSON.stringify(stderr.slice(-1_000))}`;
}
