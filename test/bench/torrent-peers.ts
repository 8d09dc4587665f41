// BitTorrent clients as contenders of bench:transfer: how each is started, and one run with any of them. All plaintext, without
// DHT and the like, each with the settings that make it fast on a local line.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { sha1Of } from '../harness/files.ts';
import { until } from '../harness/until.ts';
import { metainfo, type TorrentPeer, TorrentTracker } from './torrent.ts';
import {
  type Contender,
  cpuSeconds,
  type Payload,
  peakMiB,
  type Run,
  type Scenario,
  sum,
  warmPages,
} from './transfer-scenarios.ts';

const READY_MS_MAX = 30_000;
/** Slower than this is not waited for. */
const RUN_MS_MAX = 60_000;
const POLL_MS = 5;
const PORT_FIRST = 20_000;

interface Start {
  readonly role: 'seed' | 'leech';
  readonly peer: TorrentPeer;
  /** Its own; `content` is where the file is or shall be. */
  readonly dir: string;
  readonly content: string;
  readonly torrent: string;
  readonly uploadLimit: number;
  /** To be made when the download is complete. */
  readonly stamp: string;
  /** A program that makes it. */
  readonly hook: string;
}

interface Client {
  readonly name: string;
  /** Why it cannot run here; null: it can. */
  missing(): string | null;
  command(start: Start): string[];
  /** Waits for a line before it begins: it is a daemon that runs already. */
  readonly isTold: boolean;
}

const PYTHON = '/usr/bin/python3';

const CLIENTS: readonly Client[] = [
  {
    name: 'libtorrent',
    isTold: true,
    missing: () => (spawnSync(PYTHON, ['-c', 'import libtorrent']).status === 0 ? null : 'python3-libtorrent'),
    command: ({ role, peer, content, torrent, uploadLimit, stamp }) => [
      PYTHON,
      join(import.meta.dirname, 'libtorrent-peer.py'),
      ...[torrent, content, peer.host, String(peer.port), role, String(uploadLimit), stamp],
    ],
  },
  { name: 'aria2', isTold: false, missing: () => absent('aria2c'), command: aria2 },
  { name: 'transmission', isTold: false, missing: () => absent('transmission-daemon'), command: transmission },
];

/**
 * @param host the address of peer N; 10.* rather than 127.*, which transmission takes no peers from.
 * @returns the contender, or why there is none.
 */
export function torrentContender(name: string, host: (number: number) => string): Contender | { missing: string } {
  const client = CLIENTS.find((one) => one.name === name);
  if (!client) return { missing: `no client of that name is known (${CLIENTS.map((one) => one.name).join(', ')})` };
  const missing = client.missing();
  if (missing !== null) return { missing: `${missing} is not installed` };
  return { name, run: (scenario, payload) => new Swarm(client, scenario, payload, host).run() };
}

function absent(program: string): string | null {
  return spawnSync(program, ['--version']).error ? program : null;
}

function aria2({ role, peer, content, torrent, uploadLimit, hook }: Start): string[] {
  return [
    'aria2c',
    ...[
      '--no-conf',
      '--quiet',
      '--summary-interval=0',
      '--auto-save-interval=0',
      '--async-dns=false',
      '--event-poll=epoll',
    ],
    ...[`--dir=${content}`, '--allow-overwrite=true', '--file-allocation=none', '--disk-cache=64M'],
    ...[`--interface=${peer.host}`, `--listen-port=${peer.port}`, '--enable-dht=false', '--enable-dht6=false'],
    ...['--bt-enable-lpd=false', '--enable-peer-exchange=false', '--bt-max-peers=0', '--bt-tracker-interval=3'],
    ...['--bt-request-peer-speed-limit=1000M', '--bt-min-crypto-level=plain', '--seed-ratio=0.0', '--seed-time=60'],
    `--max-overall-upload-limit=${uploadLimit}`,
    role === 'seed' ? '--bt-seed-unverified=true' : `--on-bt-download-complete=${hook}`,
    torrent,
  ];
}

function transmission({ role, peer, dir, content, torrent, uploadLimit, hook }: Start): string[] {
  const home = join(dir, 'home');
  mkdirSync(join(home, 'torrents'), { recursive: true });
  mkdirSync(join(home, 'resume'), { recursive: true });
  linkSync(torrent, join(home, 'torrents', basename(torrent))); // loaded at the start
  const settings = {
    'bind-address-ipv4': peer.host,
    'cache-size-mb': 64,
    'dht-enabled': false,
    'download-dir': content,
    'download-queue-enabled': false,
    encryption: 0,
    'lpd-enabled': false,
    'peer-limit-global': 1000,
    'peer-limit-per-torrent': 500,
    'peer-port': peer.port,
    'pex-enabled': false,
    'port-forwarding-enabled': false,
    preallocation: 0,
    'queue-stalled-enabled': false,
    'rename-partial-files': false,
    'rpc-enabled': false,
    'script-torrent-done-enabled': role === 'leech',
    'script-torrent-done-filename': hook,
    'speed-limit-up': Math.floor(uploadLimit / 1000),
    'speed-limit-up-enabled': uploadLimit > 0,
    'start-added-torrents': true,
    'upload-slots-per-torrent': 100,
    'utp-enabled': false,
  };
  writeFileSync(join(home, 'settings.json'), JSON.stringify(settings));
  return ['transmission-daemon', '-f', '-g', home];
}

interface Member {
  readonly child: ChildProcess;
  readonly start: Start;
}

class Swarm {
  readonly #client: Client;
  readonly #scenario: Scenario;
  readonly #payload: Payload;
  readonly #dir: string;
  readonly #peers: readonly TorrentPeer[];
  readonly #host: (number: number) => string;
  readonly #members: Member[] = [];

  constructor(client: Client, scenario: Scenario, payload: Payload, host: (number: number) => string) {
    this.#client = client;
    this.#scenario = scenario;
    this.#payload = payload;
    this.#host = host;
    this.#dir = mkdtempSync(join(payload.dir, `${client.name}-`));
    const count = scenario.seeders + scenario.leechers;
    this.#peers = Array.from({ length: count }, (_, i) => ({ host: host(i + 1), port: PORT_FIRST + i }));
  }

  async run(): Promise<Run> {
    const tracker = new TorrentTracker(this.#peers);
    try {
      return await this.#measure(tracker);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#logs()}`);
    } finally {
      for (const { child } of this.#members) child.kill('SIGKILL');
      tracker.close();
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }

  async #measure(tracker: TorrentTracker): Promise<Run> {
    const { seeders: seederCount, leechers: leecherCount } = this.#scenario;
    const torrent = join(this.#dir, 'payload.torrent');
    writeFileSync(torrent, metainfo(this.#payload.path, await tracker.listen(this.#host(250))));
    const wait = { timeoutMs: READY_MS_MAX };
    const seeders = this.#peers.slice(0, seederCount).map((peer) => this.#start('seed', peer, torrent));
    await until('all seed', () => seeders.every(({ start }) => tracker.isSeeding(start.peer.port)), wait);
    const leecherPeers = this.#peers.slice(seederCount, seederCount + leecherCount);
    const startAll = () => leecherPeers.map((peer) => this.#start('leech', peer, torrent));
    let leechers = this.#client.isTold ? startAll() : [];
    await until('all listen', () => leechers.every(({ start }) => logOf(start).includes('ready')), wait);
    warmPages(this.#payload, this.#scenario);

    const cpuOf = (members: readonly Member[]) => sum(members.map(({ child }) => cpuSeconds(child.pid!)));
    const before = { seeders: cpuOf(seeders), leechers: cpuOf(leechers) };
    const from = performance.now();
    if (this.#client.isTold) for (const { child } of leechers) child.stdin!.write('\n');
    else leechers = startAll();
    const isDone = () => leechers.every(({ start }) => existsSync(start.stamp));
    await until('all have it', isDone, { timeoutMs: RUN_MS_MAX, everyMs: POLL_MS });
    const seconds = (performance.now() - from) / 1000;
    const run = {
      seconds,
      seederCpu: cpuOf(seeders) - before.seeders,
      leecherCpu: cpuOf(leechers) - before.leechers,
      seederPeakMiB: Math.max(...seeders.map(({ child }) => peakMiB(child.pid!))),
      leecherPeakMiB: Math.max(...leechers.map(({ child }) => peakMiB(child.pid!))),
      more: {},
    };
    await this.#check(leechers);
    return run;
  }

  /** Some say that they are complete before their last write has happened. */
  async #check(leechers: readonly Member[]): Promise<void> {
    for (const { start } of leechers) {
      const copy = join(start.content, basename(this.#payload.path));
      await until('the copy is right', () => existsSync(copy) && sha1Of(copy) === this.#payload.sha1, { everyMs: 100 });
    }
  }

  #start(role: 'seed' | 'leech', peer: TorrentPeer, torrent: string): Member {
    const dir = join(this.#dir, peer.host);
    const content = join(dir, 'content');
    mkdirSync(content, { recursive: true });
    if (role === 'seed') linkSync(this.#payload.path, join(content, basename(this.#payload.path)));
    const stamp = join(dir, 'stamp');
    const hook = join(dir, 'hook');
    writeFileSync(hook, `#!/bin/sh\n: > '${stamp}'\n`, { mode: 0o755 });
    const start: Start = { role, peer, dir, content, torrent, uploadLimit: this.#scenario.uploadLimit, stamp, hook };
    const [program, ...args] = this.#client.command(start);
    const log = openSync(join(dir, 'log'), 'w');
    const child = spawn(program!, args, { cwd: dir, env: { ...process.env, HOME: dir }, stdio: ['pipe', log, log] });
    child.stdin!.on('error', () => {});
    const member = { child, start };
    this.#members.push(member);
    return member;
  }

  #logs(): string {
    return this.#members.map(({ start }) => logOf(start).slice(-500)).join('\n');
  }
}

function logOf({ dir }: Start): string {
  return readFileSync(join(dir, 'log'), 'utf8');
}
