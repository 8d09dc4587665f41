import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import { freePorts } from '../harness/free-ports.ts';
import { type Ended, run, TestClient, TestCluster, TestTracker, until } from './harness.ts';
import { Load } from './load.ts';

const test = suite<{ cluster: TestCluster }>('members come and go');
test.before.each(async (context) => {
  context.cluster = await TestCluster.make(3);
  await context.cluster.start();
});
test.after.each(({ cluster }) => cluster.stop());

async function admin(cluster: TestCluster, ...args: string[]): Promise<Ended> {
  return run(cluster, ...args, '--tracker-info', cluster.infoFile);
}

async function ok(cluster: TestCluster, ...args: string[]): Promise<Ended> {
  const ended = await admin(cluster, ...args);
  assert.is(ended.code, 0, `${args.join(' ')}: ${ended.stderr}`);
  return ended;
}

/** Adds a tracker by the command and starts it. */
async function addTracker(cluster: TestCluster): Promise<TestTracker> {
  const [port] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const { number } = JSON.parse((await ok(cluster, 'members', 'add', address, '--json')).stdout) as { number: number };
  while (cluster.trackers.length < number) {
    const next = cluster.trackers.length + 1;
    cluster.trackers.push(new TestTracker(next, port!, join(cluster.dir, `t${next}`)));
  }
  return cluster.spawn(number, '--listen', address);
}

async function rolesOf(cluster: TestCluster): Promise<Record<number, string>> {
  const { stdout, code } = await admin(cluster, 'members', 'list', '--json');
  if (code !== 0) return {};
  const { trackers } = JSON.parse(stdout) as { trackers: { number: number; role: string }[] };
  return Object.fromEntries(trackers.map(({ number, role }) => [number, role]));
}

async function untilVoters(cluster: TestCluster, numbers: readonly number[]): Promise<void> {
  await until(
    `voters ${numbers}`,
    async () => {
      const roles = await rolesOf(cluster);
      const voters = Object.entries(roles).filter(([, role]) => role === 'leader' || role === 'follower');
      return voters.map(([number]) => number).join() === numbers.join() && Object.values(roles).includes('leader');
    },
    30_000,
  );
}

async function groupsAt(tracker: TestTracker): Promise<Set<string>> {
  const client = await TestClient.connect(tracker.port, await makeDaemonIdentity(Date.now()));
  await client.register();
  await client.login('reader');
  const all = new Set<string>();
  let after: string | null = null;
  do {
    const page: { groups: { group_id: string }[]; next: string | null } = await client.call('list_groups', {
      session: client.session,
      after,
      limit: 1_000,
    });
    for (const { group_id } of page.groups) all.add(group_id);
    after = page.next;
  } while (after !== null);
  client.close();
  return all;
}

test('3 → 5 → 3 trackers under load lose nothing', async ({ cluster }) => {
  await (await cluster.client(1)).signUp('reader');
  const loads = await Promise.all([1, 2, 3].map((at) => new Load(cluster, `user${at}`).start(at)));
  await addTracker(cluster);
  await addTracker(cluster);
  await untilVoters(cluster, [1, 2, 3, 4, 5]);
  const five = await Promise.all(cluster.trackers.map((tracker) => groupsAt(tracker)));
  for (const groups of five) assert.ok(groups.size > 0);

  // Two of the first three go, the leader of the moment among them when it is one of those.
  for (const number of [1, 2]) {
    const tracker = cluster.tracker(number);
    await ok(cluster, 'members', 'remove', String(number));
    assert.is(await tracker.exit, 0, 'a removed tracker stops by itself');
    tracker.process = null;
    assert.match(tracker.stderr, /removed from its cluster/);
  }
  await untilVoters(cluster, [3, 4, 5]);
  for (const load of loads) await load.stop();
  const made = loads.flatMap((load) => load.made);
  assert.ok(made.length > 50, `${made.length} groups were made`);
  for (const number of [3, 4, 5]) {
    const groups = await groupsAt(cluster.tracker(number));
    const lost = made.filter((group) => !groups.has(group));
    assert.equal(lost, [], `tracker ${number} has all ${made.length}`);
  }
  assert.equal(await rolesOf(cluster).then((roles) => [roles[1], roles[2]]), ['removed', 'removed']);

  // It says so again when it is started, and its number is never given again.
  cluster.spawn(1);
  assert.is(await cluster.tracker(1).exit, 5);
  assert.match(cluster.tracker(1).stderr, /removed from its cluster/);
  cluster.tracker(1).process = null;
  const again = await addTracker(cluster);
  assert.is(again.number, 6);
  await untilVoters(cluster, [3, 4, 5, 6]);
});

test('what makes no sense is refused with a sentence', async ({ cluster }) => {
  const codeOf = async (...args: string[]) => (await admin(cluster, ...args)).code;
  assert.is(await codeOf('members'), 2);
  assert.is(await codeOf('members', 'add', 'nowhere'), 2);
  assert.is(await codeOf('members', 'add', `127.0.0.1:${cluster.tracker(2).port}`), 10);
  assert.is(await codeOf('members', 'remove', '9'), 6);
  assert.is(await codeOf('transfer-leader', '9'), 6);
  assert.is(await codeOf('members', 'list', '--cluster-key', join(cluster.dir, 'none')), 6);
  // The same address again is the same tracker: the first answer may have been lost.
  const add = async () => JSON.parse((await ok(cluster, 'members', 'add', '127.0.0.1:9', '--json')).stdout).number;
  assert.is(await add(), 4);
  assert.is(await add(), 4);
  const listed = await ok(cluster, 'members', 'list');
  assert.match(listed.stdout, /4 .*unreachable.*not come yet/);
  await ok(cluster, 'members', 'remove', '4');
  assert.is(await add(), 5);
  // A majority that is down cannot be left alone with the change.
  await cluster.tracker(2).kill();
  await cluster.leader();
  const unsafe = await admin(cluster, 'members', 'remove', '3');
  assert.is(unsafe.code, 7, unsafe.stderr);
});

test('transfer-leader: the chosen one leads; a stranger to the key may nothing', async ({ cluster }) => {
  const leader = await cluster.leader();
  const other = (leader % 3) + 1;
  const { stdout } = await ok(cluster, 'transfer-leader', String(other));
  assert.is(stdout, `Tracker ${other} leads now.\n`);
  assert.is(await cluster.leader(), other);
  await ok(cluster, 'transfer-leader');
  assert.is.not(await cluster.leader(), other);
  const strange = join(cluster.dir, 'strange');
  mkdirSync(strange);
  await run(cluster, 'init', '--cluster-key', join(strange, 'cluster.key'));
  const refused = await admin(cluster, 'members', 'list', '--cluster-key', join(strange, 'cluster.key'));
  assert.is(refused.code, 5, refused.stderr);
});

test('a tracker that nobody added waits, and says how it is let in', async ({ cluster }) => {
  const [port] = await freePorts(1);
  cluster.trackers.push(new TestTracker(4, port!, join(cluster.dir, 't4')));
  const fourth = cluster.spawn(4, '--listen', `127.0.0.1:${port}`);
  await until('it says so', () => /mt-trackerd members add/.test(fourth.stderr));
  await ok(cluster, 'members', 'add', `127.0.0.1:${port}`);
  await untilVoters(cluster, [1, 2, 3, 4]);
  assert.ok(fourth.isReady);
  // Its disk is lost: it comes back like the others.
  await fourth.kill();
  rmSync(fourth.dataDir, { recursive: true });
  cluster.spawn(4, '--listen', `127.0.0.1:${port}`);
  await until('it is ready', () => fourth.isReady);
  await untilVoters(cluster, [1, 2, 3, 4]);
  assert.ok(readFileSync(cluster.infoFile, 'utf8').split('\n').length === 4, 'the file was never touched');
});

test.run();
