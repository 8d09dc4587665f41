// Which file this is: inode, size and modification time of what was hashed. Tells an unchanged file from one that was
// replaced, truncated, edited or swapped for a symlink, without reading it.
import type { BigIntStats } from 'node:fs';
import { lstat } from 'node:fs/promises';

export interface FileIdentity {
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
}

export function identityOf(stats: BigIntStats): FileIdentity {
  return { inode: stats.ino, sizeBytes: Number(stats.size), mtimeNs: stats.mtimeNs };
}

export function sameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.inode === b.inode && a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs;
}

/** Looks at a path as it is now; a symlink or anything else that is no regular file counts as changed. */
export async function compareFile(path: string, expected: FileIdentity): Promise<'intact' | 'missing' | 'changed'> {
  try {
    const stats = await lstat(path, { bigint: true });
    return stats.isFile() && sameFile(identityOf(stats), expected) ? 'intact' : 'changed';
  } catch {
    return 'missing';
  }
}
