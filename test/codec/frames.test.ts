import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { encodeFrame, encodeFrameHeader, FrameParser, readFrameHeader } from '../../codec/frames.ts';
import { FRAME_TYPE_BYTES_MAX } from '../../codec/limits.ts';

const MAX = 1 << 20;

function collect(max: (type: string) => number | undefined = () => MAX) {
  const frames: [type: string, payload: string][] = [];
  const parser = new FrameParser(max, (type, payload) => frames.push([type, payload.toString('hex')]));
  return { frames, parser };
}

function code(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (isMtError(error)) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

const types = fc.stringMatching(new RegExp(`^[!-~]{1,${FRAME_TYPE_BYTES_MAX}}$`));
const frameList = fc.array(fc.tuple(types, fc.uint8Array({ maxLength: 300 })), { minLength: 1, maxLength: 8 });

const test = suite('frames');

test('a known frame has these very bytes', () => {
  const bytes = '4d54' + '01' + '04' + '70696e67' + '00000003' + '010203';
  assert.is(encodeFrame('ping', Buffer.from([1, 2, 3])).toString('hex'), bytes);
  assert.is(encodeFrameHeader('ping', 3).toString('hex'), bytes.slice(0, -6));
  assert.equal(readFrameHeader(Buffer.from(bytes, 'hex')), { type: 'ping', payloadSize: 3, headerSize: 12 });
});

test('sizes are unsigned', () => {
  const header = encodeFrameHeader('x', 0xffff_fffe);
  assert.equal(readFrameHeader(header), { type: 'x', payloadSize: 0xffff_fffe, headerSize: 9 });
});

test('three frames come out of every split of their bytes into three', () => {
  const all = Buffer.concat([
    encodeFrame('a', Buffer.alloc(0)),
    encodeFrame('second', Buffer.from('hello')),
    encodeFrame('c', Buffer.alloc(70, 7)),
  ]);
  const whole = collect();
  whole.parser.push(all);
  assert.is(whole.frames.length, 3);
  for (let i = 0; i <= all.length; i++) {
    for (let j = i; j <= all.length; j++) {
      const { frames, parser } = collect();
      for (const part of [all.subarray(0, i), all.subarray(i, j), all.subarray(j)]) parser.push(part);
      assert.equal(frames, whole.frames, `split at ${i} and ${j}`);
      assert.is(parser.heldSize, 0);
    }
  }
});

test('any frames come out of any split (property)', () => {
  fc.assert(
    fc.property(
      frameList,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
      (list, sizes) => {
        const all = Buffer.concat(list.map(([type, payload]) => encodeFrame(type, payload)));
        const { frames, parser } = collect();
        for (let at = 0, i = 0; at < all.length; i++) {
          const size = sizes[i % sizes.length]!;
          parser.push(Buffer.from(all.subarray(at, at + size))); // a copy, overwritten below as a reused buffer would be
          at += size;
        }
        assert.equal(
          frames,
          list.map(([type, payload]) => [type, Buffer.from(payload).toString('hex')]),
        );
      },
    ),
    { verbose: true },
  );
});

test('chunks may be overwritten by their owner after push()', () => {
  const { frames, parser } = collect();
  const all = encodeFrame('t', Buffer.from('payload'));
  const shared = Buffer.alloc(3);
  for (let at = 0; at < all.length; at += 3) {
    const size = all.copy(shared, 0, at, at + 3);
    parser.push(shared.subarray(0, size));
    shared.fill(0xee);
  }
  assert.equal(frames, [['t', Buffer.from('payload').toString('hex')]]);
});

test('a wrong marker or version is refused at its first byte', () => {
  for (const bytes of ['ff', '4d00', '4d5402', '47455420']) {
    const { parser } = collect();
    assert.is(
      code(() => parser.push(Buffer.from(bytes, 'hex'))),
      'PROTOCOL',
      bytes,
    );
  }
});

test('wrong type sizes and characters are refused', () => {
  for (const bytes of [
    '4d540100',
    `4d5401${(FRAME_TYPE_BYTES_MAX + 1).toString(16)}`,
    '4d5401010a00000000',
    '4d54010100ffffffff',
  ]) {
    const { parser } = collect();
    assert.is(
      code(() => parser.push(Buffer.from(bytes, 'hex'))),
      'PROTOCOL',
      bytes,
    );
  }
});

test('an unknown type is refused before its payload is there', () => {
  const { parser, frames } = collect((type) => (type === 'known' ? 10 : undefined));
  assert.is(
    code(() => parser.push(encodeFrameHeader('unknown', 5))),
    'PROTOCOL',
  );
  assert.equal(frames, []);
});

test('an oversized frame is refused by its header, and nothing after it is read', () => {
  const { parser, frames } = collect(() => 10);
  parser.push(encodeFrame('fits', Buffer.alloc(10)));
  assert.is(
    code(() => parser.push(encodeFrameHeader('big', 11))),
    'TOO_LARGE',
  );
  assert.is(parser.heldSize, 0);
  parser.push(encodeFrame('fits', Buffer.alloc(1)));
  assert.is(frames.length, 1);
});

test('random bytes give only declared errors (property)', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), fc.boolean(), (chunks, marked) => {
      const { parser } = collect(() => 100);
      try {
        if (marked) parser.push(Buffer.from('4d5401', 'hex'));
        for (const chunk of chunks) parser.push(Buffer.from(chunk));
      } catch (error) {
        if (!isMtError(error, 'PROTOCOL', 'TOO_LARGE')) throw error;
      }
    }),
    { numRuns: 2_000 },
  );
});

test('memory is bounded by what arrived, and single bytes take linear time', () => {
  const size = 2 * MAX;
  const { parser, frames } = collect(() => size);
  const before = process.memoryUsage().arrayBuffers;
  parser.push(encodeFrameHeader('big', size));
  assert.ok(
    process.memoryUsage().arrayBuffers - before < 65_536,
    'nothing is reserved for a size that was only announced',
  );
  const one = Buffer.alloc(1, 9);
  for (let i = 0; i < size - 1; i++) parser.push(one);
  const held = process.memoryUsage().arrayBuffers - before;
  assert.ok(held < 6 * size, `${held} bytes for ${size}`);
  assert.is(parser.heldSize, size - 1 + 4 + 3 + 4);
  parser.push(one);
  assert.is(frames.length, 1);
  assert.is(frames[0]![1].length, 2 * size);
});

test.run();
