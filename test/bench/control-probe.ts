// Asks daemons something that they answer by themselves, again and again while they work, and keeps how long each answer took.
// From a thread of its own, ahead of others where that is allowed: what is measured is the daemon, not how long the measuring
// program, busy with starting a dozen commands, waits for a core.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Daemon } from '../harness/world.ts';

export class ControlProbe {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Resolves when it is connected and the first answers, which do not count, are there. */
  static async start(daemons: readonly Daemon[]): Promise<ControlProbe> {
    const worker = new Worker(new URL('./control-probe-worker.ts', import.meta.url), {
      workerData: daemons.map(({ socket }) => socket),
    });
    await once(worker, 'message');
    return new ControlProbe(worker);
  }

  /** From here on answers count. */
  begin(): void {
    this.#worker.postMessage('begin');
  }

  /** Latencies of all answers, in ms, shortest first. */
  async end(): Promise<number[]> {
    this.#worker.postMessage('end');
    const [latencies] = (await once(this.#worker, 'message')) as [number[]];
    await this.#worker.terminate();
    return latencies.sort((a, b) => a - b);
  }
}
