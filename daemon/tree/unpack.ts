// Makes a directory of a content that has come whole: into a hidden place of its own beside the destination, which gets its final name
// in one step at the end. The content stays until the directory is surely on the disk, so that a crash at any instant costs
// only the unpacking. Needs the room of the directory once more meanwhile; in exchange pieces, resuming and repair know one file only.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isMtError, MtError } from '../../codec/errors.ts';
import { decodeTree, type Tree } from '../../codec/tree.ts';
import { fileError } from '../disk/disk-error.ts';
import type { FileIdentity } from '../disk/file-identity.ts';
import { encodeTreeIndex } from './tree-index.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_FILES_MAX,
  runTreeJob,
  SMALL_SIZE_MAX,
  STATS_LENGTH,
  TreeJobError,
} from './tree-thread.ts';

const BUFFER_SIZE = 1024 * 1024;
/** Large files written at once. */
const FILES_AT_ONCE = 4;

/** A content on the disk, and what its manifest says. */
export interface PackedTree {
  readonly path: string;
  readonly size: number;
  readonly treeSize: number;
}

interface Placed {
  readonly path: string;
  /** −1: a directory. */
  readonly size: number;
  /** In the content. */
  readonly position: number;
  readonly mode: number;
}

/**
 * The tree document of a packed content.
 * @throws MtError PROTOCOL when it is none, or does not describe this content: whoever published it lied.
 */
export async function readDocument({
  path,
  size,
  treeSize,
}: PackedTree): Promise<{ document: Uint8Array; tree: Tree }> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const document = Buffer.alloc(treeSize);
    await readFully(handle, document, 0);
    const tree = decodeTree(document);
    if (treeSize + tree.filesSize !== size)
      throw new MtError('PROTOCOL', 'tree document: its files are not the content');
    return { document, tree };
  } finally {
    await handle.close();
  }
}

/**
 * Makes everything below `staging`; what a crashed attempt left there goes first.
 * @param isCancelled asked between two writes.
 * @returns inode of the directory; null: cancelled.
 * @throws MtError PROTOCOL as `readDocument`; DISK_FULL, PERMISSION …
 */
export async function unpackTree(
  packed: PackedTree,
  staging: string,
  isCancelled: () => boolean,
): Promise<bigint | null> {
  const { tree, document } = await readDocument(packed);
  try {
    await rm(staging, { recursive: true, force: true });
    await mkdir(staging, 0o777);
    const { mode } = await lstat(staging);
    // Whoever may write there one day may not yet: nobody puts a link in our way.
    await chmod(staging, 0o700);
    await makeEntries(packed, staging, { tree, position: document.length }, isCancelled);
    await chmod(staging, mode & 0o7777);
    return isCancelled() ? null : (await lstat(staging, { bigint: true })).ino;
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => {});
    throw isMtError(error) ? error : fileError(error, staging);
  }
}

/** Directories and small files in the order of the list, in batches for their thread; then the large ones, several at once. */
async function makeEntries(
  packed: PackedTree,
  staging: string,
  { tree, position: begin }: { tree: Tree; position: number },
  isCancelled: () => boolean,
): Promise<void> {
  const large: Placed[] = [];
  let batch: Placed[] = [];
  let batchBytes = 0;
  let position = begin;
  let before: Promise<void> = Promise.resolve();
  // One is being made while the next is put together.
  const send = async () => {
    const files = batch;
    batch = [];
    batchBytes = 0;
    await before;
    if (files.length === 0 || isCancelled()) return;
    before = makeBatch(packed.path, files);
    before.catch(() => {}); // awaited by the next one
  };
  for (const { path, kind, size } of tree.entries) {
    const mode = kind === 'file' ? 0o666 : 0o777;
    const placed = { path: join(staging, path), size: kind === 'directory' ? -1 : size, position, mode };
    position += size;
    if (size > SMALL_SIZE_MAX) large.push(placed);
    // A batch is one run of bytes.
    if (size > SMALL_SIZE_MAX || batch.length === BATCH_FILES_MAX || batchBytes + size > BATCH_BYTES_MAX) await send();
    if (size > SMALL_SIZE_MAX) continue;
    batch.push(placed);
    batchBytes += size;
  }
  await send();
  await before;
  const from = await open(packed.path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const lanes = Array.from({ length: Math.min(large.length, FILES_AT_ONCE) }, async () => {
      const buffer = Buffer.alloc(BUFFER_SIZE);
      for (let file = large.pop(); file && !isCancelled(); file = large.pop()) {
        await copyOut(from, file, buffer, isCancelled);
      }
    });
    await allSettled(lanes);
  } finally {
    await from.close();
  }
}

async function makeBatch(from: string, files: readonly Placed[]): Promise<void> {
  const paths = files.map(({ path }) => path);
  const sizes = new Float64Array(files.map(({ size }) => size));
  const modes = new Uint16Array(files.map(({ mode }) => mode));
  try {
    await runTreeJob({ op: 'make', from, position: files[0]!.position, paths, sizes, modes });
  } catch (error) {
    if (!(error instanceof TreeJobError)) throw error;
    throw error.code === 'CHANGED' ? tooShort() : fileError(error, error.path);
  }
}

/** Every lane has ended when the first error is thrown: none writes on behind its back. */
async function allSettled(lanes: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected');
  if (failed) throw failed.reason;
}

async function copyOut(
  from: FileHandle,
  { path, size, position, mode }: Placed,
  buffer: Buffer,
  isCancelled: () => boolean,
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const to = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    for (let done = 0; done < size && !isCancelled(); ) {
      const part = buffer.subarray(0, Math.min(buffer.length, size - done));
      await readFully(from, part, position + done);
      for (let sent = 0; sent < part.length; ) {
        sent += (await to.write(part, sent, part.length - sent, done + sent)).bytesWritten;
      }
      done += part.length;
    }
  } finally {
    await to.close();
  }
}

async function readFully(handle: FileHandle, into: Buffer, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw tooShort();
    done += bytesRead;
  }
}

function tooShort(): MtError {
  return new MtError('INTERNAL', 'A finished content is shorter than its manifest says');
}

/**
 * Gives the finished directory its final name.
 * @throws MtError DESTINATION_EXISTS: nothing is ever replaced or merged, with --force neither.
 */
export async function moveTreeIntoPlace(staging: string, destination: string): Promise<void> {
  await requireFree(destination);
  try {
    await rename(staging, destination);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'ENOTDIR' || code === 'EEXIST') throw treeDestinationExists(destination);
    throw fileError(error, destination);
  }
}

/** @throws MtError DESTINATION_EXISTS */
export async function requireFree(destination: string): Promise<void> {
  if (await lstat(destination).catch(() => null)) throw treeDestinationExists(destination);
}

function treeDestinationExists(destination: string): MtError {
  return new MtError(
    'DESTINATION_EXISTS',
    `"${destination}" exists already, and a directory replaces nothing`,
    'Move it away, or name another destination.',
  );
}

/**
 * What the directory at `root`, just made of this document, is on this disk; encoded as tree-index.ts has it.
 * @throws TreeJobError when a file is no longer there.
 */
export async function indexUnpacked(root: string, document: Uint8Array): Promise<Uint8Array> {
  const files = decodeTree(document).entries.filter(({ kind }) => kind !== 'directory');
  const found: (FileIdentity & { path: string })[] = [];
  for (let from = 0; from < files.length; from += BATCH_FILES_MAX) {
    const some = files.slice(from, from + BATCH_FILES_MAX);
    const { stats } = await runTreeJob({ op: 'look', paths: some.map(({ path }) => join(root, path)) });
    for (const [i, { path }] of some.entries()) {
      const [, inode, mtimeNs, size] = stats!.subarray(i * STATS_LENGTH, (i + 1) * STATS_LENGTH);
      found.push({ path, inode: inode!, mtimeNs: mtimeNs!, sizeBytes: Number(size) });
    }
  }
  return encodeTreeIndex(document, found);
}

/**
 * Everything in an unpacked directory survives a power loss when this returns. By syncfs(2), which Node does not have but every
 * coreutils does: an fsync for each of 20,000 files took 11 s of all threads that read and write.
 */
export async function syncTree(root: string, tree: Tree): Promise<void> {
  try {
    await promisify(execFile)('sync', ['-f', '--', root]);
  } catch {
    await syncEach(root, tree);
  }
}

/** Where there is no such program. Two at once leave threads to who serves and fetches. */
async function syncEach(root: string, tree: Tree): Promise<void> {
  const paths = [root, ...tree.entries.map(({ path }) => join(root, path))];
  const lanes = Array.from({ length: 2 }, async () => {
    for (let path = paths.pop(); path; path = paths.pop()) {
      const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      await handle.sync().finally(() => handle.close());
    }
  });
  await allSettled(lanes);
}

/** A free name beside a directory that is not what it should be: it is set aside, never deleted. */
export function asidePath(destination: string): string {
  return join(dirname(destination), `.damaged-${randomBytes(6).toString('hex')}`);
}
