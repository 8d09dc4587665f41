import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UserFiles } from '../../daemon/pieces/user-shares.ts';
import { accept, bytesOf, cancel, decline, got, have, picture, type Scene, want } from './picture.ts';

const test = suite('uploader');
const sent = (scene: Scene, neighbour: number, piece: number) => scene.on({ type: 'upload-sent', neighbour, piece });

/** Runs a seeder of two receivers; answers the pieces in order of offering. */
function offered(lines: readonly string[]): number[] {
  return lines.filter((line) => line.includes('offer')).map((line) => Number(line.split(' ').at(-1)));
}

test('no piece twice while unsent ones remain', () => {
  const pieces = 20;
  const scene = picture({ have: '#'.repeat(pieces), peers: ['.'.repeat(pieces), '.'.repeat(pieces)] });
  const lines = [...scene.opening];
  for (let turn = 0; turn < 17; turn++) {
    const [, peer, piece] = /→(\d) offer (\d+)/.exec(lines.filter((line) => line.includes('offer'))[turn]!)!;
    scene.hears(Number(peer), accept(Number(piece)));
    sent(scene, Number(peer), Number(piece));
    lines.push(...scene.hears(Number(peer), got(Number(piece))));
  }
  const all = offered(lines);
  assert.is(all.length, pieces);
  assert.is(new Set(all).size, pieces);
});

test('the window is freed by got, not by the last written byte', () => {
  const scene = picture({ have: '#'.repeat(9), peers: ['.'.repeat(9)] });
  assert.equal(offered(scene.opening), [0, 1, 2, 3, 4]);
  scene.hears(1, accept(0));
  assert.equal(sent(scene, 1, 0), ['upload 1 to 1'], 'the next goes blind, but nothing more is offered');
  assert.equal(scene.hears(1, got(0)), ['→1 offer 5']);
});

test('a long line gets a wider window', () => {
  const scene = picture({ have: '#'.repeat(99), peers: [] });
  scene.on({ type: 'upload-rate', bytesPerS: 100 * 2 ** 20 });
  scene.on({ type: 'link-up', neighbour: 1, role: 'upload', userId: 'u', rttMs: 100 });
  const lines = scene.hears(1, { type: 'bitfield', bytes: bytesOf('.'.repeat(99)) }, 'upload');
  assert.is(offered(lines).length, 5 + 21, '2 · 100 ms and 10 ms at 0.1 pieces a ms');
});

test('accepted pieces go first in, first out, one at a time', () => {
  const scene = picture({ have: '###.', peers: ['....', '###.'] });
  assert.equal(scene.hears(1, accept(2)), ['upload 2 to 1']);
  assert.equal(scene.hears(1, accept(0)), []);
  assert.equal(scene.hears(1, accept(1)), []);
  assert.equal(scene.transfer.upcomingJobs(1), [
    { neighbour: 1, piece: 0, runs: [{ first: 0, count: 4 }], reverse: false },
  ]);
  assert.equal(sent(scene, 1, 2), ['upload 0 to 1']);
  assert.equal(sent(scene, 1, 0), ['upload 1 to 1']);
});

test('a full socket does not hold up the line', () => {
  const scene = picture({ have: '##', peers: ['.+', '+.'] });
  scene.hears(1, accept(0));
  assert.equal(scene.hears(2, accept(1)), [], 'one at a time');
  assert.equal(scene.on({ type: 'upload-blocked', neighbour: 1 }), ['upload 1 to 2']);
  assert.equal(scene.on({ type: 'upload-writable', neighbour: 1 }), []);
  assert.equal(sent(scene, 1, 0), []);
});

test('a user that takes other files too does not hold up the line, and is held up by others', () => {
  const spec = { have: '##', peers: ['.+', '+.'], users: ['a', 'b'] };
  const beside = () => {
    const userFiles = new UserFiles();
    userFiles.add('a', 1);
    return picture({ ...spec, userFiles });
  };
  const first = beside();
  first.hears(1, accept(0));
  assert.equal(first.hears(2, accept(1)), ['upload 1 to 2']);
  const second = picture(spec);
  second.hears(1, accept(0));
  assert.equal(second.hears(2, accept(1)), [], 'only this file: one at a time');
  const third = beside();
  third.hears(2, accept(1));
  assert.equal(third.hears(1, accept(0)), [], 'after the other');
});

test('the receiver may take another piece, some blocks only, or last block first', () => {
  const scene = picture({ have: '####', peers: ['..++', '++++'] });
  const blind = scene.opening.find((line) => line.startsWith('upload'));
  assert.is(blind, undefined, 'nothing is fresh here');
  const runs = [
    { first: 1, count: 1 },
    { first: 3, count: 1 },
  ];
  assert.equal(scene.hears(1, accept(3, { offered: 0, runs, reverse: true })), ['upload 3 to 1 [1+1 3+1] reverse']);
});

test('beside another seeder nothing goes blind: both would send the same', () => {
  const scene = picture({ have: '#'.repeat(9), peers: ['.'.repeat(9)] });
  assert.ok(scene.opening.includes('upload 0 to 1'), 'nobody else is seen yet');
  scene.hears(1, { type: 'getting', pieces: [7] }, 'upload');
  sent(scene, 1, 0);
  assert.equal(scene.hears(1, got(0)), ['→1 offer 5'], 'offered, and no upload before the answer');
  assert.equal(scene.hears(1, accept(1)), ['upload 1 to 1']);
  sent(scene, 1, 1);
  assert.equal(
    scene.waits(2_000).filter((line) => line.startsWith('upload')),
    ['upload 2 to 1'],
    'the other one is gone: blind again',
  );
});

test('a blind piece that the receiver swaps is stopped', () => {
  const scene = picture({ have: '##', peers: ['..'] });
  assert.equal(scene.opening, ['→1 offer 0', '→1 offer 1', 'upload 0 to 1']);
  assert.equal(scene.hears(1, decline(0)), ['stop 0 to 1', 'upload 1 to 1']);
  assert.equal(scene.hears(1, accept(1)), [], 'it is running already');
});

test('an answer that crosses the other offer is one job', () => {
  const scene = picture({ have: '###', peers: ['...', '+++'] });
  const choice = scene.opening.filter((line) => line.startsWith('→1 offer'));
  assert.is(choice.length, 3);
  const lines = scene.hears(1, accept(2, { offered: 1 }));
  assert.equal(
    lines.filter((line) => line.includes('withdraw')),
    [],
  );
  assert.equal(
    scene.hears(1, got(2)).filter((line) => line.includes('offer 2')),
    [],
  );
});

test('cancel stops a piece, and a want brings it back', () => {
  const scene = picture({ have: '#..', peers: ['...', '#..'] });
  assert.equal(scene.opening, ['→1 offer 0']);
  assert.equal(scene.hears(1, accept(0)), ['upload 0 to 1']);
  assert.equal(scene.hears(1, cancel(0)), ['stop 0 to 1', '→1 offer 0 endgame'], 'it has it, or gets it elsewhere');
  scene.hears(1, decline(0));
  assert.equal(scene.hears(1, want(0)), ['→1 offer 0']);
});

test('a declined piece is offered again when its receiver wants it', () => {
  const scene = picture({ have: '##.', peers: ['...', '##.'] });
  assert.equal(scene.opening, ['→1 offer 0', '→1 offer 1']);
  assert.equal(scene.hears(1, decline(0)), []);
  assert.equal(scene.waits(400), []);
  assert.equal(scene.hears(1, want(0)), ['→1 offer 0']);
});

test('a liar that is getting everything is passed over, and starves nobody', () => {
  const scene = picture({ have: '##', peers: ['++', '..'] });
  assert.is(scene.opening.filter((line) => line.startsWith('→2 offer')).length, 2);
});

test('nothing to offer: one endgame offer of what is got elsewhere', () => {
  const scene = picture({ have: '##.', peers: ['#+.', '###'] });
  assert.equal(scene.opening, ['→1 offer 1 endgame']);
  assert.equal(scene.hears(1, decline(1)), []);
  assert.equal(scene.waits(150), ['→1 offer 1 endgame'], 'after a pause');
  assert.equal(scene.hears(1, accept(1, { reverse: true })), ['upload 1 to 1 reverse']);
});

test('unanswered offers are withdrawn', () => {
  const scene = picture({ have: '#.', peers: ['..', '#.'] });
  assert.equal(scene.waits(10_050).slice(0, 1), ['→1 withdraw 0']);
});

test('who waits for an accepted piece hears that I am alive', () => {
  const scene = picture({ have: '##.', peers: ['..+'] });
  scene.hears(1, accept(0));
  assert.equal(scene.waits(1900), ['→1 alive', '→1 alive', '→1 alive']);
});

test('receivers that do not take what they got do not hold up the others', () => {
  const pieces = 30;
  const none = '.'.repeat(pieces);
  const scene = picture({ have: '#'.repeat(pieces), peers: [none, none] });
  assert.is(scene.opening.filter((line) => line.startsWith('→1 offer')).length, 5);
  for (const piece of [0, 1, 2, 3, 4]) assert.equal(scene.hears(1, accept(piece)), []);
  const lines = scene.on({ type: 'upload-blocked', neighbour: 1 });
  assert.is(lines.filter((line) => line.startsWith('→2 offer')).length, 3, lines.join());
});

test('nobody holds more than its share of the window', () => {
  const mine = `${'#'.repeat(20)}.`;
  const poor = '.'.repeat(21);
  const rich = `${'.'.repeat(20)}#`;
  const scene = picture({ have: mine, peers: [rich, poor, rich, rich, rich] });
  const lines: string[] = [];
  for (const piece of [0, 1, 2, 3, 4]) {
    scene.hears(1, accept(piece));
    lines.push(...scene.hears(1, got(piece)));
  }
  const counts = [2, 3, 4, 5].map((peer) => lines.filter((line) => line.startsWith(`→${peer} offer`)).length);
  assert.is(counts[0], 2, 'it has fewest pieces, but m = ceil(2 · 3 ÷ 5)');
  assert.is(Math.max(...counts), 2);
});

test('a piece that cannot be read is withdrawn and not offered again', () => {
  const scene = picture({ have: '#.', peers: ['..'] });
  scene.hears(1, accept(0));
  assert.ok(scene.on({ type: 'upload-failed', neighbour: 1, piece: 0 }).includes('→1 withdraw 0'));
  assert.equal(scene.waits(6000), []);
});

test('a piece on its way over a slow line is not offered again, however long it takes', () => {
  const scene = picture({ have: '######', peers: ['......'] });
  for (const piece of [0, 1, 2, 3, 4]) scene.hears(1, accept(piece));
  const lines = scene.waits(20_000).filter((line) => line !== '→1 alive');
  assert.equal(lines, []);
  assert.equal(scene.hears(1, want(3), 'upload'), []);
  for (const piece of [0, 1, 2]) assert.equal(sent(scene, 1, piece), [`upload ${piece + 1} to 1`]);
  assert.equal(scene.hears(1, got(0)), ['→1 offer 5'], 'not even when it says that it wants one of them');
  assert.equal(sent(scene, 1, 3), ['upload 4 to 1']);
});

test('nor is it given to somebody else while unsent ones remain', () => {
  const scene = picture({ have: '#######', peers: ['.......', '.......'] });
  for (const piece of [0, 1, 2, 3, 4]) scene.hears(1, accept(piece));
  scene.waits(6_000);
  const lines: string[] = [];
  for (const piece of [0, 1, 2, 3]) {
    sent(scene, 1, piece);
    lines.push(...scene.hears(1, got(piece)));
  }
  assert.equal(offered(lines).sort(), [5, 6]);
});

test('a hoarder gets no more fresh pieces', () => {
  const pieces = 60;
  const none = '.'.repeat(pieces);
  const scene = picture({ have: '#'.repeat(pieces), peers: [none, none, none] });
  const open = scene.opening.filter((line) => line.includes('offer'));
  const given = [0, 0, 0, 0];
  for (let turn = 0; turn < 40; turn++) {
    const [, peer, piece] = /→(\d) offer (\d+)/.exec(open[turn]!)!.map(Number) as [number, number, number];
    given[peer]!++;
    const lines = [scene.hears(peer, accept(piece)), sent(scene, peer, piece), scene.hears(peer, got(piece))];
    // What peer 1 has, nobody gets from it.
    for (const owner of peer === 1 ? [1] : [1, 2, 3]) lines.push(scene.hears(owner, have(piece), 'upload'));
    open.push(...lines.flat().filter((line) => line.includes('offer')));
  }
  // Five before the others came, and a few until its deficit is above what the others have under way.
  assert.ok(given[1]! <= 10, `given ${given.slice(1)}`);
  assert.ok(Math.abs(given[2]! - given[3]!) <= 6, `given ${given.slice(1)}`);
});

test.run();
