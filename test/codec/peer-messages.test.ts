// Frames between peers: what goes in comes out, and nothing hostile comes through.
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { isMtError } from '../../codec/errors.ts';
import { readFrameHeader } from '../../codec/frames.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import {
  BLOCK_FRAME_HEADER_SIZE,
  BLOCK_HEADER_SIZE,
  decodePeerFrame,
  decodePeerHello,
  encodePeerFrame,
  encodePeerHello,
  isPeerFrameType,
  peerPayloadMax,
  readBlockHeader,
  wantHelloSchema,
  writeBlockFrameHeader,
} from '../../codec/peer-messages.ts';

const test = suite('peer messages');
const TYPES = [
  'refused',
  'ticket',
  'ping',
  'pong',
  'bitfield',
  'have',
  'getting',
  'want',
  'offer',
  'accept',
  'decline',
  'got',
  'cancel',
  'withdraw',
  'alive',
] as const;

function payloadOf(frame: Buffer): Buffer {
  const header = readFrameHeader(frame);
  assert.type(header, 'object');
  if (typeof header === 'number') throw new Error('unreachable');
  assert.is(frame.length, header.headerSize + header.payloadSize);
  return frame.subarray(header.headerSize);
}

test('what is encoded is decoded', () => {
  const piece = fc.nat(8_191);
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 200 }), piece, fc.boolean(), (pieces, one, flag) => {
      assert.equal(decodePeerFrame('have', payloadOf(encodePeerFrame('have', pieces))), pieces);
      assert.equal(decodePeerFrame('offer', payloadOf(encodePeerFrame('offer', [one, flag]))), [one, flag]);
      const accept: [number, number, [number, number][], boolean] = [one, one, [[0, 4]], flag];
      assert.equal(decodePeerFrame('accept', payloadOf(encodePeerFrame('accept', accept))), accept);
    }),
  );
});

test('a hello carries the ticket', () => {
  const hello = {
    versions: { min: 1, max: 1 },
    group_id: 'team',
    file_name: 'a file',
    manifest_hash: new Uint8Array(32).fill(7),
    ticket: new Uint8Array([1, 2, 3]),
  };
  const decoded = decodePeerHello(payloadOf(encodePeerHello(hello)), wantHelloSchema);
  assert.equal([...decoded.ticket], [1, 2, 3]);
  assert.equal([...decoded.manifest_hash], [...hello.manifest_hash]);
  assert.is(decoded.file_name, 'a file');
});

test('each side may send its own frames only, and before the hello nothing else', () => {
  assert.is(peerPayloadMax('block', 'acceptor', true), BLOCK_HEADER_SIZE + BLOCK_SIZE);
  assert.is(peerPayloadMax('block', 'dialler', true), undefined);
  assert.is(peerPayloadMax('accept', 'acceptor', true), undefined);
  assert.is(peerPayloadMax('have', 'dialler', false), undefined);
  assert.is(peerPayloadMax('refused', 'dialler', false), undefined);
  assert.is(peerPayloadMax('constructor', 'dialler', true), undefined);
  assert.ok(peerPayloadMax('hello', 'dialler', false));
});

test('every frame fits its own limit at its largest', () => {
  const all = Array.from({ length: 8_192 }, (_, i) => i);
  assert.ok(payloadOf(encodePeerFrame('have', all)).length <= peerPayloadMax('have', 'dialler', true)!);
  const bitfield = payloadOf(encodePeerFrame('bitfield', [new Uint8Array(1_024)]));
  assert.ok(bitfield.length <= peerPayloadMax('bitfield', 'acceptor', true)!);
  for (const type of ['ping', 'decline', 'got', 'cancel', 'withdraw'] as const) {
    const value: [number] = [type === 'ping' ? Number.MAX_SAFE_INTEGER : 8_191];
    const from = type === 'withdraw' ? 'acceptor' : 'dialler';
    assert.ok(payloadOf(encodePeerFrame(type, value)).length <= peerPayloadMax(type, from, true)!, type);
  }
});

test('hostile payloads give declared errors only', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.anything({ maxDepth: 2 }).map((value) => {
      try {
        return Uint8Array.from(encodeCbor(value));
      } catch {
        return new Uint8Array();
      }
    }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...TYPES), bytes, (type, payload) => {
      try {
        decodePeerFrame(type, payload);
      } catch (error) {
        if (!isMtError(error, 'PROTOCOL')) throw error;
      }
    }),
    { numRuns: 3_000 },
  );
});

test('only our types are types', () => {
  for (const type of TYPES) assert.ok(isPeerFrameType(type));
  for (const type of ['toString', '__proto__', 'block', 'hello', '']) assert.not.ok(isPeerFrameType(type));
});

test('a block header says where its bytes belong', () => {
  const buffer = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE);
  writeBlockFrameHeader(buffer, { piece: 8_000, offset: 3 * BLOCK_SIZE, size: 1_000 });
  const header = readFrameHeader(buffer);
  if (typeof header === 'number') throw new Error('a whole header was there');
  assert.is(header.type, 'block');
  assert.equal(readBlockHeader(buffer, header.headerSize, header.payloadSize), {
    piece: 8_000,
    offset: 3 * BLOCK_SIZE,
    size: 1_000,
  });
});

test('a block frame lies in one block and is not empty', () => {
  const read = (offset: number, size: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(offset, 4);
    return () => readBlockHeader(bytes, 0, BLOCK_HEADER_SIZE + size);
  };
  const isProtocol = (error: unknown) => isMtError(error, 'PROTOCOL');
  assert.throws(read(0, 0), isProtocol);
  assert.throws(read(0, -5), isProtocol);
  assert.throws(read(0, BLOCK_SIZE + 1), isProtocol);
  assert.throws(read(BLOCK_SIZE - 1, 2), isProtocol);
  assert.is(read(BLOCK_SIZE - 1, 1)().size, 1);
});

test.run();
