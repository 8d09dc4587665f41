// What an upload reads: one regular file, or everything in a directory. Opened once, symlinks on the way to it resolved before, and the
// same after hashing as before: no swap goes unnoticed.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises';
import { MtError } from '../codec/errors.ts';
import { type FileIdentity, identityOf, sameFile } from './disk/file-identity.ts';
import type { HashSource } from './disk/hash.ts';
import { FILE_SIZE_MAX } from './pieces/geometry.ts';
import { scanTree } from './tree/scan.ts';
import { findChangedFile, readTreeIndex } from './tree/tree-index.ts';
import { TreeSource } from './tree/tree-source.ts';

export interface UploadSource {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Of a directory: its inode and the size of its content. */
  readonly identity: FileIdentity;
  /** Of a directory: tree/tree-index.ts. */
  readonly tree: Uint8Array | null;
  /** Of a directory: bytes of its tree document. */
  readonly treeSize?: number;
  readonly content: HashSource;
  /** @throws MtError INVALID_ARGUMENT */
  requireUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens what the path leads to; a FIFO or device never blocks us.
 * @param typed absolute.
 * @throws MtError PATH_NOT_FOUND, PERMISSION, INVALID_ARGUMENT, INVALID_NAME, TOO_LARGE, CANCELLED
 */
export async function openUpload(typed: string, signal: AbortSignal): Promise<UploadSource> {
  let handle: FileHandle | undefined;
  try {
    const path = await realpath(typed);
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile() && !stats.isDirectory()) {
      throw new MtError(
        'INVALID_ARGUMENT',
        `${typed} is neither a file nor a directory`,
        'Only regular files and directories can be shared.',
      );
    }
    const source = stats.isFile()
      ? openedFile(path, handle, identityOf(stats))
      : await openedDirectory(path, handle, stats.ino, signal);
    if (source.identity.sizeBytes > FILE_SIZE_MAX) throw new MtError('TOO_LARGE', `${typed} is larger than 8 TiB`);
    return source;
  } catch (error) {
    await handle?.close();
    throw error instanceof MtError ? error : pathError(typed, error as NodeJS.ErrnoException);
  }
}

function openedFile(path: string, handle: FileHandle, identity: FileIdentity): UploadSource {
  return {
    path,
    identity,
    tree: null,
    content: handle,
    requireUnchanged: async () => {
      const opened = identityOf(await handle.stat({ bigint: true }));
      const atPath = await lstat(path, { bigint: true }).catch(() => null);
      if (!sameFile(opened, identity) || !atPath || !sameFile(identityOf(atPath), identity)) throw changed(path);
    },
    close: () => handle.close(),
  };
}

async function openedDirectory(
  path: string,
  handle: FileHandle,
  inode: bigint,
  signal: AbortSignal,
): Promise<UploadSource> {
  const tree = await scanTree(path, signal);
  const index = readTreeIndex(tree);
  const content = new TreeSource(path, index);
  return {
    path,
    identity: { inode, sizeBytes: index.sizeBytes, mtimeNs: 0n },
    tree,
    treeSize: index.document.length,
    content,
    requireUnchanged: async () => {
      // Something may have come or gone meanwhile, too: what is shared is what is there.
      if (Buffer.compare(await scanTree(path, signal), tree) === 0) return;
      const other = await findChangedFile(path, index);
      throw changed(other ? `${path}/${other.path}` : path);
    },
    close: async () => {
      await content.close();
      await handle.close();
    },
  };
}

function pathError(path: string, cause: NodeJS.ErrnoException): MtError {
  switch (cause.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new MtError('PATH_NOT_FOUND', `There is no file ${path}`);
    case 'EACCES':
    case 'EPERM':
      return new MtError('PERMISSION', `This user may not read ${path}`);
    default:
      return new MtError('INVALID_ARGUMENT', `${path} cannot be opened as a file (${cause.code ?? 'unknown error'})`);
  }
}

function changed(path: string): MtError {
  return new MtError(
    'INVALID_ARGUMENT',
    `${path} was changed while it was read`,
    'Upload it again when it is complete.',
  );
}
