import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import {
  MANIFEST_BYTES_MAX,
  PIECE_COUNT_MAX,
  PIECE_SIZE_MAX,
  PIECE_SIZE_MIN,
  TREE_BYTES_MAX,
} from '../../codec/limits.ts';
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
  manifestHash,
  pieceSha1,
  pieceSha256,
} from '../../codec/manifest.ts';

const ROW = 52;

function make(size: number, pieceSize = PIECE_SIZE_MIN): Manifest {
  const pieceCount = Math.ceil(size / pieceSize);
  return { size, pieceSize, pieceCount, sha1: randomBytes(20), rows: randomBytes(pieceCount * ROW) };
}

function refused(bytes: Uint8Array, says: RegExp | string = ''): void {
  try {
    decodeManifest(bytes);
  } catch (error) {
    assert.ok(isMtError(error, 'PROTOCOL'), String(error));
    assert.match((error as Error).message, says);
    return;
  }
  throw new Error(`should be refused: ${says}`);
}

/** A good manifest of three pieces, changed. */
function changed(change: (bytes: Buffer) => Buffer | undefined): Buffer {
  const bytes = Buffer.from(encodeManifest(make(PIECE_SIZE_MIN * 2 + 1)));
  return change(bytes) ?? bytes;
}

const test = suite('manifest');

test('comes back as it was, at every edge of the piece size', () => {
  const P = PIECE_SIZE_MIN;
  for (const size of [0, 1, P - 1, P, P + 1, 7 * P, 7 * P + 1, P * PIECE_COUNT_MAX]) {
    const manifest = make(size);
    const back = decodeManifest(encodeManifest(manifest));
    assert.equal(
      [back.size, back.pieceSize, back.pieceCount],
      [manifest.size, manifest.pieceSize, manifest.pieceCount],
    );
    assert.is(Buffer.compare(back.sha1, manifest.sha1), 0);
    assert.is(Buffer.compare(back.rows, manifest.rows), 0);
  }
});

test('any size and piece size come back (property)', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: PIECE_COUNT_MAX }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 16, max: 36 }),
      (count, part, log) => {
        const pieceSize = 2 ** log;
        const size = count === 0 ? 0 : (count - 1) * pieceSize + Math.max(1, Math.floor(part * pieceSize));
        const manifest = {
          size,
          pieceSize,
          pieceCount: count,
          sha1: new Uint8Array(20),
          rows: new Uint8Array(count * ROW),
        };
        const back = decodeManifest(encodeManifest(manifest));
        assert.equal([back.size, back.pieceSize, back.pieceCount], [size, pieceSize, count]);
      },
    ),
  );
});

test('has the layout that its header comment draws', () => {
  const manifest = {
    size: 1,
    pieceSize: 65_536,
    pieceCount: 1,
    sha1: Buffer.alloc(20, 0xaa),
    rows: Buffer.alloc(ROW, 0xbb),
  };
  const expected = `4d544d46 00000001 0000000000000001 0000000000010000 ${'aa'.repeat(20)} 00000001 ${'bb'.repeat(ROW)}`;
  assert.is(Buffer.from(encodeManifest(manifest)).toString('hex'), expected.replaceAll(' ', ''));
});

test('finds the hashes of each piece, in a view too', () => {
  const sha1s = [0, 1, 2].map((i) => createHash('sha1').update(`piece ${i}`).digest());
  const sha256s = [0, 1, 2].map((i) => createHash('sha256').update(`piece ${i}`).digest());
  const rows = Buffer.concat([0, 1, 2].flatMap((i) => [sha1s[i]!, sha256s[i]!]));
  const encoded = encodeManifest({
    size: 3 * 65_536,
    pieceSize: 65_536,
    pieceCount: 3,
    sha1: new Uint8Array(20),
    rows,
  });
  const view = Buffer.concat([Buffer.alloc(3), encoded]).subarray(3);
  const manifest = decodeManifest(view);
  for (const i of [0, 1, 2]) {
    assert.is(Buffer.compare(pieceSha1(manifest, i), sha1s[i]!), 0);
    assert.is(Buffer.compare(pieceSha256(manifest, i), sha256s[i]!), 0);
  }
});

test('its hash changes with every byte', () => {
  const encoded = Buffer.from(encodeManifest(make(PIECE_SIZE_MIN * 2)));
  const original = Buffer.from(manifestHash(encoded)).toString('hex');
  for (let at = 0; at < encoded.length; at++) {
    encoded[at]! ^= 1;
    assert.is.not(Buffer.from(manifestHash(encoded)).toString('hex'), original, `byte ${at}`);
    encoded[at]! ^= 1;
  }
  assert.is(Buffer.from(manifestHash(encoded)).toString('hex'), original);
});

const put64 = (at: number, value: bigint) => (bytes: Buffer) => {
  bytes.writeBigUInt64BE(value, at);
  return bytes;
};
const put32 = (at: number, value: number) => (bytes: Buffer) => {
  bytes.writeUInt32BE(value, at);
  return bytes;
};
const DAMAGE: [what: string, change: (bytes: Buffer) => Buffer, says: string][] = [
  ['nothing at all', () => Buffer.alloc(0), 'begin'],
  ['a cut header', (bytes) => bytes.subarray(0, 47), 'begin'],
  ['another magic', put32(0, 0x4d544d45), 'begin'],
  ['another version', put32(4, 3), 'version'],
  ['a file that says to be a directory', put32(4, 2), 'length'],
  ['a size of more pieces', put64(8, BigInt(PIECE_SIZE_MIN) * 3n + 1n), 'number of pieces'],
  ['a size of fewer pieces', put64(8, BigInt(PIECE_SIZE_MIN) * 2n), 'number of pieces'],
  ['size 0 with pieces', put64(8, 0n), 'number of pieces'],
  ['a size of 2^53', put64(8, 2n ** 53n), '2^53'],
  ['a size of 2^64 - 1', put64(8, 2n ** 64n - 1n), '2^53'],
  ['piece size 0', put64(16, 0n), 'piece size'],
  ['piece size 1', put64(16, 1n), 'piece size'],
  ['a piece size below the least', put64(16, BigInt(PIECE_SIZE_MIN / 2)), 'piece size'],
  ['a piece size that is no power of two', put64(16, BigInt(PIECE_SIZE_MIN + 1)), 'piece size'],
  ['a piece size above the largest', put64(16, BigInt(PIECE_SIZE_MAX) * 2n), 'piece size'],
  ['piece size 2^63', put64(16, 2n ** 63n), 'piece size'],
  ['piece size 2^64 - 1', put64(16, 2n ** 64n - 1n), 'piece size'],
  ['fewer pieces than the size needs', put32(44, 2), 'number of pieces'],
  ['10^9 pieces', put32(44, 1e9), 'at most'],
  ['2^32 - 1 pieces', put32(44, 0xffff_ffff), 'at most'],
  ['a missing byte', (bytes) => bytes.subarray(0, -1), 'length'],
  ['a byte too many', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]), 'length'],
  ['a missing row', (bytes) => bytes.subarray(0, -ROW), 'length'],
];
for (const [what, change, says] of DAMAGE) {
  test(`refused: ${what}`, () => refused(changed(change), says));
}

test('the largest manifest fits its limit', () => {
  const encoded = encodeManifest(make(PIECE_SIZE_MIN * PIECE_COUNT_MAX));
  assert.ok(encoded.length <= MANIFEST_BYTES_MAX);
  const more = changed(() => Buffer.from(encodeManifest(make(PIECE_SIZE_MIN * (PIECE_COUNT_MAX + 1)))));
  refused(more, 'at most');
});

test('random and damaged bytes give PROTOCOL or a sound manifest (property)', () => {
  const good = Buffer.from(encodeManifest(make(PIECE_SIZE_MIN * 3 - 5)));
  const damaged = fc
    .array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 })
    .map((changes) => {
      const bytes = Buffer.from(good);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (bytes) => {
      try {
        const { size, pieceSize, pieceCount, rows } = decodeManifest(bytes);
        assert.ok(pieceCount * pieceSize >= size && (pieceCount - 1) * pieceSize < Math.max(size, 1));
        assert.is(rows.length, pieceCount * ROW);
      } catch (error) {
        if (!isMtError(error, 'PROTOCOL')) throw error;
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a directory says how large its tree document is; a file never does', () => {
  const tree = { ...make(PIECE_SIZE_MIN * 2 + 1), treeSize: 12 };
  const bytes = Buffer.from(encodeManifest(tree));
  assert.equal(decodeManifest(bytes), { ...tree, rows: decodeManifest(bytes).rows, sha1: decodeManifest(bytes).sha1 });
  assert.is(decodeManifest(bytes).treeSize, 12);
  assert.is('treeSize' in decodeManifest(encodeManifest(make(5))), false);
  for (const treeSize of [0, 11, TREE_BYTES_MAX + 1]) {
    bytes.writeUInt32BE(treeSize, 48);
    refused(bytes, 'tree document');
  }
  refused(encodeManifest({ ...make(5), treeSize: 12 }), 'larger than the content');
  refused(bytes.subarray(0, 48), 'within its header');
});

test.run();
