import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openArchive } from '../../cluster/store/archive.ts';
import { codeOf, TestCluster, until } from './harness.ts';

const test = suite<{ cluster: TestCluster }>('forming a cluster');
test.before.each(async (context) => {
  context.cluster = await TestCluster.make(3);
});
test.after.each(({ cluster }) => cluster.stop());

test('nobody is ready before all are up; each says whom it waits for', async ({ cluster }) => {
  cluster.spawn(1);
  cluster.spawn(3);
  await until('tracker 3 names tracker 2', () => /Waits for tracker 2 \(/.test(cluster.tracker(3).stderr));
  const early = await cluster.client(1);
  assert.is(await codeOf(early.call('register_client', {}, { timeoutMs: 1_000 })), 'NO_QUORUM');
  assert.not.ok(cluster.tracker(1).isReady);
  assert.not.ok(cluster.tracker(3).isReady);
  cluster.spawn(2);
  await cluster.allReady();
  const ids = cluster.trackers.map(({ dataDir }) => {
    const archive = openArchive(dataDir);
    archive.close();
    return archive.identity!.cluster_id;
  });
  assert.is(new Set(ids).size, 1);
  assert.match(ids[0]!, /^[0-9a-f]{32}$/);
});

test('simultaneous first starts agree on one key', async ({ cluster }) => {
  await cluster.start();
  const key = readFileSync(join(cluster.dir, 'mini-torrent/cluster.key'), 'utf8');
  assert.is(key.match(/BEGIN PRIVATE KEY/g)!.length, 1);
});

test('a tracker killed in the middle of forming hears of it later', async ({ cluster }) => {
  cluster.spawn(2);
  cluster.spawn(3);
  cluster.spawn(1);
  await until('the cluster has formed somewhere', () =>
    cluster.trackers.some(({ stderr }) => /has formed/.test(stderr)),
  );
  const late = cluster.trackers.find(({ stderr }) => !/has formed/.test(stderr)) ?? cluster.tracker(3);
  await late.kill();
  cluster.spawn(late.number);
  await cluster.allReady();
  const ann = await (await cluster.client(late.number)).signUp('ann');
  const { trackers } = await until('all are members', async () => {
    const status = await ann.call('tracker_status', {});
    return status.trackers.every(({ reachable, lag }) => reachable && lag === 0) ? status : null;
  });
  assert.is(trackers.length, 3);
});

test('trackers with different files do not form, and say why', async ({ cluster }) => {
  cluster.spawn(1);
  cluster.spawn(2);
  const other = join(cluster.dir, 'other.txt');
  const lines = readFileSync(cluster.infoFile, 'utf8').trim().split('\n');
  writeFileSync(other, `${[lines[0], lines[1]!.replace('127.0.0.1', 'localhost'), lines[2]].join('\n')}\n`);
  const third = cluster.run(other, '3', '--data-dir', cluster.tracker(3).dataDir);
  try {
    await until('the difference is said', () => /tracker files differ/.test(cluster.tracker(1).stderr));
    assert.not.ok(cluster.tracker(1).isReady);
  } finally {
    third.kill('SIGKILL');
  }
});

test('a tracker with the data of another cluster is told apart', async ({ cluster }) => {
  const stranger = await TestCluster.make(3);
  try {
    await cluster.start();
    const key = ['--cluster-key', join(cluster.dir, 'mini-torrent/cluster.key')];
    for (const { number } of stranger.trackers) stranger.spawn(number, ...key);
    await stranger.allReady();
    await Promise.all([cluster.tracker(3).kill(), ...stranger.trackers.map((tracker) => tracker.kill())]);
    const dataDir = stranger.tracker(3).dataDir;
    assert.ok(existsSync(dataDir));
    cluster.spawn(3, '--data-dir', dataDir); // the last one counts
    await until('it is refused', () =>
      [1, 2].every((number) => /another cluster/.test(cluster.tracker(number).stderr)),
    );
    const ann = await (await cluster.client(1)).signUp('ann');
    const { trackers } = await ann.call('tracker_status', {});
    assert.is(trackers[2]!.reachable, false);
  } finally {
    await stranger.stop();
  }
});

test.run();
