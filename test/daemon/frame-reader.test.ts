// The reader of a download link against any split of the bytes, and against memory that is given away under it.
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { encodeFrame } from '../../codec/frames.ts';
import { BLOCK_FRAME_HEADER_SIZE, peerPayloadMax, writeBlockFrameHeader } from '../../codec/peer-messages.ts';
import { FrameReader } from '../../daemon/peer/frame-reader.ts';

const test = suite('frame reader');

type Item = { type: 'block'; piece: number; content: Buffer } | { type: 'have' | 'got'; payload: Buffer };

function encode(items: readonly Item[]): Buffer {
  return Buffer.concat(
    items.map((item) => {
      if (item.type !== 'block') return encodeFrame(item.type === 'got' ? 'withdraw' : 'have', item.payload);
      const frame = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE + item.content.length);
      writeBlockFrameHeader(frame, { piece: item.piece, offset: 0, size: item.content.length });
      item.content.copy(frame, BLOCK_FRAME_HEADER_SIZE);
      return frame;
    }),
  );
}

/** Gives the bytes to the reader as a socket does: into the buffer it names, `sizes` at a time. */
function pour(reader: FrameReader, bytes: Buffer, sizes: readonly number[], unblock: () => void): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const buffer = reader.buffer();
    const count = Math.min(buffer.length, sizes[i % sizes.length]!, bytes.length - at);
    bytes.copy(buffer, 0, at, at + count);
    reader.taken(count);
    at += count;
    if (reader.isWaiting && i % 3 === 0) unblock();
  }
  while (reader.isWaiting) unblock();
}

test('any split gives the same frames, whether content is kept, thrown away or has to wait', () => {
  const item = fc.oneof(
    fc.record({
      type: fc.constant('block' as const),
      piece: fc.nat(100),
      content: fc.uint8Array({ minLength: 1, maxLength: 5_000 }).map((bytes) => Buffer.from(bytes)),
    }),
    fc.record({
      type: fc.constantFrom('have' as const, 'got' as const),
      payload: fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes)),
    }),
  );
  fc.assert(
    fc.property(
      fc.array(item, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 8 }),
      (items, sizes) => {
        const seen: string[] = [];
        let place: Buffer | null = null;
        let waiting: number | null = null;
        const reader = new FrameReader({
          payloadMax: (type) => (type === 'withdraw' ? 10_000 : peerPayloadMax(type, 'acceptor', true)),
          onFrame: (type, payload) => seen.push(`${type} ${payload.toString('hex')}`),
          onBlock: ({ piece, size }) => {
            place = piece % 3 === 0 ? null : Buffer.alloc(size);
            if (piece % 3 !== 2) return place;
            waiting = size;
            return 'wait';
          },
          onBlockEnd: ({ piece, size }, kept) => {
            assert.is(kept, piece % 3 !== 0);
            seen.push(`block ${piece} ${kept ? place!.toString('hex') : size}`);
          },
        });
        pour(reader, encode(items), sizes, () => {
          place = Buffer.alloc(waiting!);
          reader.place(place);
        });
        const expected = items.map((one) => {
          if (one.type !== 'block') return `${one.type === 'got' ? 'withdraw' : 'have'} ${one.payload.toString('hex')}`;
          return `block ${one.piece} ${one.piece % 3 === 0 ? one.content.length : one.content.toString('hex')}`;
        });
        assert.equal(seen, expected);
      },
    ),
    { numRuns: 400 },
  );
});

test('memory is released only when the socket can no longer write to it', () => {
  const slot = Buffer.alloc(1_000);
  const reader = new FrameReader({
    payloadMax: () => 1_000_000,
    onFrame: () => {},
    onBlock: () => slot,
    onBlockEnd: (_header, kept) => assert.not.ok(kept),
  });
  const bytes = encode([{ type: 'block', piece: 1, content: Buffer.alloc(1_000, 1) }]);
  reader.feed(bytes.subarray(0, 300));
  const given = reader.buffer();
  assert.is(given.buffer, slot.buffer);
  let isReleased = false;
  reader.drop(() => {
    isReleased = true;
  });
  assert.not.ok(isReleased);
  given.fill(2, 0, 100);
  reader.taken(100);
  assert.ok(isReleased);
  slot.fill(0);
  for (let left = bytes.length - 400; left > 0; ) {
    const buffer = reader.buffer();
    const count = Math.min(left, buffer.length);
    buffer.fill(3, 0, count);
    reader.taken(count);
    left -= count;
  }
  assert.ok(slot.every((byte) => byte === 0));
});

test('rubbish and oversized frames are refused before anything is held', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 12, maxLength: 200 }), (bytes) => {
      const reader = new FrameReader({
        payloadMax: (type) => peerPayloadMax(type, 'acceptor', true),
        onFrame: () => {},
        onBlock: () => null,
        onBlockEnd: () => {},
      });
      try {
        reader.feed(Buffer.from(bytes));
      } catch (error) {
        if (!isMtError(error, 'PROTOCOL', 'TOO_LARGE')) throw error;
      }
    }),
  );
  const reader = new FrameReader({
    payloadMax: () => 10,
    onFrame: () => {},
    onBlock: () => null,
    onBlockEnd: () => {},
  });
  assert.throws(
    () => reader.feed(encodeFrame('have', Buffer.alloc(11))),
    (error: unknown) => isMtError(error, 'TOO_LARGE'),
  );
});

test.run();
