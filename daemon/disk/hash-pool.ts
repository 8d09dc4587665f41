// The main thread's end of the hashing threads: hands out jobs, keeps their order per thread, says which thread is free first.
// Threads start with the first upload and live as long as the daemon; idle ones do not keep the process alive.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { workerUrl } from './worker-url.ts';

/** The whole SHA-1 is one unbroken chain: more threads than it and its companions only wait. */
const THREADS_MAX = 4;

/** Content is not on a thread's heap, only small messages are. */
const HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

/** `at` and `size` in bytes of `memory`; `task` names one file being hashed. */
export type HashJob =
  | { id: number; op: 'whole'; task: number; memory: SharedArrayBuffer; at: number; size: number }
  | { id: number; op: 'digest'; task: number }
  | { id: number; op: 'pieces'; task: number; memory: SharedArrayBuffer; at: number; size: number; pieceSize: number }
  | { id: number; op: 'part'; task: number; memory: SharedArrayBuffer; at: number; size: number; last: boolean }
  | { id: number; op: 'forget'; task: number };
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type NewHashJob = Without<HashJob, 'id'>;

export interface HashAnswer {
  id: number;
  /** A digest or rows; null when the job has nothing to say. */
  bytes: Uint8Array | null;
}

interface Pending {
  resolve(bytes: Uint8Array | null): void;
  reject(error: Error): void;
  cost: number;
}

/** One hashing thread. */
export class HashThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  /** Bytes × hashes that wait: how busy it is. */
  #load = 0;
  #dead: Error | null = null;

  constructor() {
    this.#worker = new Worker(workerUrl('hash-worker'), { resourceLimits: HEAP });
    this.#worker.unref();
    this.#worker.on('message', ({ id, bytes }: HashAnswer) => {
      const pending = this.#pending.get(id)!;
      this.#pending.delete(id);
      this.#load -= pending.cost;
      pending.resolve(bytes);
    });
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', () => this.#die(new Error('a hashing thread ended')));
  }

  get load(): number {
    return this.#load;
  }
  get isAlive(): boolean {
    return this.#dead === null;
  }

  /** @param cost bytes × hashes that the job computes. */
  run(job: NewHashJob, cost: number): Promise<Uint8Array | null> {
    if (this.#dead) return Promise.reject(this.#dead);
    const id = this.#nextId++;
    this.#load += cost;
    this.#worker.postMessage({ ...job, id });
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject, cost }));
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #die(error: Error): void {
    this.#dead ??= error;
    for (const pending of this.#pending.values()) pending.reject(this.#dead);
    this.#pending.clear();
  }
}

export class HashPool {
  readonly #size: number;
  readonly #threads: HashThread[] = [];

  constructor(size = Math.max(2, Math.min(THREADS_MAX, availableParallelism()))) {
    this.#size = size;
  }

  /** Started threads, least busy first. */
  threads(): HashThread[] {
    for (let i = 0; i < this.#size; i++) if (!this.#threads[i]?.isAlive) this.#threads[i] = new HashThread();
    return [...this.#threads].sort((a, b) => a.load - b.load);
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
