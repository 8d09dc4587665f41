// What a shared directory is: a document that lists everything in it, and behind it the bytes of its files in the same order. Both
// together are one content with one manifest, so that pieces, resuming, hashes and swarms know nothing of directories.
//
//   0      4     8            12
//   ┌──────┬─────┬────────────┬─────────────────────────────────────────────────────────────┐
//   │"MTTR"│ v1  │ entries u32│ entries × (kind u8, path bytes u16, path, size u64 of files)│
//   └──────┴─────┴────────────┴─────────────────────────────────────────────────────────────┘
//
// Canonical: paths ascend strictly by their bytes, every directory is listed before what is in it, nothing follows: one tree has one
// document. Every part of a path passes the rules of a file's name (codec/ids.ts), so that no path leaves the directory.
import { MtError } from './errors.ts';
import { isValidFileName, printable } from './ids.ts';
import { TREE_BYTES_MAX, TREE_BYTES_MIN, TREE_DEPTH_MAX, TREE_ENTRIES_MAX, TREE_PATH_BYTES_MAX } from './limits.ts';

const MAGIC = Buffer.from('MTTR');
const VERSION = 1;
const KINDS = ['directory', 'file', 'executable'] as const;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface TreeEntry {
  /** From the shared directory, parts joined by `/`, in NFC. */
  readonly path: string;
  /** `executable`: a file that its owner may run. Other permissions, owners and times are not shared. */
  readonly kind: (typeof KINDS)[number];
  /** Bytes of the file; 0 for a directory. */
  readonly size: number;
}

export interface Tree {
  readonly entries: readonly TreeEntry[];
  /** Bytes of all files. */
  readonly filesSize: number;
}

/**
 * The document of these entries, in any order; every directory between the root and an entry must be among them.
 * @throws MtError TOO_LARGE beyond the limits, INVALID_NAME for a name that cannot be shared or that two entries have.
 */
export function encodeTree(entries: readonly TreeEntry[]): Uint8Array {
  if (entries.length > TREE_ENTRIES_MAX) {
    throw tooLarge(`it has more than ${TREE_ENTRIES_MAX} files and directories`);
  }
  const rows = entries.map((entry) => ({ ...entry, bytes: Buffer.from(entry.path) }));
  rows.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const parts: Buffer[] = [Buffer.alloc(TREE_BYTES_MIN)];
  MAGIC.copy(parts[0]!);
  parts[0]!.writeUInt32BE(VERSION, 4);
  parts[0]!.writeUInt32BE(rows.length, 8);
  for (const { kind, bytes, size } of rows) {
    if (bytes.length > TREE_PATH_BYTES_MAX)
      throw tooLarge(`"${printable(bytes.toString())}" is longer than ${TREE_PATH_BYTES_MAX} bytes`);
    const head = Buffer.alloc(3);
    head.writeUInt8(KINDS.indexOf(kind));
    head.writeUInt16BE(bytes.length, 1);
    parts.push(head, bytes);
    if (kind === 'directory') continue;
    const tail = Buffer.alloc(8);
    tail.writeBigUInt64BE(BigInt(size));
    parts.push(tail);
  }
  const document = Buffer.concat(parts);
  if (document.length > TREE_BYTES_MAX) throw tooLarge(`the list of its names is larger than ${TREE_BYTES_MAX} bytes`);
  try {
    decodeTree(document);
  } catch (error) {
    throw new MtError('INVALID_NAME', `The directory cannot be shared: ${(error as MtError).message}`);
  }
  return document;
}

/**
 * Reads a document from a stranger: what passes can be made below any directory, and nothing of it lands elsewhere.
 * @throws MtError PROTOCOL when it is not one, or not in its canonical form.
 */
export function decodeTree(input: Uint8Array): Tree {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length < TREE_BYTES_MIN || bytes.length > TREE_BYTES_MAX) fail('its size is out of range');
  if (!bytes.subarray(0, 4).equals(MAGIC)) fail('it does not begin as one');
  const version = bytes.readUInt32BE(4);
  if (version !== VERSION) fail(`expected version ${VERSION}, got ${version}`);
  const count = bytes.readUInt32BE(8);
  if (count > TREE_ENTRIES_MAX) fail(`at most ${TREE_ENTRIES_MAX} entries, got ${count}`);
  const entries: TreeEntry[] = [];
  const directories = new Set(['']);
  let at = TREE_BYTES_MIN;
  let before: Buffer | null = null;
  let filesSize = 0;
  const take = (size: number): Buffer => {
    if (at + size > bytes.length) fail('it ends early');
    at += size;
    return bytes.subarray(at - size, at);
  };
  for (let i = 0; i < count; i++) {
    const kind = KINDS[take(1)[0]!] ?? fail('an entry is of no known kind');
    const raw = take(take(2).readUInt16BE());
    if (before !== null && Buffer.compare(before, raw) >= 0) fail('its paths do not ascend');
    before = raw;
    const path = readPath(raw);
    const slash = path.lastIndexOf('/');
    if (!directories.has(slash < 0 ? '' : path.slice(0, slash))) fail('an entry is in no listed directory');
    if (kind === 'directory') directories.add(path);
    const size = kind === 'directory' ? 0 : Number(take(8).readBigUInt64BE());
    filesSize += size;
    if (!Number.isSafeInteger(filesSize)) fail('its files are larger than 2^53 bytes');
    entries.push({ path, kind, size });
  }
  if (at !== bytes.length) fail('something follows its last entry');
  return { entries, filesSize };
}

function readPath(raw: Buffer): string {
  if (raw.length > TREE_PATH_BYTES_MAX) fail(`a path is longer than ${TREE_PATH_BYTES_MAX} bytes`);
  let path: string;
  try {
    path = utf8.decode(raw);
  } catch {
    return fail('a path is not UTF-8');
  }
  const names = path.split('/');
  if (names.length > TREE_DEPTH_MAX) fail(`a path is deeper than ${TREE_DEPTH_MAX}`);
  if (!names.every(isValidFileName)) fail('a path has a part that is no file name');
  return path;
}

function fail(what: string): never {
  throw new MtError('PROTOCOL', `tree document: ${what}`);
}

function tooLarge(what: string): MtError {
  return new MtError(
    'TOO_LARGE',
    `The directory cannot be shared: ${what}`,
    'Share parts of it, or one archive of it.',
  );
}
