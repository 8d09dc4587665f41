// What a shared file is: size, whole SHA-1, and the SHA-1 and SHA-256 of every piece. Its SHA-256 names the content everywhere.
//
//   0      4     8        16            24       44            48
//   ┌──────┬─────┬────────┬─────────────┬────────┬─────────────┬──────────────────────────────┐
//   │"MTMF"│ v1  │size u64│piece size   │SHA-1   │piece count  │ count × (SHA-1 20, SHA-256 32)│
//   │      │ u32 │        │u64          │20      │u32          │                              │
//   └──────┴─────┴────────┴─────────────┴────────┴─────────────┴──────────────────────────────┘
import { createHash } from 'node:crypto';
import { MtError } from './errors.ts';
import { PIECE_COUNT_MAX, PIECE_SIZE_MAX, PIECE_SIZE_MIN } from './limits.ts';

const MAGIC = Buffer.from('MTMF');
const VERSION = 1;
const HEADER_SIZE = 48;
const SHA1_SIZE = 20;
const ROW_SIZE = 20 + 32;

export interface Manifest {
  /** Bytes of the file. */
  readonly size: number;
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
  const bytes = Buffer.alloc(HEADER_SIZE + manifest.rows.length);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(VERSION, 4);
  bytes.writeBigUInt64BE(BigInt(manifest.size), 8);
  bytes.writeBigUInt64BE(BigInt(manifest.pieceSize), 16);
  bytes.set(manifest.sha1, 24);
  bytes.writeUInt32BE(manifest.pieceCount, 44);
  bytes.set(manifest.rows, HEADER_SIZE);
  return bytes;
}

/**
 * Reads a manifest; `sha1` and `rows` alias the input.
 * @throws MtError PROTOCOL when it is not one, or when its numbers do not fit each other.
 */
export function decodeManifest(input: Uint8Array): Manifest {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const fail = (what: string): never => {
    throw new MtError('PROTOCOL', `manifest: ${what}`);
  };
  if (bytes.length < HEADER_SIZE || !bytes.subarray(0, 4).equals(MAGIC)) fail('it does not begin as one');
  const version = bytes.readUInt32BE(4);
  if (version !== VERSION) fail(`expected version ${VERSION}, got ${version}`);
  const size = Number(bytes.readBigUInt64BE(8));
  const pieceSize = Number(bytes.readBigUInt64BE(16));
  const pieceCount = bytes.readUInt32BE(44);
  if (!Number.isSafeInteger(size)) fail('the size is beyond 2^53');
  if (!(pieceSize >= PIECE_SIZE_MIN && pieceSize <= PIECE_SIZE_MAX && Number.isInteger(Math.log2(pieceSize)))) {
    fail(`piece size ${pieceSize} is not a power of two in range`);
  }
  if (pieceCount > PIECE_COUNT_MAX) fail(`at most ${PIECE_COUNT_MAX} pieces, got ${pieceCount}`);
  if (pieceCount !== Math.ceil(size / pieceSize)) fail('the number of pieces does not fit the size');
  if (bytes.length !== HEADER_SIZE + pieceCount * ROW_SIZE) fail('its length does not fit the number of pieces');
  return { size, pieceSize, pieceCount, sha1: bytes.subarray(24, 44), rows: bytes.subarray(HEADER_SIZE) };
}

/** SHA-256 of the encoded manifest: names the content. */
export function manifestHash(encoded: Uint8Array): Uint8Array {
  return createHash('sha256').update(encoded).digest();
}
