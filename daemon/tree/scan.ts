// Reads a directory that is to be shared: every name checked one by one, everything that is neither file nor directory refused with
// its path. What it finds is a document and an index; the bytes of the files are read later, by who hashes them.
import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { requireFileName } from '../../codec/ids.ts';
import { TREE_DEPTH_MAX, TREE_ENTRIES_MAX } from '../../codec/limits.ts';
import { encodeTree, type TreeEntry } from '../../codec/tree.ts';
import { type FileIdentity, identityOf } from '../disk/file-identity.ts';
import { encodeTreeIndex } from './tree-index.ts';

const LOOKS_AT_ONCE = 64;

interface Found {
  readonly entry: TreeEntry;
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
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (signal.aborted) throw new MtError('CANCELLED', 'The upload was cancelled');
    const children = await scanDirectory(root, next);
    for (const child of children) {
      if (child.entry.kind === 'directory') waiting.push({ onDisk: child.path, listed: child.entry.path });
    }
    found.push(...children);
    if (found.length > TREE_ENTRIES_MAX) break; // encodeTree says so
  }
  found.sort((a, b) => Buffer.compare(Buffer.from(a.entry.path), Buffer.from(b.entry.path)));
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
  const names = await readdir(directory, { encoding: 'buffer' }).catch((error: unknown) =>
    unreadable(directory, error),
  );
  const found: Found[] = [];
  const seen = new Map<string, string>();
  for (let from = 0; from < names.length; from += LOOKS_AT_ONCE) {
    const some = names.slice(from, from + LOOKS_AT_ONCE).map((name) => requireText(directory, name));
    const stats = await Promise.all(some.map((name) => look(join(directory, name))));
    for (const [i, name] of some.entries()) {
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
      found.push({
        entry: entryOf(join(directory, name), path, stats[i]!),
        path: at.onDisk === '' ? name : `${at.onDisk}/${name}`,
        identity: identityOf(stats[i]!),
      });
    }
  }
  return found;
}

function entryOf(path: string, listed: string, stats: BigIntStats): TreeEntry {
  if (stats.isDirectory()) return { path: listed, kind: 'directory', size: 0 };
  if (!stats.isFile()) {
    throw new MtError(
      'INVALID_ARGUMENT',
      `${path} is ${stats.isSymbolicLink() ? 'a symbolic link' : 'no regular file'}: only files and directories can be shared`,
      'Move it out of the directory, or put a copy of what it leads to in its place.',
    );
  }
  return { path: listed, kind: stats.mode & 0o100n ? 'executable' : 'file', size: Number(stats.size) };
}

function requireText(directory: string, raw: Buffer): string {
  const name = raw.toString('utf8');
  if (Buffer.from(name).equals(raw)) return name;
  throw new MtError('INVALID_NAME', `${join(directory, name)}: its name is not UTF-8`, 'Rename it.');
}

function requireName(directory: string, name: string): string {
  try {
    return requireFileName(name);
  } catch (error) {
    const { message, suggestion } = error as MtError;
    throw new MtError('INVALID_NAME', `In ${directory}: ${message}`, suggestion);
  }
}

function look(path: string): Promise<BigIntStats> {
  return lstat(path, { bigint: true }).catch((error: unknown) => unreadable(path, error));
}

function unreadable(path: string, cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') throw new MtError('PERMISSION', `This user may not read ${path}`);
  throw new MtError('PATH_NOT_FOUND', `${path} cannot be read (${code ?? 'unknown error'})`, undefined, { cause });
}
