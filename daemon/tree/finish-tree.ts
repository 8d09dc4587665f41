// The end of a directory's download: from the content that came whole to the directory, and to the certainty that it is on the
// disk. As in download/finish.ts each step can be repeated: a kill -9 between any two of them is met again by the next start.
//
//   content whole ──▶ unpacked, hidden ──▶ final name ──▶ share ──▶ synced, the content goes
import { hash } from 'node:crypto';
import { access, lstat, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isMtError, MtError } from '../../codec/errors.ts';
import { decodeManifest, pieceSha256 } from '../../codec/manifest.ts';
import { syncDirectory } from '../disk/piece-file.ts';
import { findSpaceProblem } from '../download/destination.ts';
import type { ServableShare } from '../download/types.ts';
import type { DownloadRecord } from '../store/download-store.ts';
import { readTreeIndex } from './tree-index.ts';
import { TreeSource } from './tree-source.ts';
import {
  asidePath,
  indexUnpacked,
  moveTreeIntoPlace,
  type PackedTree,
  readDocument,
  syncTree,
  unpackTree,
} from './unpack.ts';

export function isDirectory(record: DownloadRecord): boolean {
  return record.manifest.length > 0 && decodeManifest(record.manifest).treeSize !== undefined;
}

/** Bytes that finishing takes on the disk beside the content. */
export function roomToFinish(record: DownloadRecord): number {
  return isDirectory(record) ? record.sizeBytes : 0;
}

/**
 * Unpacks the content into its hidden place; all of it was verified.
 * @returns the inode of the directory; null: cancelled, and nothing is lost.
 * @throws MtError INTEGRITY when the publisher shared something that is no directory; DISK_FULL, PERMISSION …
 */
export async function unpackDownload(record: DownloadRecord, isCancelled: () => boolean): Promise<bigint | null> {
  const problem = await findSpaceProblem(record.partPath, roomToFinish(record));
  if (problem) throw problem;
  try {
    return await unpackTree(packedOf(record), stagingPath(record), isCancelled);
  } catch (error) {
    if (!isMtError(error, 'PROTOCOL')) throw error;
    throw new MtError(
      'INTEGRITY',
      `"${record.fileName}" is no directory that can be made: ${error.message}`,
      `Ask ${record.publisher} to share it again.`,
    );
  }
}

/** @throws MtError DESTINATION_EXISTS, PERMISSION, PATH_NOT_FOUND */
export async function giveTreeFinalName(record: DownloadRecord): Promise<void> {
  await moveTreeIntoPlace(stagingPath(record), record.destination);
}

/** What was begun and is not to be finished goes. */
export async function discardStaging(record: DownloadRecord): Promise<void> {
  if (isDirectory(record)) await rm(stagingPath(record), { recursive: true, force: true });
}

/** What the finished directory is, for the registry of shares. */
export async function shareOfTree(record: DownloadRecord): Promise<ServableShare> {
  const { groupId, fileName, destination, manifest, manifestHash, sizeBytes } = record;
  const { document } = await readDocument(packedOf(record));
  const tree = await indexUnpacked(destination, document);
  const { ino: inode } = await lstat(destination, { bigint: true });
  return { groupId, fileName, path: destination, manifest, manifestHash, inode, sizeBytes, mtimeNs: 0n, tree };
}

/** Makes a finished directory survive a power loss; its content and its map are no longer needed then. */
export async function settleTree(record: DownloadRecord, mapPath: string): Promise<void> {
  const { tree } = await readDocument(packedOf(record));
  await syncTree(record.destination, tree);
  await syncDirectory(record.destination);
  await rm(record.partPath, { force: true });
  await rm(mapPath, { force: true });
}

/**
 * A directory that was finished in an earlier boot, and perhaps not on the disk when that ended: hashes all of it.
 * @returns whether it is whole; false: it was set aside under a hidden name, and its content is what there is of the download.
 */
export async function recheckTree(record: DownloadRecord, mapPath: string): Promise<boolean> {
  // The content goes only when the directory is safe.
  const isSafe = await access(record.partPath).then(
    () => false,
    () => true,
  );
  if (isSafe) return true;
  if (await isRight(record)) {
    await settleTree(record, mapPath);
    return true;
  }
  await rename(record.destination, asidePath(record.destination));
  return false;
}

async function isRight(record: DownloadRecord): Promise<boolean> {
  let source: TreeSource | null = null;
  try {
    const { tree } = await shareOfTree(record);
    const manifest = decodeManifest(record.manifest);
    source = new TreeSource(record.destination, readTreeIndex(tree!));
    for (let piece = 0; piece < manifest.pieceCount; piece++) {
      const position = piece * manifest.pieceSize;
      const bytes = Buffer.alloc(Math.min(manifest.pieceSize, manifest.size - position));
      await source.read(bytes, 0, bytes.length, position);
      if (!hash('sha256', bytes, 'buffer').equals(pieceSha256(manifest, piece))) return false;
    }
    return true;
  } catch {
    return false; // a file is gone, or shorter
  } finally {
    await source?.close();
  }
}

function packedOf(record: DownloadRecord): PackedTree {
  return { path: record.partPath, size: record.sizeBytes, treeSize: decodeManifest(record.manifest).treeSize! };
}

/** Short and hidden whatever the directory's name is; the same after each restart. */
function stagingPath(record: DownloadRecord): string {
  const content = Buffer.from(record.manifestHash).toString('hex', 0, 8);
  return join(dirname(record.destination), `.mt-${record.id}-${content}.part`);
}
