import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import { alive, bytesOf, endgameOffer, have, offer, picture, type Scene, withdraw } from './picture.ts';

const test = suite('receiver');
const verified = (scene: Scene, piece: number) => scene.on({ type: 'verified', piece });
const rejected = (scene: Scene, piece: number) => scene.on({ type: 'rejected', piece });
const down = (scene: Scene, neighbour: number) => scene.on({ type: 'link-down', neighbour, role: 'download' });

test('a needed piece is accepted, got, verified and announced', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  assert.equal(scene.hears(1, offer(0)), ['→1 accept 0']);
  assert.equal(scene.waits(50), []);
  assert.equal(scene.gets(1, 0, [0, 1, 2]), []);
  assert.equal(scene.gets(1, 0, [3]), ['→1 got 0', 'verify 0'], 'got before the hash');
  assert.equal(verified(scene, 0), []);
  assert.equal([...scene.told].sort(), ['→1 have 0', '→2 have 0']);
});

test('all are told at once what I am getting', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  scene.hears(1, offer(0));
  assert.equal(scene.told, ['→1 getting 0', '→2 getting 0']);
});

test('an offer of what is not needed is answered with another piece, in order if I pass nothing on', () => {
  const scene = picture({ have: '#...', peers: ['####', '##.#'] });
  scene.on({ type: 'link-down', neighbour: 2, role: 'upload' });
  assert.equal(scene.hears(1, offer(0)), ['→1 accept 1 for 0']);
  assert.equal(scene.hears(2, offer(1)), ['→2 accept 3 for 1']);
  assert.equal(scene.hears(2, offer(1)), ['→2 decline 1'], 'piece 2 it has not');
});

test('… and rarest first if I do', () => {
  const scene = picture({ have: '#....', peers: ['####.', '.#...', '.#.+.'] });
  assert.equal(scene.hears(1, offer(0)), ['→1 accept 2 for 0']);
});

test('a piece that I chose while its own offer was under way is accepted once', () => {
  const scene = picture({ have: '#..', peers: ['##.'] });
  assert.equal(scene.hears(1, offer(0)), ['→1 accept 1 for 0']);
  assert.equal(scene.hears(1, offer(1)), []);
});

test('a dead source: its blocks are kept and the rest comes from elsewhere', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  scene.hears(1, offer(0));
  scene.gets(1, 0, [0, 2]);
  assert.equal(down(scene, 1), []);
  scene.waits(50);
  assert.equal(scene.told.includes('→2 want 0') || scene.told.length === 0, true);
  assert.equal(scene.hears(2, offer(1)), ['→2 accept 0 for 1 [1+1 3+1]'], 'what is begun comes first');
  assert.equal(scene.gets(2, 0, [1, 3]), ['→2 got 0', 'verify 0']);
});

test('no byte for 2 s: the pieces are taken back', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  scene.hears(1, offer(0));
  scene.hears(1, offer(1));
  assert.equal(scene.waits(1950), []);
  assert.equal(scene.waits(100), ['→1 cancel 0', '→1 cancel 1']);
  assert.ok(scene.told.includes('→2 want 0 1'), scene.told.join());
});

test('a slow source keeps its pieces: a byte or a word is enough', () => {
  const scene = picture({ have: '..', peers: ['##', '..'] });
  scene.hears(1, offer(0));
  for (let turn = 0; turn < 6; turn++) {
    assert.equal(scene.waits(1500), []);
    if (turn % 2 === 0) scene.hears(1, alive);
    else scene.on({ type: 'alive', neighbour: 1 });
  }
});

test('a source that talks and sends nothing keeps its pieces only if nobody else has them', () => {
  const scene = picture({ have: '..', peers: ['##', '.#'] });
  scene.hears(1, offer(0));
  scene.hears(1, offer(1));
  const lines: string[] = [];
  for (let turn = 0; turn < 12; turn++) {
    lines.push(...scene.waits(1000));
    scene.hears(1, alive);
  }
  assert.equal(lines, ['→1 cancel 1']);
});

test('while we do not read from a source, nothing of its silence or slowness is its fault', () => {
  const scene = picture({ have: '..', peers: ['##', '.#'] });
  scene.hears(1, offer(0));
  scene.hears(1, offer(1));
  for (let turn = 0; turn < 20; turn++) {
    assert.equal(scene.waits(1000), []);
    scene.on({ type: 'held', neighbour: 1 });
  }
});

test('a liar that leaves before its hash is known is banned all the same', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  scene.hears(1, offer(0));
  assert.ok(scene.gets(1, 0).includes('verify 0'));
  down(scene, 1);
  scene.on({ type: 'link-down', neighbour: 1, role: 'upload' });
  assert.equal(rejected(scene, 0), ['ban 1: corrupt']);
});

test('who disappoints again and again is banned', () => {
  const scene = picture({ have: '..', peers: ['##'] });
  const lines: string[] = [];
  const startMs = scene.nowMs;
  while (scene.nowMs < startMs + 60_000 && !lines.includes('ban 1: stalls')) {
    lines.push(...scene.waits(50));
    if (!lines.at(-1)?.startsWith('→1 accept')) lines.push(...scene.hears(1, offer(0)));
  }
  assert.is(lines.filter((line) => line === '→1 accept 0').length, 7);
  const patienceMs = 7 * 2000 + 250 * (2 + 4 + 8 + 16 + 32 + 64);
  assert.ok(Math.abs(scene.nowMs - startMs - patienceMs) < 1000, 'later offers wait longer and longer');
  assert.ok(lines.includes('ban 1: stalls'));
});

test('the endgame: a second source in reverse, cancelled when the piece is whole', () => {
  const scene = picture({ have: '#.', peers: ['##', '##'] });
  scene.hears(1, offer(1));
  scene.gets(1, 1, [0]);
  assert.equal(scene.hears(2, endgameOffer(1)), ['→2 accept 1 [1+3] reverse']);
  scene.gets(2, 1, [3, 2]);
  assert.equal(scene.gets(1, 1, [1]), ['→1 got 1', '→2 cancel 1', 'verify 1']);
  scene.gets(2, 1, [1]);
  assert.is(scene.transfer.stats().bytesUseless, BLOCK_SIZE);
});

test('an endgame offer is refused while other pieces are needed, unless the piece stands still', () => {
  const scene = picture({ have: '..', peers: ['##', '#.'] });
  scene.hears(1, offer(0));
  assert.equal(scene.hears(2, endgameOffer(0)), ['→2 decline 0']);
  scene.nowMs += 260;
  assert.equal(scene.hears(2, endgameOffer(0)), ['→2 accept 0 reverse']);
});

test('one source, one culprit', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  scene.hears(1, offer(0));
  scene.gets(1, 0);
  assert.equal(rejected(scene, 0), ['ban 1: corrupt']);
  assert.equal(scene.hears(1, offer(1)), [], 'it is heard no more');
  assert.equal(scene.hears(2, offer(0)), ['→2 accept 0']);
  const again = scene.on({ type: 'link-up', neighbour: 1, role: 'download', userId: 'u', rttMs: 0 });
  assert.equal(again, ['ban 1: corrupt']);
});

test('two sources, two suspects: the piece then comes from one alone', () => {
  const scene = picture({ have: '#.', peers: ['##', '##'] });
  const half = () => {
    scene.hears(1, offer(1));
    scene.gets(1, 1, [0, 1]);
    down(scene, 1);
    scene.on({ type: 'link-up', neighbour: 1, role: 'download', userId: 'u', rttMs: 0 });
    scene.hears(1, { type: 'bitfield', bytes: bytesOf('##') });
  };
  half();
  scene.hears(2, offer(1));
  scene.gets(2, 1, [2, 3]);
  assert.equal(rejected(scene, 1), []);
  half();
  assert.equal(scene.hears(2, offer(1)), ['discard 1', '→2 accept 1'], 'from the start');
  assert.equal(scene.hears(1, endgameOffer(1)), ['→1 decline 1'], 'no help');
  scene.gets(2, 1);
  assert.equal(rejected(scene, 1), ['ban 2: corrupt']);
});

test('a full disk is nobody’s fault', () => {
  const scene = picture({ have: '..', peers: ['##'] });
  scene.hears(1, offer(0));
  scene.gets(1, 0);
  assert.equal(scene.on({ type: 'write-failed', piece: 0 }), []);
  assert.equal(scene.hears(1, offer(0)), ['→1 accept 0']);
});

test('only so many begun pieces wait in memory', () => {
  const scene = picture({ have: '...', peers: ['###'], orphansMax: 1 });
  for (const piece of [0, 1]) {
    scene.hears(1, offer(piece));
    scene.gets(1, piece, [0]);
  }
  assert.equal(down(scene, 1), ['discard 0', 'source-needed']);
});

test('blocks are wanted from those who were asked, once, and in their place', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  const wants = (peer: number, offset: number, size: number) =>
    scene.transfer.wantsBlock(peer, { piece: 0, offset, size });
  assert.not(wants(1, 0, BLOCK_SIZE), 'not accepted');
  scene.hears(1, offer(0));
  assert.ok(wants(1, 0, BLOCK_SIZE));
  assert.ok(wants(1, BLOCK_SIZE + 5, 100), 'a part');
  assert.not(wants(2, 0, BLOCK_SIZE), 'not asked');
  assert.not(wants(1, 4 * BLOCK_SIZE, 1), 'beyond the piece');
  assert.not(wants(1, 5, BLOCK_SIZE), 'across two blocks');
  scene.gets(1, 0, [0]);
  assert.not(wants(1, 0, BLOCK_SIZE), 'here already');
});

test('a block that was not kept does not count', () => {
  const scene = picture({ have: '..', peers: ['##'] });
  scene.hears(1, offer(0));
  const block = { piece: 0, offset: 0, size: BLOCK_SIZE };
  scene.on({ type: 'block', neighbour: 1, ...block, kept: false });
  assert.ok(scene.transfer.wantsBlock(1, block));
  assert.is(scene.transfer.stats().bytesUseless, BLOCK_SIZE);
});

test('a withdrawn piece is fetched elsewhere', () => {
  const scene = picture({ have: '..', peers: ['##', '##'] });
  scene.hears(1, offer(0));
  assert.equal(scene.hears(1, withdraw(0)), []);
  assert.equal(scene.hears(2, offer(0)), ['→2 accept 0']);
});

test('a source owes so much and no more: further offers wait for their answer', () => {
  const pieces = 60;
  const scene = picture({ have: '.'.repeat(pieces), peers: ['#'.repeat(pieces)] });
  let accepted = 0;
  for (let piece = 0; piece < pieces; piece++) accepted += scene.hears(1, offer(piece)).length;
  assert.is(accepted, 32);
  assert.equal(scene.gets(1, 0), ['→1 got 0', 'verify 0', '→1 accept 32']);
});

test('paused: nothing is accepted, what was begun is dropped; resumed as if new', () => {
  const scene = picture({ have: '..', peers: ['##'] });
  scene.hears(1, offer(0));
  scene.gets(1, 0, [0]);
  assert.equal(scene.on({ type: 'pause' }), ['→1 cancel 0', 'discard 0']);
  assert.equal(scene.hears(1, offer(1)), ['→1 decline 1']);
  scene.on({ type: 'resume' });
  assert.equal(scene.hears(1, offer(0)), ['→1 accept 0']);
});

test('says once that it needs a source, and once that it is complete', () => {
  const scene = picture({ have: '.#', peers: ['.#'] });
  assert.is(scene.transfer.stats().sources, 0);
  assert.equal(scene.hears(1, have(0)), []);
  assert.is(scene.transfer.stats().sources, 1);
  assert.equal(down(scene, 1), ['source-needed']);
  assert.equal(scene.waits(100), []);
  scene.on({ type: 'link-up', neighbour: 1, role: 'download', userId: 'u', rttMs: 0 });
  scene.hears(1, offer(0));
  scene.gets(1, 0);
  assert.equal(verified(scene, 0).at(-1), 'complete');
  assert.equal(scene.waits(100), []);
  assert.is(scene.transfer.stats().bytesVerified, 8 * BLOCK_SIZE);
});

test.run();
