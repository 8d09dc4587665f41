// The worker thread that touches every received byte once more: hashes, compares, writes, and keeps the whole file's SHA-1.
// It opens no file and decides nothing: file descriptors, positions and expected hashes come with each job, answers go back in order.
import { createHash, type Hash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerAnswer, WorkerJob } from './piece-disk.ts';

const READ_SIZE = 1024 * 1024;
const memory = new Uint8Array(workerData as SharedArrayBuffer);
const port = parentPort!;
/** Whole-file hashes under way, by the number that the main thread gave them. */
const followers = new Map<number, Hash>();
const scratch = Buffer.allocUnsafeSlow(READ_SIZE);
const mark = Buffer.alloc(1);

port.on('message', (job: WorkerJob) => {
  port.postMessage(answer(job));
});

function answer(job: WorkerJob): WorkerAnswer {
  try {
    return { id: job.id, ...perform(job) };
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    return { id: job.id, ok: false, error: { code, message } };
  }
}

function perform(job: WorkerJob): { ok: boolean; digest?: Uint8Array } {
  switch (job.op) {
    case 'verify': {
      const bytes = memory.subarray(job.at, job.at + job.size);
      if (!isSame(createHash('sha256').update(bytes).digest(), job.sha256)) return { ok: false };
      writeAll(job.fd, bytes, job.position);
      markPiece(job.map, job.mark);
      return { ok: true };
    }
    case 'write':
      writeAll(job.fd, memory.subarray(job.at, job.at + job.size), job.position);
      return { ok: true };
    case 'check': {
      const hash = createHash('sha256');
      if (!readThrough(job.fd, job.position, job.size, hash)) return { ok: false };
      if (!isSame(hash.digest(), job.sha256)) return { ok: false };
      markPiece(job.map, job.mark);
      return { ok: true };
    }
    case 'follow': {
      const hash = followers.get(job.follower) ?? createHash('sha1');
      followers.set(job.follower, hash);
      if (job.at === null) return { ok: readThrough(job.fd, job.position, job.size, hash) };
      hash.update(memory.subarray(job.at, job.at + job.size));
      return { ok: true };
    }
    case 'digest': {
      const digest = (followers.get(job.follower) ?? createHash('sha1')).digest();
      followers.delete(job.follower);
      return { ok: true, digest };
    }
  }
}

/** The map's byte of a piece: from here on a kill -9 loses nothing of it. */
function markPiece(map: number, position: number): void {
  mark[0] = 1;
  writeSync(map, mark, 0, 1, position);
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

/** Answers false when the file is shorter. */
function readThrough(fd: number, position: number, size: number, hash: Hash): boolean {
  let done = 0;
  while (done < size) {
    const read = readSync(fd, scratch, 0, Math.min(READ_SIZE, size - done), position + done);
    if (read === 0) return false;
    hash.update(scratch.subarray(0, read));
    done += read;
  }
  return true;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
