// Who hashes and writes received pieces, by the size of their file. A thread costs as much to start (50 ms of a core, 20 MiB) as
// hashing 64 MiB does, and two messages a job after that, so a small file has none. One thread and the main thread keep up with a
// line until the whole hash comes on top for long.
//
//   up to 256 MiB  the main thread hashes a piece at a time (a millisecond at most), and the kernel's threads write
//   up to 512 MiB  one thread verifies and writes; the main thread, which has less to do, follows with the SHA-1 of the whole file
//   beyond         one thread verifies and writes, one follows, so that the whole hash never holds up the pieces
import { read, write } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Slot, SlotPool } from '../peer/slots.ts';
import { type PieceAnswer, type PieceIo, type PieceJob, PieceJobs } from './piece-jobs.ts';
import { workerUrl } from './worker-url.ts';

const MIB = 1024 * 1024;
const WITHOUT_THREAD_BYTES_MAX = 256 * MIB;
const ONE_THREAD_BYTES_MAX = 512 * MIB;

/** Content is not on a worker's heap, only small messages are: it need not grow to Node's defaults. */
const WORKER_HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

/** `Omit` over each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type NewJob = Without<PieceJob, 'id'>;
type OnAnswer = (answer: PieceAnswer) => void;

/** Does jobs one after the other. */
interface Lane {
  /** Jobs will come. */
  start(): void;
  post(job: NewJob, onAnswer: OnAnswer): void;
  close(): Promise<void>;
}

/** The main thread itself: it hashes, but never waits for the disk. */
class OwnLane implements Lane {
  readonly #jobs: PieceJobs;
  #last: Promise<void> = Promise.resolve();

  constructor(memory: SharedArrayBuffer) {
    this.#jobs = new PieceJobs(memory, NOT_BLOCKING);
  }

  start(): void {}

  post(job: NewJob, onAnswer: OnAnswer): void {
    this.#last = this.#last.then(async () => onAnswer(await this.#jobs.answer({ ...job, id: 0 })));
  }

  async close(): Promise<void> {
    await this.#last;
  }
}

const NOT_BLOCKING: PieceIo = {
  // Each read takes a turn of a busy loop: with 1 MiB the whole SHA-1 fell behind the line, and a quarter of a second came after the last piece.
  readSize: 4 * MIB,
  read: (fd, into, size, position) =>
    new Promise((resolve, reject) => {
      read(fd, into, 0, size, position, (error, count) => (error ? reject(error) : resolve(count)));
    }),
  write: (fd, bytes, position) =>
    new Promise((resolve, reject) => {
      write(fd, bytes, 0, bytes.length, position, (error, count) => (error ? reject(error) : resolve(count)));
    }),
};

/** A thread, started when a download begins and kept as long as the daemon lives: one that only serves needs none. */
class ThreadLane implements Lane {
  readonly #memory: SharedArrayBuffer;
  readonly #onCrash: (error: Error) => void;
  readonly #pending = new Map<number, OnAnswer>();
  #worker: Worker | null = null;
  #nextId = 1;

  constructor(memory: SharedArrayBuffer, onCrash: (error: Error) => void) {
    this.#memory = memory;
    this.#onCrash = onCrash;
  }

  start(): void {
    this.#worker ??= this.#start();
  }

  post(job: NewJob, onAnswer: OnAnswer): void {
    const id = this.#nextId++;
    this.#pending.set(id, onAnswer);
    this.#worker ??= this.#start();
    this.#worker.postMessage({ ...job, id });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(workerUrl('piece-worker'), {
      workerData: this.#memory,
      resourceLimits: WORKER_HEAP,
    });
    worker.unref();
    worker.on('error', this.#onCrash);
    worker.on('message', (answer: PieceAnswer) => {
      const onAnswer = this.#pending.get(answer.id)!;
      this.#pending.delete(answer.id);
      onAnswer(answer);
    });
    return worker;
  }
}

/** An open file that pieces go to, and its map of verified pieces (disk/resume.ts). */
export interface PieceTarget {
  readonly fd: number;
  readonly map: number;
  /** Of the whole file. */
  readonly fileBytes: number;
}

/** A SHA-1 of a whole file that is being made. */
export interface Follower {
  readonly id: number;
  readonly lane: Lane;
}
/** A piece's place: `position` and `size` in the file in bytes, `mark` the position of its byte in the map. */
export interface PiecePlace {
  readonly position: number;
  readonly size: number;
  readonly mark: number;
}

export class PieceDisk {
  readonly #own: Lane;
  readonly #verifier: Lane;
  readonly #follower: Lane;
  #nextFollower = 1;
  /** Received and not yet on the disk. */
  #backlogBytes = 0;

  /** @param onCrash a worker died: a broken invariant of our own, the daemon must end. */
  constructor(pool: SlotPool, onCrash: (error: Error) => void) {
    this.#own = new OwnLane(pool.memory);
    this.#verifier = new ThreadLane(pool.memory, onCrash);
    this.#follower = new ThreadLane(pool.memory, onCrash);
  }

  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  /** Pieces of a file of that size will come: its threads start while the sources are still being asked for. */
  warmUp(fileBytes: number): void {
    this.#verifierOf(fileBytes).start();
    this.#followerOf(fileBytes).start();
  }

  /** Hashes the piece in `slot`; when it matches, writes and marks it. */
  verify(target: PieceTarget, place: PiecePlace, sha256: Uint8Array, slot: Slot, onAnswer: OnAnswer): void {
    const { fileBytes, ...files } = target;
    const job = { op: 'verify', at: slot.offset, ...files, ...place, sha256 } as const;
    this.#verifierOf(fileBytes).post(job, this.#counted(place.size, onAnswer));
  }

  /** Writes part of a piece that is too large for a slot; `check` follows when all of it is there. */
  write(target: PieceTarget, part: { position: number; size: number }, slot: Slot, onAnswer: OnAnswer): void {
    const job = { op: 'write', fd: target.fd, at: slot.offset, ...part } as const;
    this.#verifierOf(target.fileBytes).post(job, this.#counted(part.size, onAnswer));
  }

  /** Hashes a piece that is in the file already, and marks it when it matches. */
  check(target: PieceTarget, place: PiecePlace, sha256: Uint8Array, onAnswer: OnAnswer): void {
    const { fileBytes, ...files } = target;
    this.#verifierOf(fileBytes).post({ op: 'check', ...files, ...place, sha256 }, onAnswer);
  }

  /** A new SHA-1 of a whole file of that size. */
  follower(fileBytes: number): Follower {
    return { id: this.#nextFollower++, lane: this.#followerOf(fileBytes) };
  }

  /** Adds the next bytes of the file: from a slot, or (null) read back from the file. */
  follow(
    { id, lane }: Follower,
    part: { fd: number; position: number; size: number },
    slot: Slot | null,
    onAnswer: OnAnswer,
  ): void {
    lane.post({ op: 'follow', follower: id, at: slot === null ? null : slot.offset, ...part }, onAnswer);
  }

  /** The SHA-1 of all that was followed; forgets the follower. */
  digest({ id, lane }: Follower, onAnswer: OnAnswer): void {
    lane.post({ op: 'digest', follower: id }, onAnswer);
  }

  #verifierOf(fileBytes: number): Lane {
    return fileBytes <= WITHOUT_THREAD_BYTES_MAX ? this.#own : this.#verifier;
  }

  #followerOf(fileBytes: number): Lane {
    return fileBytes <= ONE_THREAD_BYTES_MAX ? this.#own : this.#follower;
  }

  #counted(bytes: number, onAnswer: OnAnswer): OnAnswer {
    this.#backlogBytes += bytes;
    return (answer) => {
      this.#backlogBytes -= bytes;
      onAnswer(answer);
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.close(), this.#verifier.close(), this.#follower.close()]);
  }
}
