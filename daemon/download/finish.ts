// The end of a download: the whole SHA-1, the final name, and (after it was reported) the certainty that it is on the disk.
// Each step can be repeated: a kill -9 between any two of them is met again by the next start.
import { lstat, rename, rm } from 'node:fs/promises';
import { MtError } from '../../codec/errors.ts';
import type { PieceDisk } from '../disk/piece-disk.ts';
import { moveIntoPlace, PieceFile, type PieceFileContent, syncDirectory } from '../disk/piece-file.ts';
import { bootId } from '../disk/resume.ts';
import type { WholeHash } from '../disk/whole-hash.ts';
import type { DownloadRecord } from '../store/download-store.ts';
import { giveTreeFinalName, isDirectory, recheckTree, settleTree, shareOfTree } from '../tree/finish-tree.ts';
import type { ServableShare } from './types.ts';

/**
 * Hashes pieces that are on the disk already.
 * @returns those that are right; the map says so from now on.
 */
export async function checkPieces(file: PieceFile, disk: PieceDisk, pieces: readonly number[]): Promise<number[]> {
  const checks = pieces.map(
    (piece) =>
      new Promise<number | null>((resolve) => {
        file.hold();
        disk.check(file.target, file.place(piece), file.sha256(piece), ({ ok }) => {
          file.release();
          if (ok) file.noteWritten(piece);
          resolve(ok ? piece : null);
        });
      }),
  );
  return (await Promise.all(checks)).filter((piece) => piece !== null);
}

/**
 * Checks the SHA-1 of the whole file, which no source can be blamed for: every piece was right by itself.
 * @returns whether it is right; false: some pieces changed on the disk since they were verified, and are marked missing now.
 * @throws MtError INTEGRITY when all pieces are right and the whole is not: its publisher announced a SHA-1 of something else.
 */
export async function checkWhole(
  record: DownloadRecord,
  parts: { file: PieceFile; hash: WholeHash; disk: PieceDisk },
): Promise<boolean> {
  const { file, hash, disk } = parts;
  const { manifest } = file.content;
  const digest = await hash.digest();
  if (digest && Buffer.compare(digest, manifest.sha1) === 0) return true;
  const all = Array.from({ length: manifest.pieceCount }, (_, piece) => piece);
  const right = new Set(await checkPieces(file, disk, all));
  const damaged = all.filter((piece) => !right.has(piece));
  if (damaged.length > 0) {
    await file.clearPieces(damaged);
    return false;
  }
  throw new MtError(
    'INTEGRITY',
    `"${record.fileName}" is not the file that ${record.publisher} announced: every piece matches, the SHA-1 of the whole does not`,
    `Ask ${record.publisher} to share it again.`,
  );
}

/** Whether an earlier run has given the file its final name already. */
export async function isInPlace(record: DownloadRecord): Promise<boolean> {
  if (record.inode === null) return false;
  try {
    const stat = await lstat(record.destination, { bigint: true });
    // Of another size it is somebody else's by now: inode numbers are used again.
    const isOurs = isDirectory(record) ? stat.isDirectory() : stat.isFile() && stat.size === BigInt(record.sizeBytes);
    return isOurs && stat.ino === record.inode;
  } catch {
    return false;
  }
}

/** An earlier run gave it its final name, and noted so unless the power failed first. */
export async function hadFinalName(record: DownloadRecord): Promise<boolean> {
  const mayBeUntold = record.bootId !== null && record.bootId !== bootId().toString('hex');
  return (record.phase === 'finishing' || mayBeUntold) && (await isInPlace(record));
}

/** @throws MtError DESTINATION_EXISTS, PERMISSION, DISK_FULL, PATH_NOT_FOUND */
export async function giveFinalName(record: DownloadRecord): Promise<void> {
  const isDone = await isInPlace(record);
  // A directory's content stays beside it until the directory is surely on the disk.
  if (isDirectory(record)) await (isDone || giveTreeFinalName(record));
  else if (isDone) await rm(record.partPath, { force: true });
  else await moveIntoPlace(record.partPath, record.destination, record.force);
}

/** What the finished file is, for the registry of shares. */
export async function shareOf(record: DownloadRecord): Promise<ServableShare> {
  if (isDirectory(record)) return await shareOfTree(record);
  const { groupId, fileName, destination, manifest, manifestHash } = record;
  const stat = await lstat(destination, { bigint: true });
  return {
    groupId,
    fileName,
    path: destination,
    manifest,
    manifestHash,
    inode: stat.ino,
    sizeBytes: Number(stat.size),
    mtimeNs: stat.mtimeNs,
  };
}

/** Makes a finished file survive a power loss; its map is no longer needed then. */
export async function settle(record: DownloadRecord, file: PieceFile, mapPath: string): Promise<void> {
  if (isDirectory(record)) return await settleTree(record, mapPath);
  await file.sync();
  await syncDirectory(record.destination);
  await rm(mapPath, { force: true });
}

/**
 * A file that was finished in an earlier boot, and perhaps not on the disk when that ended: hashes what is not certain.
 * @returns whether it is whole; false: it is a `.part` file again, without the damaged pieces.
 */
export async function recheck(
  record: DownloadRecord,
  content: PieceFileContent,
  disk: PieceDisk,
  mapPath: string,
): Promise<boolean> {
  if (isDirectory(record)) return await recheckTree(record, mapPath);
  const { file, state } = await PieceFile.openPart(record.destination, mapPath, content);
  try {
    const right = await checkPieces(file, disk, state.candidates);
    if (state.verified.length + right.length === content.manifest.pieceCount) {
      await settle(record, file, mapPath);
      return true;
    }
    await rename(record.destination, record.partPath);
    return false;
  } finally {
    await file.close();
  }
}
