// One file on disk as pieces: the `.part` file of a download until it has its final name, or a finished share.
// Owns its descriptor, its map of verified pieces and their background sync; never hashes by itself (disk/piece-disk.ts does).
import assert from 'node:assert';
import { constants, read } from 'node:fs';
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMtError, MtError } from '../../codec/errors.ts';
import { type Manifest, pieceSha256 } from '../../codec/manifest.ts';
import { readTreeIndex } from '../tree/tree-index.ts';
import { TreeSource } from '../tree/tree-source.ts';
import { fileError } from './disk-error.ts';
import type { PiecePlace, PieceTarget } from './piece-disk.ts';
import { ResumeMap, type ResumeState } from './resume.ts';

/** Power loss costs at most what was verified in this time (DESIGN: crash is the normal stop). */
const SYNC_INTERVAL_MS = 2_000;

export interface PieceFileContent {
  readonly manifest: Manifest;
  readonly manifestHash: Uint8Array;
}

export class PieceFile {
  readonly content: PieceFileContent;
  readonly #file: FileHandle;
  readonly #map: ResumeMap | null;
  /** The files of a shared directory; `#file` is the directory itself then. */
  readonly #tree: TreeSource | null;
  #syncTimer: NodeJS.Timeout | null = null;
  #syncing: Promise<void> | null = null;
  #closed: Promise<void> | null = null;
  /** Reads and worker jobs under way: the descriptor outlives them. */
  #users = 0;
  #onUnused: (() => void) | null = null;

  private constructor(
    content: PieceFileContent,
    file: FileHandle,
    map: ResumeMap | null,
    tree: TreeSource | null = null,
  ) {
    this.content = content;
    this.#file = file;
    this.#map = map;
    this.#tree = tree;
  }

  /**
   * Opens or makes the `.part` file and its map. A fresh one is made at its full size, without blocks (sparse).
   * @throws MtError DISK_FULL, PERMISSION, PATH_NOT_FOUND
   */
  static async openPart(
    partPath: string,
    mapPath: string,
    content: PieceFileContent,
  ): Promise<{ file: PieceFile; state: ResumeState }> {
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    const { size, pieceCount } = content.manifest;
    let handle: FileHandle | null = null;
    try {
      handle = await open(partPath, O_RDWR | O_CREAT | O_NOFOLLOW, 0o666);
      const stat = await handle.stat();
      if (!stat.isFile()) throw new MtError('PERMISSION', `"${partPath}" is in the way: it is not a regular file`);
      if (stat.size !== size) await handle.truncate(size);
      const { map, state } = await ResumeMap.open(
        mapPath,
        { manifestHash: content.manifestHash, pieceCount },
        stat.size === size && stat.size > 0,
      );
      const file = new PieceFile(content, handle, map);
      file.#syncTimer = setInterval(() => file.#syncSoon(), SYNC_INTERVAL_MS);
      file.#syncTimer.unref();
      return { file, state };
    } catch (error) {
      await handle?.close();
      throw isMtError(error) ? error : fileError(error, partPath);
    }
  }

  /**
   * Opens a finished file, or a directory, to serve it, if it is still the one that was hashed: of a directory, each file is looked
   * at when it is read.
   * @returns null when it is another file now.
   * @throws NodeJS.ErrnoException when it cannot be opened.
   */
  static async openShare(
    path: string,
    content: PieceFileContent,
    expected: { inode: bigint; sizeBytes: number; mtimeNs: bigint; tree?: Uint8Array | null },
  ): Promise<PieceFile | null> {
    // Not following a link and not waiting for a pipe that took the file's place.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = await handle.stat({ bigint: true });
    if (expected.tree && stat.isDirectory()) {
      return new PieceFile(content, handle, null, new TreeSource(path, readTreeIndex(expected.tree)));
    }
    const isSame =
      !expected.tree &&
      stat.isFile() &&
      stat.ino === expected.inode &&
      Number(stat.size) === expected.sizeBytes &&
      stat.mtimeNs === expected.mtimeNs;
    if (isSame) return new PieceFile(content, handle, null);
    await handle.close();
    return null;
  }

  /** For the disk workers; only a `.part` file takes pieces. */
  get target(): PieceTarget {
    assert(this.#map);
    return { fd: this.#file.fd, map: this.#map.fd, fileBytes: this.content.manifest.size };
  }

  get fd(): number {
    return this.#file.fd;
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  /** Where a piece lies. */
  place(piece: number): PiecePlace {
    const { manifest } = this.content;
    const position = piece * manifest.pieceSize;
    const size = Math.min(manifest.pieceSize, manifest.size - position);
    return { position, size, mark: ResumeMap.position(piece) };
  }

  /** What a piece must hash to. A copy: a view would take the whole manifest along to the worker. */
  sha256(piece: number): Uint8Array {
    return new Uint8Array(pieceSha256(this.content.manifest, piece));
  }

  /** The worker wrote and marked this piece. */
  noteWritten(piece: number): void {
    this.#map?.noteWritten(piece);
  }

  async clearPieces(pieces: readonly number[]): Promise<void> {
    await this.#map?.clear(pieces);
  }

  /** Keeps the descriptor open until `release`. */
  hold(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    if (this.#users === 0) this.#onUnused?.();
  }

  /** Reads `size` bytes at `position` into `into` at `at`. */
  read(part: { into: Buffer; at: number; size: number; position: number }, done: (error: Error | null) => void): void {
    if (this.#closed) return done(new MtError('CLOSED', 'The file is closed'));
    this.hold();
    if (this.#tree) {
      const { into, at, size, position } = part;
      this.#tree
        .read(into, at, size, position)
        .then(() => null, toError)
        .then((error) => {
          this.release();
          done(error);
        });
      return;
    }
    const step = (at: number, size: number, position: number) => {
      read(this.#file.fd, part.into, at, size, position, (error, count) => {
        if (!error && count > 0 && count < size) return step(at + count, size - count, position + count);
        this.release();
        done(error ?? (count === 0 ? new MtError('NO_SUCH_SHARE', 'The file is shorter than it was') : null));
      });
    };
    step(part.at, part.size, part.position);
  }

  async stat() {
    return await this.#file.stat({ bigint: true });
  }

  /** Everything written so far survives a power loss when this returns. */
  async sync(): Promise<void> {
    while (this.#syncing) await this.#syncing;
    this.#syncing = this.#syncNow().finally(() => {
      this.#syncing = null;
    });
    await this.#syncing;
  }

  async #syncNow(): Promise<void> {
    this.hold();
    try {
      if (this.#map) await this.#map.sync(() => this.#file.datasync());
      else await this.#file.datasync();
    } finally {
      this.release();
    }
  }

  #syncSoon(): void {
    if (this.#syncing || this.#closed || !this.#map?.hasUnsynced) return;
    // A disk that cannot sync also fails to write, and that is where it is told; the pieces stay unsynced.
    this.sync().catch(() => {});
  }

  /** Ends the use of this file once reads and worker jobs under way are over. Safe to call again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#syncTimer) clearInterval(this.#syncTimer);
    if (this.#users > 0) {
      await new Promise<void>((resolve) => {
        this.#onUnused = resolve;
      });
    }
    await this.#map?.close();
    await this.#tree?.close();
    await this.#file.close();
  }
}

function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/**
 * Gives a finished `.part` file its final name.
 * @param force whether it may replace a file of that name; without it, one that appeared meanwhile is never overwritten.
 * @throws MtError DESTINATION_EXISTS, PERMISSION, DISK_FULL, PATH_NOT_FOUND
 */
export async function moveIntoPlace(partPath: string, destination: string, force: boolean): Promise<void> {
  try {
    if (force) return await rename(partPath, destination);
    try {
      await link(partPath, destination); // fails when the name is taken, which rename does not
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'EMLINK') throw error;
      // No hard links here: take the name first, then replace our own placeholder.
      await (await open(destination, 'wx')).close();
      return await rename(partPath, destination);
    }
    await unlink(partPath);
  } catch (error) {
    throw fileError(error, destination);
  }
}

/** Makes new and changed names in the directory of `path` survive a power loss. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
