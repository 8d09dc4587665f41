import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import type { PieceMessage } from '../../daemon/pieces/messages.ts';
import { Transfer } from '../../daemon/pieces/transfer.ts';
import type { LinkRole, TransferEvent } from '../../daemon/pieces/types.ts';
import { seededRandom } from '../swarm-sim/clock.ts';
import { accept, bytesOf, decline, got, have, offer, picture } from './picture.ts';

const test = suite('transfer');

test('the bitfield is the first word on each link, then what I am getting', () => {
  const scene = picture({ have: '#..', peers: ['###'] });
  scene.hears(1, offer(1));
  scene.on({ type: 'link-up', neighbour: 2, role: 'upload', userId: 'u', rttMs: 0 });
  assert.equal(scene.told.slice(0, 2), ['→2 bitfield', '→2 getting 1']);
});

for (const [where, rttMs, peers, batchMs] of [
  ['next door', 0, ['....#', '....#'], 30],
  ['in a crowd next door', 0, Array.from({ length: 9 }, () => '....#'), 60],
  ['far away', 100, ['....#', '....#'], 4],
  ['among seeders', 0, ['#####', '#####'], 4],
] as const) {
  test(`news wait for more of them: ${where}, ${batchMs} ms`, () => {
    const scene = picture({ have: '.....', peers, rttMs });
    const news = () => scene.told.filter((line) => line.includes('have'));
    scene.nowMs += 1000;
    scene.on({ type: 'verified', piece: 0 });
    assert.is(news().length, peers.length, 'the first at once');
    scene.nowMs++;
    scene.on({ type: 'verified', piece: 1 });
    assert.equal(news(), []);
    scene.nowMs += batchMs - 2;
    scene.on({ type: 'tick' });
    assert.equal(news(), []);
    scene.nowMs++;
    scene.on({ type: 'tick' });
    assert.is(news().length, peers.length);
  });
}

test('whoever breaks the protocol is banned', () => {
  const cases: [string, PieceMessage, LinkRole][] = [
    ['no such piece', have(3), 'upload'],
    ['a negative one', have(-1), 'upload'],
    ['half a piece', { type: 'want', pieces: [0.5] }, 'upload'],
    ['a short bitfield', { type: 'bitfield', bytes: new Uint8Array(0) }, 'upload'],
    ['a spare bit', { type: 'bitfield', bytes: Uint8Array.of(1) }, 'upload'],
    ['an offer against the stream', offer(1), 'upload'],
    ['a got against the stream', got(1), 'download'],
    ['a decline of nothing', decline(9), 'upload'],
    ['blocks beyond the piece', accept(0, { runs: [{ first: 3, count: 2 }] }), 'upload'],
    ['no blocks', accept(0, { runs: [{ first: 3, count: 0 }] }), 'upload'],
    [
      'blocks out of order',
      accept(0, {
        runs: [
          { first: 2, count: 1 },
          { first: 1, count: 1 },
        ],
      }),
      'upload',
    ],
  ];
  for (const [what, message, role] of cases) {
    const scene = picture({ have: '#..', peers: ['.#.'] });
    assert.ok(scene.hears(1, message, role).includes('ban 1: protocol'), what);
  }
  const scene = picture({ have: '#..', peers: ['.#.'] });
  scene.on({ type: 'link-up', neighbour: 2, role: 'upload', userId: 'u', rttMs: 0 });
  assert.equal(scene.hears(2, have(1)), [], 'not linked in that direction: passed over');
  assert.equal(scene.hears(2, have(1), 'upload'), ['ban 2: protocol'], 'news before the bitfield');
});

test('an impossible block is the end of its sender', () => {
  const scene = picture({ have: '#..', peers: ['.#.'] });
  const block = { piece: 1, offset: 1, size: BLOCK_SIZE, kept: true };
  assert.ok(scene.on({ type: 'block', neighbour: 1, ...block }).includes('ban 1: protocol'));
});

test('words of those who left are passed over', () => {
  const scene = picture({ have: '#..', peers: ['.#.'] });
  scene.on({ type: 'link-down', neighbour: 1, role: 'download' });
  scene.on({ type: 'link-down', neighbour: 1, role: 'upload' });
  assert.equal(scene.hears(1, offer(1)), []);
  assert.equal(scene.on({ type: 'upload-sent', neighbour: 1, piece: 0 }), []);
  assert.equal(scene.on({ type: 'link-down', neighbour: 1, role: 'upload' }), []);
});

test('an empty file is complete and asks for nothing', () => {
  const transfer = new Transfer({ sizeBytes: 0, pieceSizeBytes: 65536, have: null, random: seededRandom(1) });
  assert.ok(transfer.complete);
  const lines = transfer.step({ type: 'link-up', neighbour: 1, role: 'upload', userId: 'u', rttMs: 0 }, 0);
  assert.is(lines.length, 1);
});

test('it wakes soon while something moves, and seldom otherwise', () => {
  const scene = picture({ have: '...', peers: ['###'] });
  scene.waits(1000);
  assert.ok(scene.transfer.wakeAtMs() - scene.nowMs > 300);
  scene.hears(1, offer(0));
  assert.ok(scene.transfer.wakeAtMs() - scene.nowMs <= 50);
});

const PIECES = 5;
const peer = fc.nat(2);
const piece = fc.integer({ min: -1, max: PIECES });
const runs = fc.array(fc.record({ first: fc.integer({ min: -1, max: 4 }), count: fc.integer({ min: 0, max: 5 }) }), {
  maxLength: 2,
});
const message: fc.Arbitrary<PieceMessage> = fc.oneof(
  fc.record({ type: fc.constantFrom('have', 'getting', 'want'), pieces: fc.array(piece, { maxLength: 3 }) }),
  fc.record({ type: fc.constantFrom('decline', 'got', 'cancel', 'withdraw'), piece }),
  fc.record({ type: fc.constant('offer' as const), piece, endgame: fc.boolean() }),
  fc.record({ type: fc.constant('accept' as const), offered: piece, piece, runs, reverse: fc.boolean() }),
  fc.record({ type: fc.constant('bitfield' as const), bytes: fc.uint8Array({ maxLength: 2 }) }),
  fc.constant({ type: 'alive' as const }),
);
const role = fc.constantFrom<LinkRole>('upload', 'download');
const event: fc.Arbitrary<TransferEvent> = fc.oneof(
  fc.record({
    type: fc.constant('link-up' as const),
    neighbour: peer,
    role,
    userId: fc.constantFrom('a', 'b'),
    rttMs: fc.nat(100),
  }),
  fc.record({ type: fc.constant('link-down' as const), neighbour: peer, role }),
  { weight: 8, arbitrary: fc.record({ type: fc.constant('message' as const), neighbour: peer, role, message }) },
  {
    weight: 3,
    arbitrary: fc
      .record({ neighbour: peer, piece, block: fc.nat(4), kept: fc.boolean() })
      .map(({ block, ...rest }) => ({ type: 'block' as const, ...rest, offset: block * BLOCK_SIZE, size: BLOCK_SIZE })),
  },
  fc.record({ type: fc.constantFrom('verified', 'rejected', 'write-failed'), piece: fc.nat(PIECES - 1) }),
  fc.record({ type: fc.constantFrom('upload-sent', 'upload-failed'), neighbour: peer, piece: fc.nat(PIECES - 1) }),
  fc.record({ type: fc.constantFrom('upload-blocked', 'upload-writable', 'alive', 'held'), neighbour: peer }),
  fc.constantFrom<TransferEvent>({ type: 'tick' }, { type: 'pause' }, { type: 'resume' }),
);

test('no order of events, however hostile, makes it throw or act against itself', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`fast-check seed ${seed}`);
  const story = fc.array(fc.tuple(event, fc.nat(700)), { maxLength: 120 });
  fc.assert(
    fc.property(story, fc.nat(), fc.boolean(), (steps, randomSeed, isHalf) => {
      const sizes = { sizeBytes: (PIECES - 0.5) * 4 * BLOCK_SIZE, pieceSizeBytes: 4 * BLOCK_SIZE };
      const have = isHalf ? bytesOf('##...') : null;
      const transfer = new Transfer({ ...sizes, have, random: seededRandom(randomSeed) });
      const verifying = new Set<number>();
      const linked = new Set<string>();
      let nowMs = 0;
      for (const [next, laterMs] of steps) {
        nowMs += laterMs;
        // The shell answers only what it was asked.
        if (
          'piece' in next &&
          next.type !== 'block' &&
          !next.type.startsWith('upload') &&
          !verifying.delete(next.piece)
        )
          continue;
        if (next.type === 'link-up') linked.add(`${next.neighbour} ${next.role}`);
        const actions = transfer.step(next, nowMs);
        for (const action of actions) {
          if (action.type === 'verify') {
            assert.not(verifying.has(action.piece), 'verified twice at once');
            verifying.add(action.piece);
          }
          if (action.type === 'send') assert.ok(linked.has(`${action.neighbour} ${action.role}`), 'said to nobody');
          if (action.type === 'upload') assert.ok(linked.has(`${action.neighbour} upload`), 'sent to nobody');
          if (action.type === 'ban')
            for (const one of ['upload', 'download']) linked.delete(`${action.neighbour} ${one}`);
        }
        if (next.type === 'link-down') linked.delete(`${next.neighbour} ${next.role}`);
        assert.ok(transfer.wakeAtMs() <= nowMs + 500);
      }
    }),
    { seed, numRuns: 500 },
  );
});

test.run();
