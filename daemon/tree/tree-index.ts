// What this daemon remembers of a directory that it shares: the tree document as it is served, and of each file its name on this
// disk and what it was when it was hashed. Kept with the share (store/share-store.ts), so it is our own word and only its form matters.
//
//   ┌─────────────┬────────┬──────────────────────────────────────────────────────────────────────────────────────┐
//   │document u32 │document│files × (inode i64, mtime ns i64, path bytes u16, path on this disk; 0 bytes: as listed)│
//   └─────────────┴────────┴──────────────────────────────────────────────────────────────────────────────────────┘
import assert from 'node:assert';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeTree } from '../../codec/tree.ts';
import { compareFile, type FileIdentity, identityOf, sameFile } from '../disk/file-identity.ts';

/** Inode, mtime, and the bytes of a path of its own. */
const ROW_SIZE = 18;

/** Names looked at together: enough to keep the disk busy, not enough to keep others from it. */
const LOOKS_AT_ONCE = 64;

/** A file of a shared directory. */
export interface IndexedFile extends FileIdentity {
  /** From the directory, as it is named on this disk: perhaps not in NFC. */
  readonly path: string;
  /** Where its bytes begin in the content. */
  readonly position: number;
}

export interface TreeIndex {
  readonly document: Uint8Array;
  /** In the order of the document, which is the order of their bytes. */
  readonly files: readonly IndexedFile[];
  /** Bytes of document and files. */
  readonly sizeBytes: number;
}

export function encodeTreeIndex(document: Uint8Array, found: readonly (FileIdentity & { path: string })[]): Uint8Array {
  const files = decodeTree(document).entries.filter(({ kind }) => kind !== 'directory');
  assert.strictEqual(files.length, found.length);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(document.length);
  const rows = found.map(({ path, inode, mtimeNs }, i) => {
    const other = Buffer.from(path === files[i]!.path ? '' : path);
    const row = Buffer.alloc(ROW_SIZE);
    row.writeBigInt64BE(BigInt.asIntN(64, inode));
    row.writeBigInt64BE(mtimeNs, 8);
    row.writeUInt16BE(other.length, 16);
    return Buffer.concat([row, other]);
  });
  return Buffer.concat([head, document, ...rows]);
}

const decoded = new WeakMap<Uint8Array, TreeIndex>();

/** Reads what `encodeTreeIndex` wrote; the same bytes are read once. */
export function readTreeIndex(bytes: Uint8Array): TreeIndex {
  const index = decoded.get(bytes) ?? decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  decoded.set(bytes, index);
  return index;
}

function decode(bytes: Buffer): TreeIndex {
  const documentEnd = 4 + bytes.readUInt32BE(0);
  const document = bytes.subarray(4, documentEnd);
  const files: IndexedFile[] = [];
  let at = documentEnd;
  let position = document.length;
  for (const { path, kind, size } of decodeTree(document).entries) {
    if (kind === 'directory') continue;
    const [inode, mtimeNs] = [bytes.readBigInt64BE(at), bytes.readBigInt64BE(at + 8)];
    const end = at + ROW_SIZE + bytes.readUInt16BE(at + 16);
    const other = bytes.toString('utf8', at + ROW_SIZE, end);
    files.push({ path: other === '' ? path : other, inode, mtimeNs, sizeBytes: size, position });
    at = end;
    position += size;
  }
  assert.strictEqual(at, bytes.length);
  return { document, files, sizeBytes: position };
}

/** The same index with what one of its files is now. A copy: whoever has read the old one goes on with that. */
export function withIdentity(bytes: Uint8Array, number: number, { inode, mtimeNs }: FileIdentity): Uint8Array {
  const next = Buffer.from(bytes);
  let at = 4 + next.readUInt32BE(0);
  for (let i = 0; i < number; i++) at += ROW_SIZE + next.readUInt16BE(at + 16);
  next.writeBigInt64BE(BigInt.asIntN(64, inode), at);
  next.writeBigInt64BE(mtimeNs, at + 8);
  return next;
}

/** Of files in the order of their bytes: the number of the last one that begins at or before `position`. */
export function fileAt(files: readonly { readonly position: number }[], position: number): number {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (files[middle]!.position <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** Looks at what is behind a share, file or directory, by names and times. */
export function compareShare(
  share: FileIdentity & { readonly path: string; readonly tree?: Uint8Array | null },
): Promise<'intact' | 'missing' | 'changed'> {
  return share.tree ? compareTree(share.path, readTreeIndex(share.tree)) : compareFile(share.path, share);
}

/**
 * Looks at every file of a shared directory. What was added beside them since is no concern of the share.
 * @param root absolute path of the directory.
 */
async function compareTree(root: string, index: TreeIndex): Promise<'intact' | 'missing' | 'changed'> {
  const stats = await lstat(root).catch(() => null);
  if (!stats) return 'missing';
  if (!stats.isDirectory()) return 'changed';
  return (await findChangedFile(root, index)) === null ? 'intact' : 'changed';
}

/** The first file found that is not what it was. */
export async function findChangedFile(root: string, { files }: TreeIndex): Promise<IndexedFile | null> {
  for (let from = 0; from < files.length; from += LOOKS_AT_ONCE) {
    const some = files.slice(from, from + LOOKS_AT_ONCE);
    const intact = await Promise.all(some.map((file) => isIntact(root, file)));
    const changed = intact.indexOf(false);
    if (changed >= 0) return some[changed]!;
  }
  return null;
}

async function isIntact(root: string, file: IndexedFile): Promise<boolean> {
  try {
    const stats = await lstat(join(root, file.path), { bigint: true });
    return stats.isFile() && sameFile(identityOf(stats), file);
  } catch {
    return false;
  }
}
