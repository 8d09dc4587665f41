// Hashes a file for sharing: one read gives the whole SHA-1 and every piece's SHA-1 and SHA-256. Reads ahead into shared
// memory on the main thread's event loop (libuv reads), hashes in the threads of the pool. Files wait in a fastq queue.
//
//   read chunk ──▶ slot ──▶ thread of this file: whole SHA-1, in order
//                      └──▶ the least busy thread: SHA-1 and SHA-256 of the pieces in it        slot free when both are done
import * as fastq from 'fastq';
import { MtError } from '../../codec/errors.ts';
import type { Manifest } from '../../codec/manifest.ts';
import { pieceSizeFor } from '../pieces/geometry.ts';
import type { HashPool, HashThread } from './hash-pool.ts';

/** One read, one job: the largest usual piece. */
const CHUNK_SIZE = 1024 * 1024;
/** Chunks in memory for one file: enough that threads never wait for the disk's next answer. */
const SLOT_COUNT = 8;
/** Files hashed at once, so that a small file does not wait behind a huge one. */
const FILES_AT_ONCE = 2;
/** Hash rates are within 10 %: the whole SHA-1 costs one pass, a piece's two hashes cost two. */
const WHOLE_COST = 1;
const PIECES_COST = 2;
const PROGRESS_MS = 100;

/** What is hashed: a file, or the files of a directory one after the other (tree/tree-source.ts). */
export interface HashSource {
  read(into: Uint8Array, at: number, size: number, position: number): Promise<{ bytesRead: number }>;
}

export interface HashRequest {
  readonly handle: HashSource;
  readonly sizeBytes: number;
  readonly signal: AbortSignal;
  /** Bytes hashed so far, at most every PROGRESS_MS. */
  readonly onProgress: (bytesDone: number) => void;
}

export class FileHasher {
  readonly #pool: HashPool;
  readonly #queue: fastq.queueAsPromised<HashRequest, Manifest>;
  #nextTask = 1;

  constructor(pool: HashPool) {
    this.#pool = pool;
    this.#queue = fastq.promise((request: HashRequest) => this.#hash(request), FILES_AT_ONCE);
  }

  /**
   * Reads the file once and returns its manifest.
   * @throws MtError INVALID_ARGUMENT when the file became shorter meanwhile, CANCELLED when `signal` aborts, PERMISSION when it cannot be read.
   */
  hash(request: HashRequest): Promise<Manifest> {
    return this.#queue.push(request);
  }

  async #hash(request: HashRequest): Promise<Manifest> {
    const task = this.#nextTask++;
    const [first, ...others] = this.#pool.threads();
    const threads = [first!, ...others];
    try {
      return await new FileTask(request, task, threads).run();
    } finally {
      for (const thread of threads) thread.run({ op: 'forget', task }, 0).catch(() => {});
    }
  }
}

class FileTask {
  readonly #request: HashRequest;
  readonly #task: number;
  /** The first one has the whole SHA-1. */
  readonly #threads: readonly HashThread[];
  readonly #pieceSize: number;
  readonly #memory: SharedArrayBuffer;
  readonly #free: number[] = [];
  readonly #rows: Promise<Uint8Array | null>[] = [];
  #waiting: (() => void) | null = null;
  #failed: unknown = null;
  #bytesDone = 0;
  #reportedAt = 0;
  /** Has the parts of a piece that is larger than a chunk: they must meet in one thread. */
  #partThread: HashThread;

  constructor(request: HashRequest, task: number, threads: readonly HashThread[]) {
    this.#request = request;
    this.#task = task;
    this.#threads = threads;
    this.#partThread = threads[threads.length - 1]!;
    this.#pieceSize = pieceSizeFor(request.sizeBytes);
    const slots = Math.max(1, Math.min(SLOT_COUNT, Math.ceil(request.sizeBytes / CHUNK_SIZE)));
    this.#memory = new SharedArrayBuffer(slots * CHUNK_SIZE);
    for (let slot = 0; slot < slots; slot++) this.#free.push(slot * CHUNK_SIZE);
  }

  async run(): Promise<Manifest> {
    const { sizeBytes } = this.#request;
    const reads: Promise<void>[] = [];
    // Chunks go to the threads in file order though several are being read: each waits for the one before it.
    let before: Promise<void> = Promise.resolve();
    for (let position = 0; position < sizeBytes && !this.#failed; position += CHUNK_SIZE) {
      const at = await this.#takeSlot();
      const size = Math.min(CHUNK_SIZE, sizeBytes - position);
      before = this.#chunk(at, position, size, before);
      before.catch((error: unknown) => this.#fail(error));
      reads.push(before);
    }
    await Promise.all(reads);
    const rows = (await Promise.all(this.#rows)).filter((row) => row !== null);
    if (this.#failed) throw this.#failed;
    const sha1 = await this.#threads[0]!.run({ op: 'digest', task: this.#task }, 0);
    this.#request.onProgress(sizeBytes);
    const pieceCount = Math.ceil(sizeBytes / this.#pieceSize);
    return { size: sizeBytes, pieceSize: this.#pieceSize, pieceCount, sha1: sha1!, rows: Buffer.concat(rows) };
  }

  async #chunk(at: number, position: number, size: number, before: Promise<void>): Promise<void> {
    await Promise.all([this.#read(at, position, size), before]);
    const memory = this.#memory;
    const whole = this.#threads[0]!.run({ op: 'whole', task: this.#task, memory, at, size }, size * WHOLE_COST);
    const pieces = this.#hashPieces(at, position, size);
    this.#rows.push(pieces);
    Promise.all([whole, pieces]).then(
      () => this.#release(at, size),
      (error: unknown) => this.#fail(error),
    );
  }

  #hashPieces(at: number, position: number, size: number): Promise<Uint8Array | null> {
    const job = { task: this.#task, memory: this.#memory, at, size };
    const cost = size * PIECES_COST;
    if (this.#pieceSize <= CHUNK_SIZE) {
      return this.#leastBusy().run({ op: 'pieces', ...job, pieceSize: this.#pieceSize }, cost);
    }
    if (position % this.#pieceSize === 0) this.#partThread = this.#leastBusy();
    const end = position + size;
    const last = end % this.#pieceSize === 0 || end === this.#request.sizeBytes;
    return this.#partThread.run({ op: 'part', ...job, last }, cost);
  }

  #leastBusy(): HashThread {
    return this.#threads.reduce((best, thread) => (thread.load < best.load ? thread : best));
  }

  async #read(at: number, position: number, size: number): Promise<void> {
    const { handle, signal } = this.#request;
    if (signal.aborted) throw new MtError('CANCELLED', 'The upload was cancelled');
    let done = 0;
    while (done < size) {
      const view = new Uint8Array(this.#memory, at + done, size - done);
      const { bytesRead } = await handle.read(view, 0, size - done, position + done).catch(unreadable);
      if (bytesRead === 0) throw new MtError('INVALID_ARGUMENT', 'The file became shorter while it was read');
      done += bytesRead;
    }
  }

  async #takeSlot(): Promise<number> {
    while (this.#free.length === 0 && !this.#failed) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#free.pop() ?? 0;
  }

  #release(at: number, size: number): void {
    this.#free.push(at);
    this.#bytesDone += size;
    this.#wake();
    const now = performance.now();
    if (now - this.#reportedAt < PROGRESS_MS) return;
    this.#reportedAt = now;
    this.#request.onProgress(this.#bytesDone);
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
    this.#wake();
  }

  #wake(): void {
    this.#waiting?.();
    this.#waiting = null;
  }
}

function unreadable(cause: NodeJS.ErrnoException): never {
  if (cause instanceof MtError) throw cause;
  throw new MtError('PERMISSION', `The file cannot be read (${cause.code ?? 'unknown error'})`, undefined, { cause });
}
