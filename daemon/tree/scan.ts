// Reads a directory that is to be shared: every name checked one by one, everything that is neither file nor directory refused with
// its path. What it finds is a document and an index; the bytes of the files are read later, by who hashes them.
import { constants } from 'node:fs';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { requireFileName } from '../../codec/ids.ts';
import { TREE_DEPTH_MAX, TREE_ENTRIES_MAX } from '../../codec/limits.ts';
import { encodeTree, type TreeEntry } from '../../codec/tree.ts';
import type { FileIdentity } from '../disk/file-identity.ts';
import { encodeTreeIndex } from './tree-index.ts';
import { runTreeJob, STATS_LENGTH, TreeJobError } from './tree-thread.ts';

/** Directories asked for together: the thread has the next one when it is done with one. */
const DIRECTORIES_AT_ONCE = 8;

interface Found {
  readonly entry: TreeEntry;
  /** Its path as it is listed: what the order is made of. */
  readonly bytes: Buffer;
  /** On this disk, from the root. */
  readonly path: string;
  readonly identity: FileIdentity;
}

/**
 * Looks at everything in a directory.
 * @param root absolute, and no symbolic link.
 * @returns the index of the tree (tree-index.ts), encoded.
 * @throws MtError INVALID_ARGUMENT (a link, a pipe, a socket, a device), INVALID_NAME, PERMISSION, PATH_NOT_FOUND, TOO_LARGE, CANCELLED
 */
export async function scanTree(root: string, signal: AbortSignal): Promise<Uint8Array> {
  const found: Found[] = [];
  const waiting = [{ onDisk: '', listed: '' }];
  while (waiting.length > 0 && found.length <= TREE_ENTRIES_MAX) {
    // encodeTree says so
    if (signal.aborted) throw new MtError('CANCELLED', 'The upload was cancelled');
    const some = waiting.splice(-DIRECTORIES_AT_ONCE);
    for (const children of await Promise.all(some.map((next) => scanDirectory(root, next)))) {
      for (const child of children) {
        if (child.entry.kind === 'directory') waiting.push({ onDisk: child.path, listed: child.entry.path });
        found.push(child);
      }
    }
  }
  found.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const document = encodeTree(found.map(({ entry }) => entry));
  const files = found.filter(({ entry }) => entry.kind !== 'directory');
  return encodeTreeIndex(
    document,
    files.map(({ path, identity }) => ({ path, ...identity })),
  );
}

async function scanDirectory(root: string, at: { onDisk: string; listed: string }): Promise<Found[]> {
  const directory = join(root, at.onDisk);
  if (at.listed.split('/').length >= TREE_DEPTH_MAX) {
    throw new MtError('TOO_LARGE', `${directory} is deeper than ${TREE_DEPTH_MAX} directories`);
  }
  const found: Found[] = [];
  const seen = new Map<string, string>();
  const answer = await runTreeJob({ op: 'list', directory }).catch((error: unknown) => unreadable(directory, error));
  const [names, stats] = [answer.names!, answer.stats!];
  for (const [i, name] of names.entries()) {
    const listed = requireName(directory, name);
    const twin = seen.get(listed);
    if (twin !== undefined) {
      throw new MtError(
        'INVALID_NAME',
        `${join(directory, name)} and ${join(directory, twin)} have the same name in another spelling of Unicode`,
        'Rename one of them.',
      );
    }
    seen.set(listed, name);
    const path = at.listed === '' ? listed : `${at.listed}/${listed}`;
    const [mode, inode, mtimeNs, size] = stats.subarray(i * STATS_LENGTH, (i + 1) * STATS_LENGTH);
    const sizeBytes = Number(size);
    found.push({
      entry: entryOf(join(directory, name), path, { mode: Number(mode), sizeBytes }),
      bytes: Buffer.from(path),
      path: at.onDisk === '' ? name : `${at.onDisk}/${name}`,
      identity: { inode: inode!, mtimeNs: mtimeNs!, sizeBytes },
    });
  }
  return found;
}

function entryOf(path: string, listed: string, { mode, sizeBytes }: { mode: number; sizeBytes: number }): TreeEntry {
  const kind = mode & constants.S_IFMT;
  if (kind === constants.S_IFDIR) return { path: listed, kind: 'directory', size: 0 };
  if (kind !== constants.S_IFREG) {
    throw new MtError(
      'INVALID_ARGUMENT',
      `${path} is ${kind === constants.S_IFLNK ? 'a symbolic link' : 'no regular file'}: only files and directories can be shared`,
      'Move it out of the directory, or put a copy of what it leads to in its place.',
    );
  }
  return { path: listed, kind: mode & constants.S_IXUSR ? 'executable' : 'file', size: sizeBytes };
}

function requireName(directory: string, name: string): string {
  try {
    return requireFileName(name);
  } catch (error) {
    const { message, suggestion } = error as MtError;
    throw new MtError('INVALID_NAME', `In ${directory}: ${message}`, suggestion);
  }
}

function unreadable(directory: string, cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException;
  const path = cause instanceof TreeJobError ? cause.path : directory;
  if (code === 'NOT_UTF8') throw new MtError('INVALID_NAME', `${path}: its name is not UTF-8`, 'Rename it.');
  if (code === 'EACCES' || code === 'EPERM') throw new MtError('PERMISSION', `This user may not read ${path}`);
  throw new MtError('PATH_NOT_FOUND', `${path} cannot be read (${code ?? 'unknown error'})`, undefined, { cause });
}
