// The reader as a socket drives it: the next buffer is asked for right after each read, long before a place may be found.
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeFrame } from '../../codec/frames.ts';
import { BLOCK_FRAME_HEADER_SIZE, writeBlockFrameHeader } from '../../codec/peer-messages.ts';
import { FrameReader } from '../../daemon/peer/frame-reader.ts';

type Wish = 'keep' | 'nowhere' | 'wait';
interface Item {
  type: 'block' | 'control';
  size: number;
  wish: Wish;
}

function bytesOf(index: number, size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => (index * 31 + i * 7) & 0xff));
}

function encode(items: Item[]): Buffer {
  return Buffer.concat(
    items.map(({ type, size }, index) => {
      if (type === 'control') return encodeFrame('news', bytesOf(index, size));
      const header = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE);
      writeBlockFrameHeader(header, { piece: index, offset: 0, size });
      return Buffer.concat([header, bytesOf(index, size)]);
    }),
  );
}

/** Feeds everything in reads of these sizes; a place that is awaited is found `delay` reads later. Returns what came out. */
function drive(items: Item[], reads: number[], delay: number): Map<number, string> {
  const out = new Map<number, string>();
  const bodies = new Map<number, Buffer>();
  let control = 0;
  let waitingSince: number | null = null;
  let turn = 0;
  const place = (piece: number, size: number): Buffer => {
    const body = Buffer.alloc(size);
    bodies.set(piece, body);
    return body;
  };
  const reader = new FrameReader({
    payloadMax: () => 4_096,
    onFrame: (_type, payload) => {
      const index = items.findIndex((item, i) => i >= control && item.type === 'control');
      control = index + 1;
      out.set(index, payload.toString('hex'));
    },
    onBlock: ({ piece, size }) => {
      const { wish } = items[piece]!;
      if (wish === 'keep') return place(piece, size);
      if (wish === 'nowhere') return null;
      waitingSince = turn;
      return 'wait';
    },
    onBlockEnd: ({ piece }, kept) => out.set(piece, kept ? bodies.get(piece)!.toString('hex') : 'nowhere'),
  });
  const wire = encode(items);
  let given = reader.buffer();
  const settle = () => {
    while (reader.isWaiting && waitingSince !== null && turn - waitingSince >= delay) {
      const { piece, size } = reader.block!;
      waitingSince = turn;
      reader.place(place(piece, size));
    }
  };
  for (let at = 0; at < wire.length; turn++) {
    const count = Math.min(reads[turn % reads.length]!, given.length, wire.length - at);
    wire.copy(given, 0, at, at + count);
    at += count;
    reader.taken(count);
    given = reader.buffer(); // as a socket does, before anything else happens
    settle();
  }
  for (let end = turn + 100_000; reader.isWaiting && turn < end; turn++) settle();
  return out;
}

const item = fc.record<Item>({
  type: fc.constantFrom('block', 'block', 'control'),
  size: fc.integer({ min: 1, max: 3_000 }),
  wish: fc.constantFrom('keep', 'nowhere', 'wait'),
});

const test = suite('frame reader');

test('every byte finds its place, however it is split and whenever there is room (property)', () => {
  fc.assert(
    fc.property(
      fc.array(item, { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 10 }),
      fc.nat({ max: 4 }),
      (items, reads, delay) => {
        const out = drive(items, reads, delay);
        for (const [index, { type, size, wish }] of items.entries()) {
          const expected = type === 'block' && wish === 'nowhere' ? 'nowhere' : bytesOf(index, size).toString('hex');
          assert.is(out.get(index), expected, `item ${index}`);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a place found after the socket was given its next buffer gets the bytes of that buffer', () => {
  const items: Item[] = [{ type: 'block', size: 2_000, wish: 'wait' }];
  assert.is(drive(items, [700], 1).get(0), bytesOf(0, 2_000).toString('hex'));
});

test.run();
