import { createHash, hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { decodeManifest, encodeManifest, type Manifest } from '../../codec/manifest.ts';
import { FileHasher } from '../../daemon/disk/hash.ts';
import { HashPool } from '../../daemon/disk/hash-pool.ts';
import { makeFile } from '../harness/files.ts';

const test = suite('hash');
const directory = mkdtempSync(join(tmpdir(), 'mt-hash-'));
const pool = new HashPool();
const hasher = new FileHasher(pool);
const PIECE = 64 * 1024;
const CHUNK = 1024 * 1024;
let files = 0;

test.after(async () => {
  await pool.close();
  rmSync(directory, { recursive: true });
});

function newFile(size: number): string {
  const path = join(directory, String(files++));
  makeFile(path, size, `hash ${size}`);
  return path;
}

async function hashFile(
  path: string,
  sizeBytes: number,
  onProgress: (bytes: number) => void = () => {},
): Promise<Manifest> {
  const handle = await open(path);
  try {
    return await hasher.hash({ handle, sizeBytes, signal: new AbortController().signal, onProgress });
  } finally {
    await handle.close();
  }
}

/** The dumb way: the whole file in memory, one-shot hashes. */
function expectManifest(manifest: Manifest, content: Buffer): void {
  assert.is(manifest.size, content.length);
  assert.is(Buffer.from(manifest.sha1).toString('hex'), hash('sha1', content));
  const rows: Buffer[] = [];
  for (let at = 0; at < content.length; at += manifest.pieceSize) {
    const piece = content.subarray(at, at + manifest.pieceSize);
    rows.push(hash('sha1', piece, 'buffer'), hash('sha256', piece, 'buffer'));
  }
  assert.is(manifest.pieceCount, rows.length / 2);
  assert.ok(Buffer.from(manifest.rows).equals(Buffer.concat(rows)), 'piece hashes');
  assert.is(decodeManifest(encodeManifest(manifest)).pieceCount, manifest.pieceCount);
}

for (const size of [
  0,
  1,
  PIECE - 1,
  PIECE,
  PIECE + 1,
  3 * PIECE,
  CHUNK - 1,
  CHUNK,
  CHUNK + 1,
  5 * CHUNK,
  40 * CHUNK + 17,
]) {
  test(`${size} bytes, against one-shot hashes`, async () => {
    const path = newFile(size);
    expectManifest(await hashFile(path, size), readFileSync(path));
  });
}

test('several files at once do not mix', async () => {
  const sizes = [3 * CHUNK + 1, 7, 2 * CHUNK, 20 * CHUNK, PIECE];
  const paths = sizes.map(newFile);
  const manifests = await Promise.all(paths.map((path, i) => hashFile(path, sizes[i]!)));
  for (const [i, manifest] of manifests.entries()) expectManifest(manifest, readFileSync(paths[i]!));
});

test('pieces larger than a chunk: a sparse file of 9 GiB has pieces of 2 MiB', async () => {
  const path = join(directory, 'sparse');
  const size = 9 * 2 ** 30 + 5;
  writeFileSync(path, '');
  truncateSync(path, size);
  let progress = 0;
  // Only the beginning is read: the whole would take longer than a test should.
  const abort = new AbortController();
  const handle = await open(path);
  try {
    await hasher.hash({
      handle,
      sizeBytes: size,
      signal: abort.signal,
      onProgress: (bytes) => {
        progress = bytes;
        if (bytes > 64 * CHUNK) abort.abort();
      },
    });
    assert.unreachable();
  } catch (error) {
    assert.ok(isMtError(error, 'CANCELLED'), String(error));
  } finally {
    await handle.close();
  }
  assert.ok(progress < size);
});

test('progress grows to the whole size', async () => {
  const size = 30 * CHUNK;
  const seen: number[] = [];
  await hashFile(newFile(size), size, (bytes) => seen.push(bytes));
  assert.is(seen.at(-1), size);
  assert.equal(
    [...seen].sort((a, b) => a - b),
    seen,
  );
});

test('a file that became shorter is noticed', async () => {
  const path = newFile(CHUNK);
  try {
    await hashFile(path, 3 * CHUNK);
    assert.unreachable();
  } catch (error) {
    assert.ok(isMtError(error, 'INVALID_ARGUMENT'), String(error));
  }
  // The threads are free for the next file.
  expectManifest(await hashFile(path, CHUNK), readFileSync(path));
});

test('a piece in parts has the hashes of the whole piece', async () => {
  const content = Buffer.alloc(2 * CHUNK + 9, 'parts');
  const memory = new SharedArrayBuffer(content.length);
  new Uint8Array(memory).set(content);
  const thread = pool.threads()[0]!;
  const part = { op: 'part', task: 999_999, memory } as const;
  await thread.run({ ...part, at: 0, size: CHUNK, last: false }, 0);
  await thread.run({ ...part, at: CHUNK, size: CHUNK, last: false }, 0);
  const row = await thread.run({ ...part, at: 2 * CHUNK, size: 9, last: true }, 0);
  const expected = [createHash('sha1').update(content).digest(), createHash('sha256').update(content).digest()];
  assert.ok(Buffer.concat(expected).equals(row!));
});

test.run();
