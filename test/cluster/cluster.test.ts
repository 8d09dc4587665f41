import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, TestCluster, until } from './harness.ts';

const test = suite<{ cluster: TestCluster }>('three real trackers');
test.before.each(async (context) => {
  context.cluster = await TestCluster.make(3);
});
test.after.each(({ cluster }) => cluster.stop());

test('form a cluster, and any of them serves any client', async ({ cluster }) => {
  await cluster.start();
  const ann = await (await cluster.client(1)).signUp('ann');
  const bob = await (await cluster.client(2)).signUp('bob');
  const cat = await (await cluster.client(3)).signUp('cat');
  await ann.command('create_group', { group_id: 'team' });
  assert.equal(await bob.read('list_groups', {}), {
    groups: [{ group_id: 'team', owner: 'ann', members: 1, standing: 'none' }],
    next: null,
  });
  await bob.command('join_group', { group_id: 'team' });
  await cat.command('join_group', { group_id: 'team' });
  const { requests } = await ann.read('list_requests', { group_id: 'team' });
  assert.equal(
    requests.map(({ user_id }) => user_id),
    ['bob', 'cat'],
  );
  await ann.command('accept_request', { group_id: 'team', user_id: 'bob' });
  assert.is(await codeOf(cat.read('list_members', { group_id: 'team' })), 'NOT_MEMBER');
  const { members } = await bob.read('list_members', { group_id: 'team' });
  assert.equal(members, [
    { user_id: 'ann', owner: true, online: true },
    { user_id: 'bob', owner: false, online: true },
  ]);
  assert.is(await codeOf(ann.command('create_group', { group_id: 'team' })), 'GROUP_EXISTS');
});

test("the leader's kill -9 loses nothing, and it catches up when it comes back", async ({ cluster }) => {
  await cluster.start();
  const first = await cluster.leader();
  const others = [1, 2, 3].filter((number) => number !== first);
  const ann = await (await cluster.client(others[0]!)).signUp('ann');
  for (let i = 0; i < 50; i++) await ann.command('create_group', { group_id: `before-${i}` });
  const killed = cluster.tracker(first).kill();
  const started = performance.now();
  for (let i = 0; i < 50; i++) await ann.command('create_group', { group_id: `after-${i}` });
  const tookMs = performance.now() - started;
  await killed;
  assert.ok(tookMs < 9_000, `failover took ${tookMs} ms`); // a second; on a slow machine several
  const { groups } = await ann.read('list_groups', {});
  assert.is(groups.length, 100);
  const second = await cluster.leader();
  assert.is.not(second, first);

  cluster.spawn(first);
  await until('the old leader has caught up', async () => {
    const { trackers } = await ann.call('tracker_status', {});
    const row = trackers.find(({ number }) => number === first)!;
    return row.role === 'follower' && row.lag === 0;
  });
  const again = await cluster.client(first, ann.identity);
  again.session = ann.session;
  assert.is((await again.read('list_groups', {})).groups.length, 100);
});

test('a repeated request is applied once and gets its first reply', async ({ cluster }) => {
  await cluster.start();
  const ann = await (await cluster.client(1)).signUp('ann');
  const request = ann.nextRequest();
  const params = { request, session: ann.session, group_id: 'team' };
  await ann.call('create_group', params);
  assert.equal(await ann.call('create_group', params), {});
  const other = await cluster.client(2, ann.identity);
  assert.equal(await other.call('create_group', params), {}, 'through another tracker too');
});

test('without a majority nothing is decided, and the commands work again when it is back', async ({ cluster }) => {
  await cluster.start();
  const ann = await (await cluster.client(1)).signUp('ann');
  await Promise.all([cluster.tracker(2).kill(), cluster.tracker(3).kill()]);
  const request = ann.nextRequest();
  const params = { request, session: ann.session, group_id: 'team' };
  const code = await codeOf(ann.call('create_group', params, { timeoutMs: 700 }));
  assert.ok(['NO_QUORUM', 'OUTCOME_UNKNOWN'].includes(code), code);
  assert.is(
    await codeOf(ann.call('list_groups', { session: ann.session, after: null, limit: 10 }, { timeoutMs: 500 })),
    'NO_QUORUM',
  );
  const { trackers } = await ann.call('tracker_status', {});
  assert.equal(
    trackers.map(({ reachable }) => reachable),
    [true, false, false],
  );
  cluster.spawn(2);
  await ann.call('create_group', params);
  assert.is((await ann.read('list_groups', {})).groups.length, 1);
});

test('all three killed at once keep everything that was acknowledged', async ({ cluster }) => {
  await cluster.start();
  const ann = await (await cluster.client(1)).signUp('ann');
  for (let i = 0; i < 20; i++) await ann.command('create_group', { group_id: `g${i}` });
  await Promise.all(cluster.trackers.map((tracker) => tracker.kill()));
  await cluster.start();
  const again = await cluster.client(2, ann.identity);
  again.session = ann.session;
  assert.is((await again.read('list_groups', {})).groups.length, 20);
});

test('a wiped tracker comes back as a learner and ends as a voter', async ({ cluster }) => {
  await cluster.start();
  const ann = await (await cluster.client(1)).signUp('ann');
  await ann.command('create_group', { group_id: 'team' });
  await cluster.tracker(3).kill();
  const { rmSync } = await import('node:fs');
  rmSync(cluster.tracker(3).dataDir, { recursive: true });
  cluster.spawn(3);
  await until('tracker 3 is a follower again', async () => {
    const { trackers } = await ann.call('tracker_status', {});
    return trackers.length === 3 && trackers[2]!.role === 'follower' && trackers[2]!.lag === 0;
  });
  // It counts again: the other two need it when one of them is gone.
  await cluster.tracker(2).kill();
  await ann.command('create_group', { group_id: 'another' });
  const again = await cluster.client(3, ann.identity);
  again.session = ann.session;
  assert.is((await again.read('list_groups', {})).groups.length, 2);
});

test.run();
