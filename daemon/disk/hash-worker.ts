// A long-lived thread that hashes what lies in shared memory. Jobs come in the order in which the bytes stand in the file;
// the bytes themselves are never copied between threads.
import { createHash, type Hash, hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashJob } from './hash-pool.ts';
import { yieldToMain } from './thread-priority.ts';

/** SHA-1 of whole files under way, by task. */
const wholes = new Map<number, Hash>();
/** Both hashes of a piece that is larger than one chunk, by task. */
const pieces = new Map<number, { sha1: Hash; sha256: Hash }>();

yieldToMain();
parentPort!.on('message', (job: HashJob) => {
  const answer: HashAnswer = { id: job.id, bytes: run(job) };
  parentPort!.postMessage(answer);
});

function run(job: HashJob): Uint8Array | null {
  switch (job.op) {
    case 'whole': {
      const sha1 = wholes.get(job.task) ?? createHash('sha1');
      wholes.set(job.task, sha1);
      sha1.update(viewOf(job.memory, job.at, job.size));
      return null;
    }
    case 'digest': {
      const sha1 = wholes.get(job.task) ?? createHash('sha1');
      wholes.delete(job.task);
      return sha1.digest();
    }
    case 'pieces':
      return hashPieces(job);
    case 'part':
      return hashPart(job);
    case 'forget':
      wholes.delete(job.task);
      pieces.delete(job.task);
      return null;
  }
}

/** A chunk that holds whole pieces: one row of SHA-1 and SHA-256 for each. */
function hashPieces({ memory, at, size, pieceSize }: Extract<HashJob, { op: 'pieces' }>): Uint8Array {
  const rows: Buffer[] = [];
  for (let offset = 0; offset < size; offset += pieceSize) {
    const piece = viewOf(memory, at + offset, Math.min(pieceSize, size - offset));
    rows.push(hash('sha1', piece, 'buffer'), hash('sha256', piece, 'buffer'));
  }
  return alone(rows);
}

/** The next part of a piece that is larger than a chunk; its row when it is the last. */
function hashPart({ task, memory, at, size, last }: Extract<HashJob, { op: 'part' }>): Uint8Array | null {
  const piece = pieces.get(task) ?? { sha1: createHash('sha1'), sha256: createHash('sha256') };
  const view = viewOf(memory, at, size);
  piece.sha1.update(view);
  piece.sha256.update(view);
  if (!last) {
    pieces.set(task, piece);
    return null;
  }
  pieces.delete(task);
  return alone([piece.sha1.digest(), piece.sha256.digest()]);
}

/** In memory of its own: a view of Node's pool would take the whole 64 KiB of it along to the main thread. */
function alone(rows: readonly Buffer[]): Uint8Array {
  return new Uint8Array(Buffer.concat(rows));
}

function viewOf(memory: SharedArrayBuffer, at: number, size: number): Uint8Array {
  return new Uint8Array(memory, at, size);
}
