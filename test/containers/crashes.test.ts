// Programs that die, hang and are restarted, each in its container, while users work and files move.

import { chownSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeFile, sha1Of } from '../harness/files.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { whyNoContainers } from './engine.ts';
import { Load } from './load.ts';
import { ContainerWorld, type Peer } from './world.ts';

const MiB = 1024 * 1024;
const FILE_SIZE = 24 * MiB;
/** Far longer for the file than the engine takes to cut somebody off. */
const SLOW = MiB;
const SOME = 2 * MiB;
/** Well above an election. */
const PAUSE_MS = 2_500;
const PROGRESS_MS_MAX = 20_000;
/** On a machine that runs six containers; image.test.ts holds one alone to its second. */
const STOP_MS_MAX = 10_000;
const reason = await whyNoContainers();
const test = suite('containers: crashes');
let world: ContainerWorld;
let setUpError: unknown = null;
let sha1 = '';

test.before(async () => {
  if (reason !== null) return;
  world = new ContainerWorld();
  await setUp().catch(async (error: unknown) => {
    setUpError = error;
    console.error(await world.logs());
  });
});

test.after(async () => {
  await world?.close();
});

/** A group of all three, and a file that the first shares. */
async function setUp(): Promise<void> {
  await world.start();
  const [owner, ...others] = world.peers as [Peer, ...Peer[]];
  await owner.call('create_group', { group_id: 'lab' });
  for (const other of others) {
    await other.call('join_group', { group_id: 'lab' });
    await owner.call('accept_request', { group_id: 'lab', user_id: other.user });
  }
  const path = join(owner.dir, 'data.bin');
  sha1 = makeFile(path, FILE_SIZE, 'containers');
  chownSync(path, 1000, 1000);
  await owner.call('upload_file', { path: '/shared/data.bin', group_id: 'lab' }, 60_000);
}

const loads: Load[] = [];
function startLoad(prefix: string, options = {}): Load {
  const load = new Load(world.peers, prefix, options);
  loads.push(load);
  return load;
}

function inWorld(body: () => Promise<void>): () => Promise<void> {
  return async () => {
    if (setUpError) throw setUpError;
    try {
      await body();
    } catch (error) {
      console.error(await world.logs());
      throw error;
    } finally {
      for (const load of loads.splice(0)) await load.stop().catch(() => {});
      await world.heal();
    }
  };
}

/** Each of these peers gets a few more answers from here on. */
async function progress(load: Load, peers: readonly Peer[], count = 5): Promise<void> {
  const before = new Map(peers.map((peer) => [peer, load.of(peer).answered]));
  for (const peer of peers) {
    await until(`${peer.name} is served`, () => load.of(peer).answered >= before.get(peer)! + count, {
      timeoutMs: PROGRESS_MS_MAX,
      everyMs: 20,
    });
  }
}

async function row(peer: Peer) {
  const { downloads } = await peer.call('show_downloads', {});
  return downloads.find(({ file_name }) => file_name === 'data.bin');
}

async function startDownload(peer: Peer): Promise<void> {
  const file = { group_id: 'lab', file_name: 'data.bin' };
  await peer.call('download_file', { ...file, destination: '/shared/', force: false, detach: true, peer: null });
}

async function completes(peer: Peer): Promise<void> {
  await until(`${peer.name} has the file`, async () => (await row(peer))?.state === 'complete', {
    timeoutMs: 60_000,
    everyMs: 50,
  });
  assert.is(sha1Of(join(peer.dir, 'data.bin')), sha1);
}

testOrSkip(
  test,
  'a peer cut off midway goes on where it was, once the network is back',
  reason,
  inWorld(async () => {
    const [, peer] = world.peers as [Peer, Peer];
    await peer.call('limits', { up: null, down: SLOW });
    await startDownload(peer);
    await until('some of it is there', async () => (await row(peer))!.bytes_done > SOME);
    await world.partition(
      [peer],
      world.hosts.filter((host) => host !== peer),
    );
    const { bytes_done: atCut } = (await row(peer))!;
    await until('nothing comes any more', async () => (await row(peer))!.rate === 0, {
      timeoutMs: 60_000,
      everyMs: 100,
    });
    const { bytes_done: silent, state } = (await row(peer))!;
    assert.ok(silent >= atCut && silent < FILE_SIZE);
    assert.is(state, 'downloading');
    await world.heal();
    await peer.call('limits', { up: null, down: 0 });
    await completes(peer);
  }),
);

testOrSkip(
  test,
  'a peer killed midway goes on where it was, without being told',
  reason,
  inWorld(async () => {
    const peer = world.peers[2]!;
    await peer.call('limits', { up: null, down: SLOW });
    await startDownload(peer);
    await until('some of it is there', async () => (await row(peer))!.bytes_done > SOME);
    const { bytes_done: atKill } = (await row(peer))!;
    assert.ok(atKill < FILE_SIZE);
    await peer.kill();
    assert.not(existsSync(join(peer.dir, 'data.bin')));
    await peer.start();
    await peer.answers();
    const { bytes_done: after } = (await row(peer))!;
    assert.ok(after >= atKill, `${after} bytes after the restart, ${atKill} before`);
    await peer.call('limits', { up: null, down: 0 });
    await completes(peer);
    assert.is((await peer.call('whoami', {})).user_id, peer.user);
  }),
);

testOrSkip(
  test,
  'kill -9 and restart of each tracker, the leader first, under load',
  reason,
  inWorld(async () => {
    const load = startLoad('kill');
    await progress(load, world.peers);
    const leader = await world.leader();
    for (const number of [leader, ...[1, 2, 3].filter((other) => other !== leader)]) {
      await world.tracker(number).kill();
      await progress(load, world.peers);
      await world.tracker(number).start();
      await world.whole();
    }
    const { answered, refused, unknown } = await load.stop();
    console.log(`    ${answered} answered, ${refused} refused, ${unknown} unknown; seed ${load.seed}`);
  }),
);

testOrSkip(
  test,
  'kill -9 and restart of each peer: logged in and sharing as before',
  reason,
  inWorld(async () => {
    for (const peer of world.peers) {
      await peer.kill();
      await peer.start();
      await peer.answers();
      assert.is((await peer.call('whoami', {})).user_id, peer.user);
    }
    const file = { group_id: 'lab', file_name: 'data.bin' };
    const seeders = async () =>
      (await world.peers[0]!.call('list_seeders', file)).seeders.filter(({ complete }) => complete);
    await until('all three serve it', async () => (await seeders()).length === 3, { timeoutMs: 20_000, everyMs: 50 });
  }),
);

testOrSkip(
  test,
  'a leader paused for longer than an election: the others go on, and it follows when it wakes',
  reason,
  inWorld(async () => {
    const load = startLoad('pause');
    await progress(load, world.peers);
    const before = await world.leader();
    const paused = world.tracker(before);
    const pausedAt = performance.now();
    await paused.pause();
    await progress(load, world.peers);
    await until('the pause was long enough', () => performance.now() - pausedAt > PAUSE_MS);
    await paused.unpause();
    await world.whole();
    await progress(load, world.peers);
    assert.is.not(await world.leader(), before);
    const { answered, refused, unknown } = await load.stop();
    console.log(`    ${answered} answered, ${refused} refused, ${unknown} unknown; seed ${load.seed}`);
  }),
);

testOrSkip(
  test,
  'rolling restart of all trackers under load: no command fails',
  reason,
  inWorld(async () => {
    const load = startLoad('roll', { timeoutMs: 10_000 });
    await progress(load, world.peers);
    for (const [number, tracker] of world.trackers) {
      const elapsedMs = await tracker.stop();
      console.log(`    tracker ${number} stopped in ${elapsedMs.toFixed(0)} ms`);
      assert.ok(elapsedMs < STOP_MS_MAX, `a clean stop in ${elapsedMs.toFixed(0)} ms`);
      await progress(load, world.peers);
      await tracker.start();
      await world.whole();
    }
    const { answered, refused, unknown } = await load.stop();
    console.log(`    ${answered} answered, ${refused} refused, ${unknown} unknown; seed ${load.seed}`);
    assert.is(refused, 0);
    assert.is(unknown, 0);
  }),
);

test.run();
