// Files between daemons: real TLS, real disks, real tickets, one process.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { until } from '../harness/until.ts';
import { World } from './data-plane-world.ts';

const MiB = 1024 * 1024;
const test = suite<{ world: World }>('data plane');
test.before.each((context) => {
  context.world = new World();
});
test.after.each(({ world }) => world.close());

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isMtError(error)) return error.code;
    throw error;
  }
  return 'none';
}

for (const size of [0, 1, 65_535, 65_536, 65_537, 5 * 65_536, 3 * MiB + 7]) {
  test(`a file of ${size} bytes arrives whole and becomes a share`, async ({ world }) => {
    const seeder = await world.daemon('alice');
    const leecher = await world.daemon('bob');
    const content = randomBytes(size);
    seeder.share('file', content);
    const { answer } = leecher.download('file');
    const { state, sha1, destination, warning } = await answer;
    assert.is(state, 'complete');
    assert.is(warning, null);
    assert.is(sha1, createHash('sha1').update(content).digest('hex'));
    assert.is(destination, leecher.path('file'));
    assert.ok(leecher.read('file').equals(content));
    assert.equal(readdirSync(leecher.path('')), ['file'], 'nothing else is left there');
    assert.ok(leecher.shares.has('file'));
    assert.is(leecher.row('file')?.state, 'complete');
    assert.is(leecher.row('file')?.bytes_done, size);
  });
}

test('pieces larger than a slot are written block by block', async ({ world }) => {
  const seeder = await world.daemon('alice');
  const leecher = await world.daemon('bob');
  const content = randomBytes(9 * MiB + 4321);
  seeder.share('file', content, 4 * MiB);
  await leecher.download('file').answer;
  assert.ok(leecher.read('file').equals(content));
});

test('a third one fetches from both', async ({ world }) => {
  const [alice, bob, carol] = [await world.daemon('alice'), await world.daemon('bob'), await world.daemon('carol')];
  const content = randomBytes(8 * MiB);
  alice.share('file', content);
  await bob.download('file').answer;
  await carol.download('file').answer;
  assert.ok(carol.read('file').equals(content));
});

test('two that download at once serve each other', async ({ world }) => {
  const alice = await world.daemon('alice', { limits: { up: 4 * MiB, down: 0 } });
  const [bob, carol] = [await world.daemon('bob'), await world.daemon('carol')];
  const content = randomBytes(6 * MiB);
  alice.share('file', content);
  await Promise.all([bob.download('file').answer, carol.download('file').answer]);
  assert.ok(bob.read('file').equals(content));
  assert.ok(carol.read('file').equals(content));
});

test('a taken name, a missing directory, an unknown file are refused before anything starts', async ({ world }) => {
  const alice = await world.daemon('alice');
  const bob = await world.daemon('bob');
  alice.share('file', randomBytes(1000));
  writeFileSync(bob.path('file'), 'mine');
  assert.is(await codeOf(bob.download('file').answer), 'DESTINATION_EXISTS');
  assert.is(await codeOf(bob.download('file', { destination: bob.path('no/where') }).answer), 'PATH_NOT_FOUND');
  assert.is(await codeOf(bob.download('nothing').answer), 'NO_SUCH_FILE');
  assert.equal(bob.plane.list(), []);
  assert.equal(readdirSync(bob.path('')), ['file']);
  assert.is(bob.read('file').toString(), 'mine');
  await bob.download('file', { force: true }).answer;
  assert.is(bob.read('file').length, 1000);
  assert.is(await codeOf(bob.download('file', { destination: bob.path('other') }).answer), 'ALREADY_DOWNLOADED');
});

test('a whole SHA-1 that does not match is the publisher’s fault', async ({ world }) => {
  const alice = await world.daemon('alice');
  const bob = await world.daemon('bob');
  alice.share('file', randomBytes(200_000), 65_536, randomBytes(20));
  const { answer } = bob.download('file');
  assert.is(await codeOf(answer), 'INTEGRITY');
  assert.match(bob.row('file')?.reason ?? '', /alice/);
  assert.is(bob.row('file')?.state, 'failed');
  assert.equal(readdirSync(bob.path('')), [], 'nothing is left');
});

test('a caller that goes away leaves the download running', async ({ world }) => {
  const alice = await world.daemon('alice', { limits: { up: 2 * MiB, down: 0 } });
  const bob = await world.daemon('bob');
  const content = randomBytes(2 * MiB);
  alice.share('file', content);
  const { answer, giveUp } = bob.download('file');
  await until('it has begun', () => (bob.row('file')?.bytes_done ?? 0) > 0);
  giveUp();
  assert.is(await codeOf(answer), 'CANCELLED');
  await until('it is complete', () => bob.row('file')?.state === 'complete');
  assert.ok(bob.read('file').equals(content));
});

test('pause, resume and cancel', async ({ world }) => {
  const alice = await world.daemon('alice', { limits: { up: 2 * MiB, down: 0 } });
  const bob = await world.daemon('bob');
  const content = randomBytes(3 * MiB);
  alice.share('file', content);
  const file = { groupId: 'team', fileName: 'file' };
  const { answer } = bob.download('file');
  await until('it has begun', () => (bob.row('file')?.bytes_done ?? 0) > 0);
  await bob.plane.pause(file);
  assert.is(bob.row('file')?.state, 'paused');
  const before = bob.row('file')!.bytes_done;
  await bob.plane.resume(file);
  assert.ok(bob.row('file')!.bytes_done >= before);
  await answer;
  assert.ok(bob.read('file').equals(content));

  const carol = await world.daemon('carol', { limits: { up: 0, down: MiB } });
  carol.download('file');
  await until('it has begun', () => (carol.row('file')?.bytes_done ?? 0) > 0);
  await carol.plane.cancel(file);
  assert.equal(carol.plane.list(), []);
  assert.equal(readdirSync(carol.path('')), []);
});

test('verified pieces outlive the daemon, and are not fetched again', async ({ world }) => {
  const alice = await world.daemon('alice', { limits: { up: 4 * MiB, down: 0 } });
  const bob = await world.daemon('bob');
  const content = randomBytes(6 * MiB);
  alice.share('file', content);
  bob.download('file');
  await until('a third is there', () => (bob.row('file')?.bytes_done ?? 0) > 2 * MiB);
  await bob.stop();
  await bob.start();
  const kept = bob.row('file')?.bytes_done ?? 0;
  assert.ok(kept > 2 * MiB, `${kept} bytes are known at once`);
  await until('it is complete', () => bob.row('file')?.state === 'complete');
  assert.ok(bob.read('file').equals(content));
});

test('limits hold, and change at once', async ({ world }) => {
  const alice = await world.daemon('alice', { limits: { up: MiB, down: 0 } });
  const bob = await world.daemon('bob');
  alice.share('file', randomBytes(32 * MiB));
  const beganMs = performance.now();
  const { answer } = bob.download('file');
  await until('2 MiB are there', () => (bob.row('file')?.bytes_done ?? 0) >= 2 * MiB);
  const elapsed = performance.now() - beganMs;
  assert.ok(elapsed > 1_800, `2 MiB at 1 MiB/s took ${elapsed} ms`);
  assert.equal(alice.plane.limits({ up: 0, down: null }), { up: 0, down: 0 });
  await answer;
  assert.ok(performance.now() - beganMs < 16_000, 'half of what it would take at 1 MiB/s');
});

test('a download limit holds, and a slow line is no reason to leave a source', async ({ world }) => {
  const alice = await world.daemon('alice');
  const bob = await world.daemon('bob', { limits: { up: 0, down: 60_000 } });
  const content = randomBytes(300_000);
  alice.share('file', content);
  const beganMs = performance.now();
  await bob.download('file').answer;
  const seconds = (performance.now() - beganMs) / 1000;
  assert.ok(seconds > 3.5, `300 kB at 60 kB/s took ${seconds} s`);
  assert.ok(bob.read('file').equals(content));
  assert.not(bob.log.some((line) => line.includes('banned')));
  assert.is(bob.plane.rates().upload, 0);
});

test('without a seeder it says why, and goes on when one comes', async ({ world }) => {
  const alice = await world.daemon('alice');
  const bob = await world.daemon('bob');
  const content = randomBytes(100_000);
  alice.share('file', content);
  await alice.stop();
  await bob.download('file', { detach: true }).answer;
  await until('the reason', () => bob.row('file')?.reason_code === 'NO_SEEDERS');
  await alice.start();
  await until('it is complete', () => bob.row('file')?.state === 'complete');
  assert.ok(bob.read('file').equals(content));
});

test('a file that changed on the seeder’s disk is not served', async ({ world }) => {
  const alice = await world.daemon('alice');
  const bob = await world.daemon('bob');
  const path = alice.share('file', randomBytes(100_000));
  writeFileSync(path, randomBytes(100_000));
  await bob.download('file', { detach: true }).answer;
  await until('refused', () => bob.row('file')?.reason_code === 'NO_SUCH_SHARE');
  assert.not(alice.shares.has('file'));
  assert.not(existsSync(bob.path('file')));
});

test('a revoked user is cut at once and stays out', async ({ world }) => {
  const alice = await world.daemon('alice', { limits: { up: MiB, down: 0 } });
  const [bob, carol] = [await world.daemon('bob'), await world.daemon('carol')];
  const content = randomBytes(4 * MiB);
  alice.share('file', content);
  const cut = bob.download('file');
  const other = carol.download('file', { peer: 'alice' });
  await until('both have begun', () => [bob, carol].every((one) => (one.row('file')?.bytes_done ?? 0) > 0));
  world.epoch = 2;
  world.removed.add('bob');
  const before = bob.row('file')!.bytes_done;
  for (const daemon of [alice, carol]) {
    daemon.plane.onEpoch('team', 2, false);
    daemon.plane.onRevoked({ userId: 'bob', fingerprint: null, groupId: 'team' });
  }
  assert.is(await codeOf(cut.answer), 'NOT_MEMBER');
  assert.ok(bob.row('file')!.bytes_done - before < 512 * 1024);
  await other.answer;
  assert.ok(carol.read('file').equals(content));
});

test.run();
