// The main thread's end of the thread for small files. A small file costs calls, not bytes: an await for each open, stat, read and close
// is ten times what the calls themselves take. So a thread of its own makes them one after the other, a batch a message. It starts
// when a batch is there, ends when none came for a while, and never keeps the process alive. Large files have no use for it.
import { Worker } from 'node:worker_threads';
import { workerUrl } from '../disk/worker-url.ts';

/** Starting it takes 40 ms, having it 11 MiB. */
const IDLE_MS_MAX = 10_000;
/** Contents are in shared memory, names pass through. */
const HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 };

/** A larger file is read and written by whoever needs it: its bytes would keep others waiting. */
export const SMALL_SIZE_MAX = 256 * 1024;
/** One job: some milliseconds, so that readers and a download that is being finished take turns. */
export const BATCH_FILES_MAX = 256;
export const BATCH_BYTES_MAX = 1024 * 1024;

/** Absolute paths everywhere. `stats`: rows of STATS_LENGTH numbers, in the order of the names. */
export type TreeJob =
  /** Reads ranges of files one after the other into `memory` from `at`; each must be what `expected` says: rows of inode, mtime ns, size. */
  | {
      op: 'read';
      paths: string[];
      expected: BigInt64Array;
      /** From where, and how many bytes, of each. */
      ranges: Float64Array;
      memory: SharedArrayBuffer;
      at: number;
    }
  /** What is in a directory: names as the disk has them, all of them UTF-8, and what they are. */
  | { op: 'list'; directory: string }
  | { op: 'look'; paths: string[] }
  /** Makes directories (size −1) and files, with bytes that lie one after the other at `position` of `from`. Nothing may be there. */
  | { op: 'make'; from: string; position: number; paths: string[]; sizes: Float64Array; modes: Uint16Array };

/** Of one name: mode, inode, mtime ns, size. */
export const STATS_LENGTH = 4;

export interface TreeAnswer {
  readonly id: number;
  readonly names?: string[];
  readonly stats?: BigInt64Array;
  /** Why it ended at this path; errno, CHANGED: it is not what was expected, NOT_UTF8: what its name is not. */
  readonly failed?: { readonly code: string; readonly path: string };
}

/** What the thread could not do; `code` as in TreeAnswer. */
export class TreeJobError extends Error {
  readonly code: string;
  readonly path: string;

  constructor({ code, path }: { code: string; path: string }) {
    super(`${path}: ${code}`);
    this.code = code;
    this.path = path;
  }
}

interface Pending {
  resolve(answer: TreeAnswer): void;
  reject(error: Error): void;
}

class TreeThread {
  readonly #worker = new Worker(workerUrl('tree-worker', import.meta.url), { resourceLimits: HEAP });
  readonly #pending = new Map<number, Pending>();
  readonly #idle: NodeJS.Timeout;
  #nextId = 1;

  constructor(onEnded: () => void) {
    this.#worker.unref();
    this.#worker.on('message', (answer: TreeAnswer) => {
      const pending = this.#pending.get(answer.id)!;
      this.#pending.delete(answer.id);
      // Whoever waits is what keeps the process alive.
      if (this.#pending.size === 0) this.#worker.unref();
      if (answer.failed) pending.reject(new TreeJobError(answer.failed));
      else pending.resolve(answer);
    });
    const end = (error: Error) => {
      clearTimeout(this.#idle);
      onEnded();
      for (const pending of this.#pending.values()) pending.reject(error);
      this.#pending.clear();
    };
    this.#worker.on('error', end);
    this.#worker.on('exit', () => end(new Error('the thread for small files ended')));
    this.#idle = setTimeout(() => {
      if (this.#pending.size > 0) this.#idle.refresh();
      else {
        onEnded();
        void this.#worker.terminate();
      }
    }, IDLE_MS_MAX);
    this.#idle.unref();
  }

  run(job: TreeJob): Promise<TreeAnswer> {
    this.#idle.refresh();
    const id = this.#nextId++;
    this.#worker.ref();
    this.#worker.postMessage({ ...job, id });
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }
}

let thread: TreeThread | null = null;

/** @throws TreeJobError */
export function runTreeJob(job: TreeJob): Promise<TreeAnswer> {
  if (!thread) {
    const started: TreeThread = new TreeThread(() => {
      if (thread === started) thread = null;
    });
    thread = started;
  }
  return thread.run(job);
}
