// The main thread's end of the disk workers: one verifies and writes pieces, one follows with the SHA-1 of whole files.
// Two threads, so that the whole hash never holds up the pieces; both live as long as the daemon.
import { Worker } from 'node:worker_threads';
import type { Slot, SlotPool } from '../peer/slots.ts';
import { workerUrl } from './worker-url.ts';

/** Content is not on a worker's heap, only small messages are: it need not grow to Node's defaults. */
const WORKER_HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };

/** `at`: where in the shared memory; `position`: where in the file; `map`, `mark`: the resume file and the piece's byte in it. */
export type WorkerJob =
  | {
      id: number;
      op: 'verify';
      fd: number;
      at: number;
      size: number;
      position: number;
      sha256: Uint8Array;
      map: number;
      mark: number;
    }
  | { id: number; op: 'write'; fd: number; at: number; size: number; position: number }
  | {
      id: number;
      op: 'check';
      fd: number;
      size: number;
      position: number;
      sha256: Uint8Array;
      map: number;
      mark: number;
    }
  | { id: number; op: 'follow'; follower: number; fd: number; at: number | null; size: number; position: number }
  | { id: number; op: 'digest'; follower: number };

/** `ok` false without an error: the hash did not match, or the file was too short. */
export interface WorkerAnswer {
  id: number;
  ok: boolean;
  digest?: Uint8Array;
  error?: { code: string; message: string };
}

/** `Omit` over each member of a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type NewJob = Without<WorkerJob, 'id'>;
type OnAnswer = (answer: WorkerAnswer) => void;

/** One thread, started when a download begins: a daemon that only serves needs none. */
class Lane {
  readonly #memory: SharedArrayBuffer;
  readonly #onCrash: (error: Error) => void;
  readonly #pending = new Map<number, OnAnswer>();
  #worker: Worker | null = null;
  #nextId = 1;

  constructor(memory: SharedArrayBuffer, onCrash: (error: Error) => void) {
    this.#memory = memory;
    this.#onCrash = onCrash;
  }

  start(): Worker {
    this.#worker ??= this.#start();
    return this.#worker;
  }

  post(job: NewJob, onAnswer: OnAnswer): void {
    const id = this.#nextId++;
    this.#pending.set(id, onAnswer);
    this.start().postMessage({ ...job, id });
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
    worker.on('message', (answer: WorkerAnswer) => {
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
}
/** A piece's place: `position` and `size` in the file in bytes, `mark` the position of its byte in the map. */
export interface PiecePlace {
  readonly position: number;
  readonly size: number;
  readonly mark: number;
}

export class PieceDisk {
  readonly #verifier: Lane;
  readonly #follower: Lane;
  #nextFollower = 1;
  /** Received and not yet on the disk. */
  #backlogBytes = 0;

  /** @param onCrash a worker died: a broken invariant of our own, the daemon must end. */
  constructor(pool: SlotPool, onCrash: (error: Error) => void) {
    this.#verifier = new Lane(pool.memory, onCrash);
    this.#follower = new Lane(pool.memory, onCrash);
  }

  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  /** Pieces will come: the threads start while the sources are still being asked for. */
  warmUp(): void {
    this.#verifier.start();
    this.#follower.start();
  }

  /** Hashes the piece in `slot`; when it matches, writes and marks it. */
  verify(target: PieceTarget, place: PiecePlace, sha256: Uint8Array, slot: Slot, onAnswer: OnAnswer): void {
    this.#verifier.post(
      { op: 'verify', at: slot.offset, ...target, ...place, sha256 },
      this.#counted(place.size, onAnswer),
    );
  }

  /** Writes part of a piece that is too large for a slot; `check` follows when all of it is there. */
  write(target: PieceTarget, part: { position: number; size: number }, slot: Slot, onAnswer: OnAnswer): void {
    this.#verifier.post({ op: 'write', fd: target.fd, at: slot.offset, ...part }, this.#counted(part.size, onAnswer));
  }

  /** Hashes a piece that is in the file already, and marks it when it matches. */
  check(target: PieceTarget, place: PiecePlace, sha256: Uint8Array, onAnswer: OnAnswer): void {
    this.#verifier.post({ op: 'check', ...target, ...place, sha256 }, onAnswer);
  }

  /** A new SHA-1 of a whole file. */
  follower(): number {
    return this.#nextFollower++;
  }

  /** Adds the next bytes of the file: from a slot, or (null) read back from the file. */
  follow(
    follower: number,
    part: { fd: number; position: number; size: number },
    slot: Slot | null,
    onAnswer: OnAnswer,
  ): void {
    this.#follower.post({ op: 'follow', follower, at: slot === null ? null : slot.offset, ...part }, onAnswer);
  }

  /** The SHA-1 of all that was followed; forgets the follower. */
  digest(follower: number, onAnswer: OnAnswer): void {
    this.#follower.post({ op: 'digest', follower }, onAnswer);
  }

  #counted(bytes: number, onAnswer: OnAnswer): OnAnswer {
    this.#backlogBytes += bytes;
    return (answer) => {
      this.#backlogBytes -= bytes;
      onAnswer(answer);
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#verifier.close(), this.#follower.close()]);
  }
}
