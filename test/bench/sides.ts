// What bench:cluster asks of either side, our trackers or etcd: load, failover, what the processes cost.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { until } from '../harness/until.ts';
import { World } from '../harness/world.ts';
import { type LoadResult, type LoopOptions, pause, STARTED } from './closed-loop.ts';
import { dialEtcd, etcdCall, PUT, putRequest } from './etcd-client.ts';
import { EtcdCluster } from './etcd-cluster.ts';
import { Caller, dial, enter, type LoadOperation } from './tracker-load.ts';
import { type LoadInside, watchInside } from './tracker-metrics.ts';

/** One write to one node, again and again, each with its own answer. */
export interface Probe {
  /** @throws when it was not acknowledged. */
  write(): Promise<unknown>;
  close(): void;
}

export interface Side {
  readonly name: string;
  readonly nodes: readonly number[];
  /** @param onStart called when the generator is ready and begins. */
  load(operation: LoadOperation, callers: number, options: LoopOptions, onStart?: () => void): Promise<LoadResult>;
  /** The node that leads; waits until there is one. */
  leader(): Promise<number>;
  term(): Promise<number>;
  pid(node: number): number;
  /** Looks into a node during a load, where it has something to show. @returns ends it. */
  watchInside(node: number): Promise<() => Promise<LoadInside | null>>;
  probe(node: number): Promise<Probe>;
  /** Starts a killed node again, and waits until it has caught up. */
  restart(node: number): Promise<void>;
  stop(): Promise<void>;
}

const PROBE_MS = 1_000;
/** Exactly-once clients of a probe, so that a command that hangs holds up no later one. */
const PROBE_CALLERS = 100;
const WAIT_MS = 20_000;

export class TrackerSide implements Side {
  readonly name = 'mini-torrent';
  readonly nodes = [1, 2, 3];
  readonly world = new World();

  static async start(nodeOptions = ''): Promise<TrackerSide> {
    const side = new TrackerSide();
    if (nodeOptions) side.world.env.NODE_OPTIONS = nodeOptions;
    side.world.env.MT_TRACKERD_METRICS_PORT = '0';
    await side.world.startTrackers();
    return side;
  }

  async load(operation: LoadOperation, callers: number, options: LoopOptions, onStart?: () => void) {
    const address = this.world.trackerAddress(await this.leader());
    return generate('tracker-load.ts', { address, operation, callers, ...options }, onStart);
  }

  leader(): Promise<number> {
    return until('a tracker leads', async () => (await this.#status())?.leader, { timeoutMs: WAIT_MS, everyMs: 20 });
  }

  async term(): Promise<number> {
    return Math.max(...(await this.#status())!.trackers.map((row) => row.term ?? 0));
  }

  pid(node: number): number {
    return this.world.trackers.get(node)!.pid;
  }

  watchInside(node: number): Promise<() => Promise<LoadInside>> {
    const { stderr } = this.world.trackers.get(node)!;
    return watchInside(Number(/"port":(\d+)[^\n]*metrics are served/.exec(stderr)![1]));
  }

  async probe(node: number): Promise<Probe> {
    const entered = await enter(this.world.trackerAddress(node));
    const callers = Array.from({ length: PROBE_CALLERS }, () => new Caller(entered));
    await Promise.all(callers.map((caller) => caller.prepare()));
    let next = 0;
    return {
      write: () => callers[next++ % callers.length]!.createGroup(),
      close: () => entered.rpc.close(),
    };
  }

  async restart(node: number): Promise<void> {
    await this.world.trackers.get(node)!.kill();
    await this.world.startTracker(node);
    const isLevel = async () => (await this.#status())?.trackers.every(({ reachable, lag }) => reachable && lag === 0);
    await until('the tracker has caught up', isLevel, { timeoutMs: WAIT_MS, everyMs: 20 });
  }

  stop(): Promise<void> {
    return this.world.close();
  }

  /** As any tracker that runs sees it. */
  async #status(): Promise<TrackerStatus | null> {
    const identity = await makeDaemonIdentity(Date.now());
    for (const [node, program] of this.world.trackers) {
      if (!program.isRunning) continue;
      try {
        const rpc = await dial(this.world.trackerAddress(node), identity);
        const status = await rpc.call('tracker_status', {}, { timeoutMs: PROBE_MS });
        rpc.close();
        if (status.leader !== null) return status;
      } catch {
        // the next one
      }
    }
    return null;
  }
}

export class EtcdSide implements Side {
  readonly name = 'etcd';
  readonly nodes = [0, 1, 2];
  readonly #cluster: EtcdCluster;

  static async start(): Promise<EtcdSide> {
    return new EtcdSide(await EtcdCluster.start());
  }

  private constructor(cluster: EtcdCluster) {
    this.#cluster = cluster;
  }

  async load(operation: LoadOperation, callers: number, options: LoopOptions, onStart?: () => void) {
    const url = this.#cluster.url(await this.leader());
    return generate(
      'etcd-load.ts',
      { url, operation: operation === 'read' ? 'range' : 'put', callers, ...options },
      onStart,
    );
  }

  leader(): Promise<number> {
    return this.#cluster.leader();
  }

  term(): Promise<number> {
    return this.#cluster.term();
  }

  pid(node: number): number {
    return this.#cluster.pids()[node]!;
  }

  async watchInside(): Promise<() => Promise<null>> {
    return async () => null;
  }

  async probe(node: number): Promise<Probe> {
    const session = await dialEtcd(this.#cluster.url(node));
    const value = Buffer.alloc(256, 1);
    let next = 0;
    return {
      write: () => etcdCall(session, PUT, putRequest(`probe${next++ % 1000}`, value), PROBE_MS),
      close: () => session.destroy(),
    };
  }

  async restart(node: number): Promise<void> {
    await this.#cluster.killNode(node);
    this.#cluster.startNode(node);
    await this.#cluster.caughtUp(node);
    await pause(1_200); // it should have heard heartbeats for an election timeout
  }

  stop(): Promise<void> {
    return this.#cluster.stop();
  }
}

/** CPU seconds and resident MiB of a process so far. */
export function costOf(pid: number): { cpuSeconds: number; residentMiB: number } {
  const [, rest] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest!.split(' ');
  const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1];
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
    residentMiB: Math.round(Number(resident) / 1024),
  };
}

function generate(script: string, options: object, onStart?: () => void): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const args = [join(import.meta.dirname, script), JSON.stringify(options)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '' && text.startsWith(STARTED)) onStart?.();
      output += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output.slice(output.indexOf('{'))) as LoadResult);
      else reject(new Error(`the load generator ended with ${code}`));
    });
  });
}
