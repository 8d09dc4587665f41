// What a shared file is: size, whole SHA-1, and the SHA-1 and SHA-256 of every piece. Its SHA-256 names the content everywhere.
//
//   0      4     8        16            24       44            48
//   ┌──────┬─────┬────────┬─────────────┬────────┬─────────────┬──────────────────────────────┐
//   │"MTMF"│ v1  │size u64│piece size   │SHA-1   │piece count  │ count × (SHA-1 20, SHA-256 32)│
//   │      │ u32 │        │u64          │20      │u32          │                              │
//   └──────┴─────┴────────┴─────────────┴────────┴─────────────┴──────────────────────────────┘
//
// Version 2 is a directory's: u32 tree size between piece count and rows. Its content is the tree document (codec/tree.ts) of that
// size, then the bytes of every file. A single file is always version 1, so that the same file has one manifest for ever.
import { createHash } from 'node:crypto';
import { MtError } from './errors.ts';
import { PIECE_COUNT_MAX, PIECE_SIZE_MAX, PIECE_SIZE_MIN, TREE_BYTES_MAX, TREE_BYTES_MIN } from './limits.ts';

const MAGIC = Buffer.from('MTMF');
const FILE_VERSION = 1;
const TREE_VERSION = 2;
const HEADER_SIZE = 48;
const TREE_HEADER_SIZE = 52;
const SHA1_SIZE = 20;
const ROW_SIZE = 20 + 32;

export interface Manifest {
  /** Bytes of the content. */
  readonly size: number;
  /** Bytes of the tree document that a directory's content begins with; absent: the content is one file. */
  readonly treeSize?: number;
  /** Bytes of every piece but the last: a power of two. */
  readonly pieceSize: number;
  readonly pieceCount: number;
  readonly sha1: Uint8Array;
  /** `pieceCount` rows of SHA-1 and SHA-256, one after the other. */
  readonly rows: Uint8Array;
}

export function pieceSha1(manifest: Manifest, index: number): Uint8Array {
  return manifest.rows.subarray(index * ROW_SIZE, index * ROW_SIZE + SHA1_SIZE);
}

export function pieceSha256(manifest: Manifest, index: number): Uint8Array {
  return manifest.rows.subarray(index * ROW_SIZE + SHA1_SIZE, (index + 1) * ROW_SIZE);
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { treeSize } = manifest;
  const headerSize = treeSize === undefined ? HEADER_SIZE : TREE_HEADER_SIZE;
  const bytes = Buffer.alloc(headerSize + manifest.rows.length);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(treeSize === undefined ? FILE_VERSION : TREE_VERSION, 4);
  bytes.writeBigUInt64BE(BigInt(manifest.size), 8);
  bytes.writeBigUInt64BE(BigInt(manifest.pieceSize), 16);
  bytes.set(manifest.sha1, 24);
  bytes.writeUInt32BE(manifest.pieceCount, 44);
  if (treeSize !== undefined) bytes.writeUInt32BE(treeSize, HEADER_SIZE);
  bytes.set(manifest.rows, headerSize);
  return bytes;
}

/**
 * Reads a manifest; `sha1` and `rows` alias the input.
 * @throws MtError PROTOCOL when it is not one, or when its numbers do not fit each other.
 */
export function decodeManifest(input: Uint8Array): Manifest {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const fail = (what: string, suggestion?: string): never => {
    throw new MtError('PROTOCOL', `manifest: ${what}`, suggestion);
  };
  if (bytes.length < HEADER_SIZE || !bytes.subarray(0, 4).equals(MAGIC)) fail('it does not begin as one');
  const version = bytes.readUInt32BE(4);
  if (version !== FILE_VERSION && version !== TREE_VERSION) {
    fail(`expected version 1 or 2, got ${version}`, 'A newer version of mini-torrent may know it: update this one.');
  }
  const headerSize = version === TREE_VERSION ? TREE_HEADER_SIZE : HEADER_SIZE;
  if (bytes.length < headerSize) fail('it ends within its header');
  const size = Number(bytes.readBigUInt64BE(8));
  const pieceSize = Number(bytes.readBigUInt64BE(16));
  const pieceCount = bytes.readUInt32BE(44);
  if (!Number.isSafeInteger(size)) fail('the size is beyond 2^53');
  if (!(pieceSize >= PIECE_SIZE_MIN && pieceSize <= PIECE_SIZE_MAX && Number.isInteger(Math.log2(pieceSize)))) {
    fail(`piece size ${pieceSize} is not a power of two in range`);
  }
  if (pieceCount > PIECE_COUNT_MAX) fail(`at most ${PIECE_COUNT_MAX} pieces, got ${pieceCount}`);
  if (pieceCount !== Math.ceil(size / pieceSize)) fail('the number of pieces does not fit the size');
  if (bytes.length !== headerSize + pieceCount * ROW_SIZE) fail('its length does not fit the number of pieces');
  const content = { size, pieceSize, pieceCount, sha1: bytes.subarray(24, 44), rows: bytes.subarray(headerSize) };
  if (version === FILE_VERSION) return content;
  const treeSize = bytes.readUInt32BE(HEADER_SIZE);
  if (treeSize < TREE_BYTES_MIN || treeSize > TREE_BYTES_MAX) fail(`a tree document has not ${treeSize} bytes`);
  if (treeSize > size) fail('its tree document is larger than the content');
  return { ...content, treeSize };
}

/** SHA-256 of the encoded manifest: names the content. */
export function manifestHash(encoded: Uint8Array): Uint8Array {
  return createHash('sha256').update(encoded).digest();
}
