// What is done with every received byte once more: hashed, compared, written, and added to the whole file's SHA-1. Opens no file and
// decides nothing: file descriptors, positions and expected hashes come with each job. Runs in a worker thread, with calls that
// block it, or on the main thread, with calls that do not (see disk/piece-disk.ts); jobs are given one after the other.
import { createHash, type Hash } from 'node:crypto';

/** `at`: where in the shared memory; `position`: where in the file; `map`, `mark`: the resume file and the piece's byte in it. */
export type PieceJob =
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
export interface PieceAnswer {
  id: number;
  ok: boolean;
  digest?: Uint8Array;
  error?: { code: string; message: string };
}

/** One read or write; answers how many bytes it did. */
export interface PieceIo {
  /** Bytes that are read back at a time. */
  readonly readSize: number;
  read(fd: number, into: Uint8Array, size: number, position: number): number | Promise<number>;
  write(fd: number, bytes: Uint8Array, position: number): number | Promise<number>;
}

export class PieceJobs {
  readonly #memory: Uint8Array;
  readonly #io: PieceIo;
  /** Whole-file hashes under way, by the number that the main thread gave them. */
  readonly #followers = new Map<number, Hash>();
  readonly #mark = Uint8Array.of(1);
  #scratch: Uint8Array | null = null;

  constructor(memory: SharedArrayBuffer, io: PieceIo) {
    this.#memory = new Uint8Array(memory);
    this.#io = io;
  }

  /** Never throws: what the disk says goes into the answer. */
  async answer(job: PieceJob): Promise<PieceAnswer> {
    try {
      return { id: job.id, ...(await this.#perform(job)) };
    } catch (error) {
      const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
      return { id: job.id, ok: false, error: { code, message } };
    }
  }

  async #perform(job: PieceJob): Promise<{ ok: boolean; digest?: Uint8Array }> {
    switch (job.op) {
      case 'verify': {
        const bytes = this.#memory.subarray(job.at, job.at + job.size);
        if (!isSame(createHash('sha256').update(bytes).digest(), job.sha256)) return { ok: false };
        await this.#write(job.fd, bytes, job.position);
        // The map's byte of the piece: from here on a kill -9 loses nothing of it.
        await this.#write(job.map, this.#mark, job.mark);
        return { ok: true };
      }
      case 'write':
        await this.#write(job.fd, this.#memory.subarray(job.at, job.at + job.size), job.position);
        return { ok: true };
      case 'check': {
        const hash = createHash('sha256');
        if (!(await this.#readThrough(job, hash)) || !isSame(hash.digest(), job.sha256)) return { ok: false };
        await this.#write(job.map, this.#mark, job.mark);
        return { ok: true };
      }
      case 'follow': {
        const hash = this.#followers.get(job.follower) ?? createHash('sha1');
        this.#followers.set(job.follower, hash);
        if (job.at === null) return { ok: await this.#readThrough(job, hash) };
        hash.update(this.#memory.subarray(job.at, job.at + job.size));
        return { ok: true };
      }
      case 'digest': {
        const digest = (this.#followers.get(job.follower) ?? createHash('sha1')).digest();
        this.#followers.delete(job.follower);
        return { ok: true, digest };
      }
    }
  }

  async #write(fd: number, bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += await this.#io.write(fd, bytes.subarray(done), position + done);
    }
  }

  /** Answers false when the file is shorter. */
  async #readThrough({ fd, size, position }: { fd: number; size: number; position: number }, hash: Hash) {
    const { readSize } = this.#io;
    this.#scratch ??= Buffer.allocUnsafeSlow(readSize);
    for (let done = 0; done < size; ) {
      const read = await this.#io.read(fd, this.#scratch, Math.min(readSize, size - done), position + done);
      if (read === 0) return false;
      hash.update(this.#scratch.subarray(0, read));
      done += read;
    }
    return true;
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
