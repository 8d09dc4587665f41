import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { isMtError } from '../../codec/errors.ts';
import { readFrameHeader } from '../../codec/frames.ts';
import { BLOCK_SIZE, PEER_PAYLOAD_BYTES_MAX, PIECE_COUNT_MAX } from '../../codec/limits.ts';
import {
  BLOCK_FRAME_HEADER_SIZE,
  BLOCK_HEADER_SIZE,
  decodePeerFrame,
  decodePeerHello,
  encodePeerFrame,
  encodePeerHello,
  isPeerFrameType,
  type PeerFrameType,
  peerPayloadMax,
  readBlockHeader,
  wantHelloSchema,
  writeBlockFrameHeader,
} from '../../codec/peer-messages.ts';

const ALL = Array.from({ length: PIECE_COUNT_MAX }, (_, i) => i);
/** One good payload of each type; the long ones at their longest. */
const GOOD: Record<PeerFrameType, unknown> = {
  refused: { code: 'FORBIDDEN', message: 'no' },
  ticket: [new Uint8Array(100)],
  ping: [7],
  pong: [7],
  bitfield: [new Uint8Array(PIECE_COUNT_MAX / 8).fill(255)],
  have: ALL,
  getting: [0],
  want: [PIECE_COUNT_MAX - 1],
  offer: [3, true],
  accept: [
    3,
    4,
    [
      [0, 1],
      [5, 2],
    ],
    false,
  ],
  decline: [3],
  got: [3],
  cancel: [3],
  withdraw: [3],
  alive: [],
};
const BAD_PIECES = [[-1], [PIECE_COUNT_MAX], [1.5], ['1'], [null], [], {}, null, 1, [[1]]];
const BAD: [PeerFrameType, unknown][] = [
  ...(['have', 'getting', 'want', 'decline', 'got', 'cancel', 'withdraw'] as const).flatMap((type) =>
    BAD_PIECES.map((payload): [PeerFrameType, unknown] => [type, payload]),
  ),
  ['have', [...ALL, 0]],
  ['have', Array(10_000).fill(0)],
  ['bitfield', [new Uint8Array(PIECE_COUNT_MAX / 8 + 1)]],
  ['bitfield', ['text']],
  ['ticket', [new Uint8Array(5_000)]],
  ['ticket', []],
  ['offer', [1]],
  ['offer', [1, 1]],
  ['accept', [1, 1, [[0, 0]], false]],
  ['accept', [1, 1, [[-1, 1]], false]],
  ['accept', [1, 1, [[0]], false]],
  ['accept', [1, PIECE_COUNT_MAX, [], false]],
  ['accept', [1, 1, [], 'no']],
  ['ping', [-1]],
  ['ping', [2 ** 53]],
  ['refused', { code: 'NOTHING', message: '' }],
];

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isMtError(error)) return error.code;
    throw error;
  }
  return 'taken';
}

/** As text, byte strings in hex. */
function plain(value: unknown): string {
  if (value instanceof Uint8Array) return `h'${Buffer.from(value).toString('hex')}'`;
  return Array.isArray(value) ? `[${value.map(plain)}]` : JSON.stringify(value);
}

const test = suite('peer messages');

for (const [type, payload] of Object.entries(GOOD) as [PeerFrameType, never][]) {
  test(`${type} comes back as it was, within its limit`, () => {
    const frame = encodePeerFrame(type, payload);
    const header = readFrameHeader(frame);
    assert.ok(typeof header === 'object' && header.type === type);
    const limits = (['dialler', 'acceptor'] as const).map((from) => peerPayloadMax(type, from, true));
    assert.ok(
      limits.some((max) => max !== undefined && header.payloadSize <= max),
      `${header.payloadSize} of ${limits}`,
    );
    assert.is(plain(decodePeerFrame(type, frame.subarray(header.headerSize))), plain(payload));
  });
}

test('payloads of another shape are PROTOCOL', () => {
  for (const [type, payload] of BAD) {
    assert.is(
      code(() => decodePeerFrame(type, encodeCbor(payload))),
      'PROTOCOL',
      `${type} ${JSON.stringify(payload)?.slice(0, 60)}`,
    );
  }
});

test('content and its offers come from the acceptor only, wishes from the dialler only', () => {
  for (const type of ['offer', 'block', 'withdraw', 'alive', 'refused']) {
    assert.is(peerPayloadMax(type, 'dialler', true), undefined, type);
    assert.ok(peerPayloadMax(type, 'acceptor', true)! > 0, type);
  }
  for (const type of ['accept', 'decline', 'got', 'cancel', 'ticket']) {
    assert.is(peerPayloadMax(type, 'acceptor', true), undefined, type);
    assert.ok(peerPayloadMax(type, 'dialler', true)! > 0, type);
  }
  for (const side of ['dialler', 'acceptor'] as const) {
    for (const type of ['surprise', 'hello', 'constructor', ''])
      assert.is(peerPayloadMax(type, side, true), undefined, type);
    for (const type of Object.keys(GOOD)) {
      const early = peerPayloadMax(type, side, false);
      assert.is(early !== undefined, type === 'refused' && side === 'acceptor', `${type} before the hello`);
      assert.ok((peerPayloadMax(type, side, true) ?? 0) <= PEER_PAYLOAD_BYTES_MAX);
    }
    assert.ok(peerPayloadMax('hello', side, false)! <= 4_096);
  }
  assert.not.ok(isPeerFrameType('toString'));
});

test('a block header is where its drawing says, and its block lies within one block', () => {
  const frame = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE + 5);
  writeBlockFrameHeader(frame, { piece: 7, offset: 3 * BLOCK_SIZE + 1, size: 5 });
  const header = readFrameHeader(frame);
  assert.equal(header, {
    type: 'block',
    payloadSize: BLOCK_HEADER_SIZE + 5,
    headerSize: BLOCK_FRAME_HEADER_SIZE - BLOCK_HEADER_SIZE,
  });
  const at = BLOCK_FRAME_HEADER_SIZE - BLOCK_HEADER_SIZE;
  assert.equal(readBlockHeader(frame, at, BLOCK_HEADER_SIZE + 5), { piece: 7, offset: 3 * BLOCK_SIZE + 1, size: 5 });
  writeBlockFrameHeader(frame, { piece: 0xffff_ffff, offset: 0xffff_0000, size: BLOCK_SIZE }, 0);
  for (const [offset, payloadSize] of [
    [0, BLOCK_HEADER_SIZE], // no content
    [0, 0],
    [0, BLOCK_HEADER_SIZE + BLOCK_SIZE + 1],
    [1, BLOCK_HEADER_SIZE + BLOCK_SIZE], // across two blocks
    [BLOCK_SIZE - 1, BLOCK_HEADER_SIZE + 2],
  ] as const) {
    const bytes = Buffer.alloc(BLOCK_HEADER_SIZE);
    bytes.writeUInt32BE(offset, 4);
    assert.is(
      code(() => readBlockHeader(bytes, 0, payloadSize)),
      'PROTOCOL',
      `${offset} ${payloadSize}`,
    );
  }
});

test('a hello says what is wanted, in safe names only', () => {
  const hello = {
    versions: { min: 1, max: 1 },
    group_id: 'lab',
    file_name: 'é'.normalize('NFC'),
    manifest_hash: new Uint8Array(32),
    ticket: new Uint8Array(10),
  };
  const payload = (change: object) => {
    const frame = encodePeerHello({ ...hello, ...change });
    const header = readFrameHeader(frame) as { headerSize: number };
    return frame.subarray(header.headerSize);
  };
  assert.is(decodePeerHello(payload({}), wantHelloSchema).group_id, 'lab');
  for (const change of [
    { group_id: '../x' },
    { file_name: 'a/b' },
    { file_name: 'é'.normalize('NFD') },
    { manifest_hash: new Uint8Array(31) },
    { ticket: new Uint8Array(2_049) },
    { more: 1 },
  ]) {
    assert.is(
      code(() => decodePeerHello(payload(change), wantHelloSchema)),
      'PROTOCOL',
      JSON.stringify(change),
    );
  }
});

test('random payloads give PROTOCOL or a payload, never another error (property)', () => {
  const types = fc.constantFrom(...(Object.keys(GOOD) as PeerFrameType[]));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.jsonValue({ maxDepth: 3 }).map((value) => encodeCbor(value)),
  );
  fc.assert(
    fc.property(types, bytes, (type, payload) => {
      assert.ok(['PROTOCOL', 'taken'].includes(code(() => decodePeerFrame(type, payload))));
    }),
    { numRuns: 3_000 },
  );
});

test.run();
