// Files with known content: made from a seed, so that a test can say which, and never held in memory as a whole.
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';

const CHUNK_SIZE = 1 << 20;

/** Writes `size` pseudo-random bytes that depend on `seed` only. Returns their SHA-1 in hex. */
export function makeFile(path: string, size: number, seed: string): string {
  const key = createHash('sha256').update(seed).digest();
  const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const sha1 = createHash('sha1');
  const zeros = Buffer.alloc(CHUNK_SIZE);
  const file = openSync(path, 'wx');
  for (let left = size; left > 0; ) {
    const chunk = stream.update(zeros.subarray(0, Math.min(left, CHUNK_SIZE)));
    sha1.update(chunk);
    writeSync(file, chunk);
    left -= chunk.length;
  }
  closeSync(file);
  return sha1.digest('hex');
}

export function sha1Of(path: string): string {
  const sha1 = createHash('sha1');
  const chunk = Buffer.alloc(CHUNK_SIZE);
  const file = openSync(path, 'r');
  for (let size = readSync(file, chunk); size > 0; size = readSync(file, chunk)) sha1.update(chunk.subarray(0, size));
  closeSync(file);
  return sha1.digest('hex');
}
