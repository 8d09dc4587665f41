/**
 * How a file is cut: pieces (the unit of hashing, offering and having) and blocks (the unit of one frame on the wire).
 * Owns every size computation of the transfer; nothing else divides byte counts.
 *
 *     file   |------ piece 0 ------|------ piece 1 ------|-- piece 2 --|      the last piece may be short
 *     piece  |-block 0-|-block 1-|…                                           the last block may be short
 */
import { BLOCK_SIZE, PIECE_COUNT_MAX, PIECE_SIZE_MIN } from '../../codec/limits.ts';

/** Above this, a swarm's last pieces take visibly long; only files with too many pieces go beyond it. */
export const PIECE_SIZE_SWARM_MAX = 1024 * 1024;
/**
 * What a swarm's file is cut into. Each piece costs every peer a few messages, writes and jobs, whatever its size; and the time over
 * the fluid bound is a few pieces long, so that fewer ones show: with a window of 3 (upload-window.ts), 256 keep every bound of test/swarm-sim.
 */
const PIECES_WANTED = 256;
/** What new files keep to, so that a manifest stays near 400 KB; any up to PIECE_COUNT_MAX are understood. */
export const PIECE_COUNT_WANTED_MAX = 8000;
/** 8 TiB: its pieces of 2 GiB still have offsets of 32 bits. */
export const FILE_SIZE_MAX = 2 ** 43;

/** A piece that exists in some geometry. Obtained from `pieceIndex` only. */
export type PieceIndex = number & { readonly pieceIndex: unique symbol };

export interface Geometry {
  readonly sizeBytes: number;
  readonly pieceSizeBytes: number;
  /** 0 for an empty file. */
  readonly pieceCount: number;
}

/**
 * The piece size of a new file: file ÷ 256 rounded (in the logarithm) to a power of two, from 64 KiB to 1 MiB; larger only
 * to keep the number of pieces ≤ PIECE_COUNT_WANTED_MAX.
 */
export function pieceSizeFor(sizeBytes: number): number {
  checkFileSize(sizeBytes);
  const wanted = 2 ** Math.round(Math.log2(Math.max(1, sizeBytes / PIECES_WANTED)));
  let size = Math.min(PIECE_SIZE_SWARM_MAX, Math.max(PIECE_SIZE_MIN, wanted));
  while (Math.ceil(sizeBytes / size) > PIECE_COUNT_WANTED_MAX) size *= 2;
  return size;
}

/** Throws RangeError on sizes that no manifest may have; a manifest from the wire is checked before it comes here. */
export function makeGeometry(sizeBytes: number, pieceSizeBytes: number): Geometry {
  checkFileSize(sizeBytes);
  const isPowerOfTwo = Number.isSafeInteger(pieceSizeBytes) && Number.isInteger(Math.log2(pieceSizeBytes));
  if (!isPowerOfTwo || pieceSizeBytes < PIECE_SIZE_MIN)
    throw new RangeError(`piece size ${pieceSizeBytes}: expected a power of two of at least ${PIECE_SIZE_MIN}`);
  const pieceCount = Math.ceil(sizeBytes / pieceSizeBytes);
  if (pieceCount > PIECE_COUNT_MAX) throw new RangeError(`${pieceCount} pieces: expected at most ${PIECE_COUNT_MAX}`);
  return { sizeBytes, pieceSizeBytes, pieceCount };
}

/** The one way from a number of unknown origin to a PieceIndex; null if there is no such piece. */
export function pieceIndex(geometry: Geometry, value: number): PieceIndex | null {
  return Number.isInteger(value) && value >= 0 && value < geometry.pieceCount ? (value as PieceIndex) : null;
}

/** Where the piece starts in the file, in bytes. */
export function pieceOffset(geometry: Geometry, piece: PieceIndex): number {
  return piece * geometry.pieceSizeBytes;
}

/** Bytes of the piece: the piece size, less for a short last one; never 0. */
export function pieceLength(geometry: Geometry, piece: PieceIndex): number {
  return Math.min(geometry.pieceSizeBytes, geometry.sizeBytes - pieceOffset(geometry, piece));
}

export function blockCount(geometry: Geometry, piece: PieceIndex): number {
  return Math.ceil(pieceLength(geometry, piece) / BLOCK_SIZE);
}

/** Bytes of block `block` (0 ≤ block < blockCount) of the piece. */
export function blockLength(geometry: Geometry, piece: PieceIndex, block: number): number {
  return Math.min(BLOCK_SIZE, pieceLength(geometry, piece) - block * BLOCK_SIZE);
}

/** The block that covers exactly `size` bytes at `offset` of the piece; null if that is not one whole block. */
export function blockAt(geometry: Geometry, piece: PieceIndex, offset: number, size: number): number | null {
  const block = blockAround(geometry, piece, offset, size);
  return block !== null && offset % BLOCK_SIZE === 0 && blockLength(geometry, piece, block) === size ? block : null;
}

/** The block in which `size` bytes at `offset` of the piece lie; null if they lie in no single block. */
export function blockAround(geometry: Geometry, piece: PieceIndex, offset: number, size: number): number | null {
  const block = Math.floor(offset / BLOCK_SIZE);
  if (!(offset >= 0 && size > 0 && block < blockCount(geometry, piece))) return null;
  return (offset % BLOCK_SIZE) + size <= blockLength(geometry, piece, block) ? block : null;
}

function checkFileSize(sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > FILE_SIZE_MAX)
    throw new RangeError(`file size ${sizeBytes}: expected 0 to ${FILE_SIZE_MAX} bytes`);
}
