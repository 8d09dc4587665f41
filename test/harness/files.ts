// Files with known content: made from a seed, so that a test can say which, and never held in memory as a whole.
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { Manifest } from '../../codec/manifest.ts';
import { pieceSizeFor } from '../../daemon/pieces/geometry.ts';

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

/** The manifest of some content, as a daemon cuts it. */
export function manifestOf(content: Buffer, pieceSize = pieceSizeFor(content.length)): Manifest {
  const hash = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest();
  const pieceCount = Math.ceil(content.length / pieceSize);
  const rows = Array.from({ length: pieceCount }, (_, i) => {
    const piece = content.subarray(i * pieceSize, (i + 1) * pieceSize);
    return Buffer.concat([hash('sha1', piece), hash('sha256', piece)]);
  });
  return { size: content.length, pieceSize, pieceCount, sha1: hash('sha1', content), rows: Buffer.concat(rows) };
}
