// The reader against memory that is given away under it, and against rubbish.
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { encodeFrame } from '../../codec/frames.ts';
import { BLOCK_FRAME_HEADER_SIZE, peerPayloadMax, writeBlockFrameHeader } from '../../codec/peer-messages.ts';
import { FrameReader } from '../../daemon/peer/frame-reader.ts';

const test = suite('frame reader: memory');

function blockFrame(content: Buffer): Buffer {
  const frame = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE + content.length);
  writeBlockFrameHeader(frame, { piece: 1, offset: 0, size: content.length });
  content.copy(frame, BLOCK_FRAME_HEADER_SIZE);
  return frame;
}

test('memory is released only when the socket can no longer write to it', () => {
  const slot = Buffer.alloc(1_000);
  const reader = new FrameReader({
    payloadMax: () => 1_000_000,
    onFrame: () => {},
    onBlock: () => slot,
    onBlockEnd: (_header, kept) => assert.not.ok(kept),
  });
  const bytes = blockFrame(Buffer.alloc(1_000, 1));
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

test('a link that ends gives its memory back and writes to none', () => {
  const slot = Buffer.alloc(1_000);
  let isReleased = false;
  const reader = new FrameReader({
    payloadMax: () => 1_000_000,
    onFrame: () => {},
    onBlock: () => slot,
    onBlockEnd: () => assert.unreachable(),
  });
  reader.feed(blockFrame(Buffer.alloc(1_000)).subarray(0, 300));
  reader.buffer();
  reader.drop(() => {
    isReleased = true;
  });
  reader.end();
  assert.ok(isReleased);
  assert.is.not(reader.buffer().buffer, slot.buffer);
  assert.is(reader.taken(10), 0);
});

test('rubbish and oversized frames are refused before anything is held', () => {
  const make = (payloadMax: (type: string) => number | undefined): FrameReader =>
    new FrameReader({ payloadMax, onFrame: () => {}, onBlock: () => null, onBlockEnd: () => {} });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 12, maxLength: 200 }), (bytes) => {
      const reader = make((type) => peerPayloadMax(type, 'acceptor', true));
      try {
        reader.feed(Buffer.from(bytes));
      } catch (error) {
        if (!isMtError(error, 'PROTOCOL', 'TOO_LARGE')) throw error;
      }
    }),
  );
  assert.throws(
    () => make(() => 10).feed(encodeFrame('have', Buffer.alloc(11))),
    (error: unknown) => isMtError(error, 'TOO_LARGE'),
  );
});

test.run();
