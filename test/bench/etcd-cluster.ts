// Three etcd of this machine on loopback with its defaults (fsync on, 100 ms heartbeats, 1 s elections), for a side-by-side run.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePorts } from '../harness/free-ports.ts';
import { until } from '../harness/until.ts';
import { etcdStatus } from './etcd-client.ts';

const NODES = [0, 1, 2] as const;
const STATUS_MS = 500;
const START_MS = 20_000;

export class EtcdCluster {
  readonly #dir = mkdtempSync(join(tmpdir(), 'mt-etcd-'));
  readonly #ports: readonly number[];
  readonly #children: (ChildProcess | null)[] = [null, null, null];

  static isInstalled(): boolean {
    return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'etcd')));
  }

  static async start(): Promise<EtcdCluster> {
    const cluster = new EtcdCluster(await freePorts(NODES.length * 2));
    for (const node of NODES) cluster.startNode(node);
    await cluster.leader();
    return cluster;
  }

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    process.on('exit', () => this.#killAll());
  }

  url(node: number): string {
    return `http://127.0.0.1:${this.#ports[node]}`;
  }

  pids(): number[] {
    return this.#children.flatMap((child) => child?.pid ?? []);
  }

  startNode(node: number): void {
    const peer = (n: number) => `http://127.0.0.1:${this.#ports[NODES.length + n]}`;
    const args = {
      name: `n${node}`,
      'data-dir': join(this.#dir, `n${node}`),
      'listen-client-urls': this.url(node),
      'advertise-client-urls': this.url(node),
      'listen-peer-urls': peer(node),
      'initial-advertise-peer-urls': peer(node),
      'initial-cluster': NODES.map((n) => `n${n}=${peer(n)}`).join(','),
      'initial-cluster-state': 'new',
      logger: 'zap',
      'log-level': 'panic',
    };
    const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, value]);
    this.#children[node] = spawn('etcd', flags, { stdio: 'ignore' });
  }

  /** kill -9. */
  async killNode(node: number): Promise<void> {
    const child = this.#children[node];
    if (!child) return;
    this.#children[node] = null;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Waits until there is one. */
  leader(): Promise<number> {
    const find = async () => {
      for (const node of NODES) {
        if (!this.#children[node]) continue;
        const status = await etcdStatus(this.url(node), STATUS_MS).catch(() => null);
        if (status && status.leader !== 0n && status.leader === status.id) return { node };
      }
      return null;
    };
    return until('etcd has a leader', find, { timeoutMs: START_MS, everyMs: 30 }).then(({ node }) => node);
  }

  /** Waits until that node has applied what the leader has. */
  async caughtUp(node: number): Promise<void> {
    const isLevel = async () => {
      const [own, leads] = await Promise.all([
        etcdStatus(this.url(node), STATUS_MS).catch(() => null),
        etcdStatus(this.url(await this.leader()), STATUS_MS).catch(() => null),
      ]);
      return own !== null && leads !== null && own.leader !== 0n && own.applied >= leads.applied;
    };
    await until('the etcd node has caught up', isLevel, { timeoutMs: START_MS, everyMs: 30 });
  }

  async term(): Promise<number> {
    return (await etcdStatus(this.url(await this.leader()), STATUS_MS)).term;
  }

  async stop(): Promise<void> {
    await Promise.all(NODES.map((node) => this.killNode(node)));
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #killAll(): void {
    for (const child of this.#children) child?.kill('SIGKILL');
  }
}
