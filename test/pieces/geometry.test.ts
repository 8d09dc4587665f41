import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, PIECE_SIZE_MIN } from '../../codec/limits.ts';
import {
  blockAround,
  blockAt,
  blockCount,
  blockLength,
  FILE_SIZE_MAX,
  type Geometry,
  makeGeometry,
  PIECE_COUNT_WANTED_MAX,
  PIECE_SIZE_SWARM_MAX,
  type PieceIndex,
  pieceIndex,
  pieceLength,
  pieceOffset,
  pieceSizeFor,
} from '../../daemon/pieces/geometry.ts';

const test = suite('geometry');
const GiB = 2 ** 30;

const someSizes = [0, 1, 20 * GiB, FILE_SIZE_MAX, PIECE_COUNT_WANTED_MAX * PIECE_SIZE_SWARM_MAX].concat(
  [PIECE_SIZE_MIN, 2 ** 20, 512 * 2 ** 17].flatMap((p) => [p - 1, p, p + 1, 7 * p, 7 * p - 1, 7 * p + 1]),
);

/** Pieces tile the file, blocks tile each piece; looks at the ends and a middle piece only, so it works for 8,000 pieces too. */
function checkTiling(geometry: Geometry): void {
  const { sizeBytes, pieceSizeBytes, pieceCount } = geometry;
  assert.is(pieceIndex(geometry, pieceCount), null);
  assert.is(pieceIndex(geometry, -1), null);
  assert.is(pieceIndex(geometry, 0.5), null);
  if (pieceCount === 0) return assert.is(sizeBytes, 0);
  for (const value of [0, Math.floor(pieceCount / 2), pieceCount - 1]) {
    const piece = pieceIndex(geometry, value) as PieceIndex;
    const end = pieceOffset(geometry, piece) + pieceLength(geometry, piece);
    assert.is(end, Math.min(sizeBytes, (value + 1) * pieceSizeBytes));
    assert.ok(pieceLength(geometry, piece) > 0);
    const blocks = blockCount(geometry, piece);
    const last = blocks - 1;
    assert.is(last * BLOCK_SIZE + blockLength(geometry, piece, last), pieceLength(geometry, piece));
    assert.is(blockAt(geometry, piece, last * BLOCK_SIZE, blockLength(geometry, piece, last)), last);
    assert.is(blockAt(geometry, piece, blocks * BLOCK_SIZE, 1), null);
    assert.is(blockAt(geometry, piece, 1, 1), null);
    assert.is(blockAround(geometry, piece, last * BLOCK_SIZE, 1), last);
    assert.is(blockAround(geometry, piece, pieceLength(geometry, piece) - 1, 2), null);
    assert.is(blockAround(geometry, piece, BLOCK_SIZE - 1, 2), null);
    assert.is(blockAt(geometry, piece, 0, blockLength(geometry, piece, 0) + 1), null);
  }
}

function checkSize(sizeBytes: number): void {
  const pieceSizeBytes = pieceSizeFor(sizeBytes);
  const geometry = makeGeometry(sizeBytes, pieceSizeBytes);
  assert.ok(geometry.pieceCount <= PIECE_COUNT_WANTED_MAX);
  assert.ok(pieceSizeBytes >= PIECE_SIZE_MIN);
  if (pieceSizeBytes > PIECE_SIZE_SWARM_MAX) assert.ok(sizeBytes / (pieceSizeBytes / 2) > PIECE_COUNT_WANTED_MAX);
  checkTiling(geometry);
}

test('pieces and blocks tile the file at the sizes where it could go wrong', () => {
  for (const size of someSizes) checkSize(size);
});

test('pieces and blocks tile a file of any size', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 43 }), fc.double({ min: 0.5, max: 1, noNaN: true }), (bits, part) =>
      checkSize(Math.floor(2 ** bits * part)),
    ),
  );
});

test('piece sizes of some files', () => {
  assert.is(makeGeometry(0, pieceSizeFor(0)).pieceCount, 0);
  assert.is(pieceSizeFor(1), 64 * 1024);
  assert.is(pieceSizeFor(64 * 2 ** 20), 256 * 1024);
  assert.is(pieceSizeFor(GiB), 2 ** 20);
  assert.is(pieceSizeFor(7 * GiB), 2 ** 20);
  assert.is(pieceSizeFor(20 * GiB), 4 * 2 ** 20);
});

test('impossible sizes are refused', () => {
  for (const size of [-1, 0.5, Number.NaN, FILE_SIZE_MAX + 1]) assert.throws(() => pieceSizeFor(size), /file size/);
  for (const size of [0, 1, 65535, 3 * 65536, Number.NaN]) assert.throws(() => makeGeometry(1, size), /piece size/);
  assert.throws(() => makeGeometry(GiB, PIECE_SIZE_MIN), /16384 pieces/);
});

test.run();
