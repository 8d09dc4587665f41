import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openArchive } from '../../cluster/store/archive.ts';
import { DATABASE_FILE } from '../../cluster/store/store.ts';
import { type Ended, run, type TestClient, TestCluster, until } from './harness.ts';

const test = suite<{ cluster: TestCluster; ann: TestClient; file: string }>('backup and recover');
test.before.each(async (context) => {
  const cluster = await TestCluster.make(3);
  await cluster.start();
  const ann = await (await cluster.client(1)).signUp('ann');
  for (let i = 0; i < 30; i++) await ann.command('create_group', { group_id: `g${i}` });
  Object.assign(context, { cluster, ann, file: join(cluster.dir, 'copy') });
});
test.after.each(({ cluster }) => cluster.stop());

async function ok(cluster: TestCluster, ...args: string[]): Promise<Ended> {
  const ended = await run(cluster, ...args);
  assert.is(ended.code, 0, `${args.join(' ')}: ${ended.stderr}`);
  return ended;
}

/** The backup is all that tracker `number` has. */
function restore(cluster: TestCluster, number: number, file: string): void {
  const { dataDir } = cluster.tracker(number);
  rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir, { mode: 0o700 });
  copyFileSync(file, join(dataDir, DATABASE_FILE));
}

/** recover at a terminal, where a person types the answer. */
async function recoverTyping(cluster: TestCluster, answer: string, ...args: string[]): Promise<Ended> {
  const program = join(import.meta.dirname, '../../cluster/bin/mt-trackerd.cjs');
  const command = [process.execPath, program, 'recover', ...args].map((word) => `'${word}'`).join(' ');
  const env = { ...process.env, XDG_STATE_HOME: cluster.dir, SHELL: '/bin/sh' };
  const child = spawn('script', ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    ended.stdout += chunk;
  });
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  await until('it asks', () => /Type "recover" to go on/.test(ended.stdout));
  child.stdin.write(`${answer}\n`);
  ended.code = await closed;
  return ended;
}

async function untilWell(cluster: TestCluster, at: number): Promise<void> {
  const client = await cluster.client(at);
  await until('three voters, none behind', async () => {
    const { trackers } = await client.call('tracker_status', {});
    const voters = trackers.filter(({ role, lag }) => (role === 'leader' || role === 'follower') && lag === 0);
    return voters.length === 3 && trackers.length === 3;
  });
}

async function groupCount(cluster: TestCluster, at: number, ann: TestClient): Promise<number> {
  const client = await cluster.client(at, ann.identity);
  client.session = ann.session;
  return (await client.read('list_groups', {})).groups.length;
}

test('a copy of a running tracker has all that was acknowledged, and no identity', async ({ cluster, ann, file }) => {
  const leader = await cluster.leader();
  const loads = Array.from({ length: 200 }, (_, i) => ann.command('create_group', { group_id: `during-${i}` }));
  await ok(cluster, 'backup', file, '--data-dir', cluster.tracker(leader).dataDir);
  await Promise.all(loads);
  assert.is(statSync(file).mode & 0o777, 0o600);
  const archive = openArchive(file);
  assert.is(archive.identity, null);
  assert.is(archive.origin?.number, leader);
  assert.ok(archive.log.lastIndex() >= 32);
  archive.close();
  assert.match((await ok(cluster, 'verify', '--data-dir', file)).stdout, /hash chain are right/);
  assert.is(
    (await run(cluster, 'backup', file, '--data-dir', cluster.tracker(1).dataDir)).code,
    10,
    'never overwritten',
  );
  assert.is(
    (await run(cluster, 'backup', join(cluster.dir, 'none', 'x'), '--data-dir', cluster.tracker(1).dataDir)).code,
    6,
  );
});

test('a tracker started from it joins as a new member, also under another number', async ({ cluster, ann, file }) => {
  await ok(cluster, 'backup', file, '--data-dir', cluster.tracker(1).dataDir);
  for (let i = 0; i < 20; i++) await ann.command('create_group', { group_id: `after-${i}` });
  const before = openArchive(cluster.tracker(2).dataDir);
  const { incarnation } = before.identity!;
  before.close();
  await cluster.tracker(2).kill();
  restore(cluster, 2, file);
  cluster.spawn(2);
  await untilWell(cluster, 1);
  const after = openArchive(cluster.tracker(2).dataDir);
  assert.is.not(after.identity!.incarnation, incarnation);
  assert.is(after.origin, null);
  after.close();
  assert.is(await groupCount(cluster, 2, ann), 50);
});

test('a backup founds no cluster by itself, not even three of them', async ({ cluster, file }) => {
  await ok(cluster, 'backup', file, '--data-dir', cluster.tracker(1).dataDir);
  await Promise.all(cluster.trackers.map((tracker) => tracker.kill()));
  for (const { number } of cluster.trackers) {
    restore(cluster, number, file);
    cluster.spawn(number);
  }
  await until('all wait', () => cluster.trackers.every(({ stderr }) => /holds a backup/.test(stderr)));
  assert.not.ok(cluster.trackers.some(({ isReady }) => isReady));
});

test('recover founds a new cluster on what one tracker has; the others join with empty disks, never with old data', async ({
  cluster,
  ann,
}) => {
  await Promise.all(cluster.trackers.map((tracker) => tracker.kill()));
  const { dataDir } = cluster.tracker(2);
  const old = openArchive(dataDir);
  const clusterId = old.identity!.cluster_id;
  old.close();
  const asked = await run(cluster, 'recover', cluster.infoFile, '2', '--data-dir', dataDir);
  assert.is(asked.code, 2, 'it asks, and nobody is there to answer');
  assert.match(asked.stdout, /What is lost/);
  const untouched = openArchive(dataDir);
  assert.is(untouched.identity!.cluster_id, clusterId);
  untouched.close();

  const declined = await recoverTyping(cluster, 'yes?', cluster.infoFile, '2', '--data-dir', dataDir);
  assert.is.not(declined.code, 0);
  assert.match(declined.stdout, /Nothing was changed/);
  const stillUntouched = openArchive(dataDir);
  assert.is(stillUntouched.identity!.cluster_id, clusterId);
  stillUntouched.close();

  const agreed = await recoverTyping(cluster, 'recover', cluster.infoFile, '2', '--data-dir', dataDir);
  assert.is(agreed.code, 0, agreed.stdout);
  assert.match(agreed.stdout, /What is lost[\s\S]*Done\. The new cluster is/);
  rmSync(cluster.tracker(3).dataDir, { recursive: true });
  for (const { number } of cluster.trackers) cluster.spawn(number);
  await until('the second leads', () => /leads now/.test(cluster.tracker(2).stderr));
  await until('old data is refused', () => /data of another cluster/.test(cluster.tracker(2).stderr));
  await cluster.tracker(1).kill();
  rmSync(cluster.tracker(1).dataDir, { recursive: true });
  cluster.spawn(1);
  await untilWell(cluster, 2);
  for (const number of [1, 2, 3]) assert.is(await groupCount(cluster, number, ann), 30);
  const found = openArchive(dataDir);
  assert.is.not(found.identity!.cluster_id, clusterId);
  found.close();
  await cluster.tracker(2).kill();
  const client = await cluster.client(3, ann.identity);
  client.session = ann.session;
  client.clientId = ann.clientId;
  await client.call('create_group', {
    request: { client_id: ann.clientId, seq: 5_000, acked: 5_000 },
    session: ann.session,
    group_id: 'goes-on',
  });
});

test('recover from a backup alone', async ({ cluster, ann, file }) => {
  await ok(cluster, 'backup', file, '--data-dir', cluster.tracker(3).dataDir);
  await Promise.all(cluster.trackers.map((tracker) => tracker.kill()));
  for (const { dataDir } of cluster.trackers) rmSync(dataDir, { recursive: true });
  restore(cluster, 1, file);
  await ok(cluster, 'recover', cluster.infoFile, '1', '--data-dir', cluster.tracker(1).dataDir, '--yes');
  for (const { number } of cluster.trackers) cluster.spawn(number);
  await until('all are ready', () => cluster.trackers.every(({ isReady }) => isReady));
  await untilWell(cluster, 1);
  assert.is(await groupCount(cluster, 3, ann), 30);
});

test('where nothing was ever decided, recover and replay name no time', async () => {
  const cluster = await TestCluster.make(1);
  try {
    await cluster.start();
    await cluster.tracker(1).kill('SIGTERM');
    const { dataDir } = cluster.tracker(1);
    const asked = await run(cluster, 'recover', cluster.infoFile, '1', '--data-dir', dataDir);
    assert.match(asked.stdout, /no command is known to be decided/);
    assert.match((await ok(cluster, 'replay', '--data-dir', dataDir)).stdout, /before the first command/);
  } finally {
    await cluster.stop();
  }
});

test.run();
