// The leader is killed with -9 while a command of each kind is under way, and all trackers at once: nothing that was
// acknowledged is lost, nothing happens twice, users notice a pause at most.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HEARTBEAT_MS } from '../../codec/limits.ts';
import { sha1Of } from '../harness/files.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

/** A pause of users while a new leader is found; far more than it takes, the machine may be busy. */
const PAUSE_MS_MAX = 15_000;

async function everyTrackerIsLevel(world: World, from: Daemon): Promise<void> {
  await until(
    'all trackers have caught up',
    async () => {
      const { trackers, leader } = await world.status(from);
      return leader !== null && trackers.every(({ reachable, lag }) => reachable && lag === 0);
    },
    { timeoutMs: 20_000, everyMs: 100 },
  );
}

const test = suite('leader loss');

test(
  'the leader dies during every kind of command; each ends as if nothing had happened',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob, carol } = await world.people('alice', 'bob', 'carol');
    await world.group('lab', alice, bob);
    const { path, sha1 } = alice.file('f', 500_000);
    const g = alice.file('g', 300_000);
    const has = async (who: Daemon, command: string[], text: string, expected = true) => {
      const { stdout } = await who.mt(...command, '--json');
      assert.is(stdout.includes(text), expected, `${command.join(' ')}: ${text} in ${stdout}`);
    };
    /** Each command, who gives it, and how its effect is seen afterwards. */
    const commands: [who: Daemon, command: string[], check: () => Promise<void>][] = [
      [
        alice,
        ['create_user', 'dora', 'pw-dora'],
        () => alice.fails('USER_EXISTS', 'create_user', 'dora', 'x').then(() => {}),
      ],
      [alice, ['create_group', 'new'], () => has(bob, ['list_groups'], '"new"')],
      [carol, ['join_group', 'lab'], () => has(alice, ['list_requests', 'lab'], '"carol"')],
      [alice, ['accept_request', 'lab', 'carol'], () => has(bob, ['list_members', 'lab'], '"carol"')],
      [alice, ['upload_file', path, 'lab'], () => has(carol, ['list_files', 'lab'], sha1)],
      [bob, ['list_files', 'lab'], async () => {}],
      [bob, ['download_file', 'lab', 'f', '.'], async () => assert.is(sha1Of(bob.path('f')), sha1)],
      [bob, ['stop_share', 'lab', 'f'], () => has(alice, ['list_seeders', 'lab', 'f'], '"bob"', false)],
      [carol, ['join_group', 'new'], () => has(alice, ['list_requests', 'new'], '"carol"')],
      [alice, ['reject_request', 'new', 'carol'], () => has(alice, ['list_requests', 'new'], '"carol"', false)],
      [alice, ['upload_file', g.path, 'lab'], () => has(bob, ['list_files', 'lab'], g.sha1)],
      [alice, ['remove_file', 'lab', 'g'], () => has(bob, ['list_files', 'lab'], g.sha1, false)],
      [alice, ['transfer_ownership', 'lab', 'bob'], () => has(carol, ['list_groups'], '"owner":"bob"')],
      [bob, ['remove_member', 'lab', 'carol'], () => has(alice, ['list_members', 'lab'], '"carol"', false)],
      [alice, ['leave_group', 'new'], () => has(bob, ['list_groups'], '"new"', false)],
      [carol, ['logout'], async () => assert.equal(await carol.ok('whoami'), { user_id: null })],
      [carol, ['login', 'carol', 'pw-carol'], async () => assert.equal(await carol.ok('whoami'), { user_id: 'carol' })],
    ];
    let longestMs = 0;
    for (const [who, command, check] of commands) {
      const leader = await world.leader(alice);
      // The command is on its way when the leader dies: at a different moment of it each time.
      const startedAt = performance.now();
      const running = who.mt(...command, '--json', '--timeout', '20');
      const headStartMs = 60 + Math.random() * 120;
      await until('the command is under way', () => performance.now() - startedAt > headStartMs, { everyMs: 1 });
      await world.trackers.get(leader)!.kill();
      const result = await running;
      longestMs = Math.max(longestMs, result.elapsedMs);
      assert.is(
        result.code,
        0,
        `${command.join(' ')} (leader ${leader} killed after ${headStartMs.toFixed(0)} ms): ${JSON.stringify(result)}`,
      );
      await check();
      await world.startTracker(leader);
    }
    console.log(`longest command across a leader's death: ${longestMs.toFixed(0)} ms`);
    assert.ok(longestMs < PAUSE_MS_MAX, `${longestMs} ms`);
    await everyTrackerIsLevel(world, alice);
  }),
);

test(
  'all three trackers killed at once, in the middle of commands: nothing acknowledged is lost',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('lab', alice, bob);
    const { path, sha1 } = alice.file('f', 400_000);
    await alice.ok('upload_file', path, 'lab');
    for (let round = 1; round <= 3; round++) {
      const acknowledged: string[] = [];
      let isOver = false;
      const writers = [alice, bob].map(async (who) => {
        for (let i = 1; !isOver; i++) {
          const name = `r${round}-${who.name}-${i}`;
          const result = await who.mt('create_group', name, '--json', '--timeout', '1');
          if (result.code === 0) acknowledged.push(name);
        }
      });
      await until('some are acknowledged', () => acknowledged.length >= 6 + round, { timeoutMs: 60_000 });
      await Promise.all([...world.trackers.values()].map((tracker) => tracker.kill()));
      isOver = true;
      await Promise.all(writers);
      await world.startTrackers();
      await world.leader(alice);
      const { groups } = await bob.ok<{ groups: { group_id: string }[] }>('list_groups');
      const known = new Set(groups.map(({ group_id }) => group_id));
      assert.equal(
        acknowledged.filter((name) => !known.has(name)),
        [],
        `lost in round ${round}`,
      );
    }
    // Sessions, membership and files are there too, without a new login.
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
    await until('the shares are announced again', async () => {
      const { files } = await bob.ok<{ files: { seeders: number }[] }>('list_files', 'lab');
      return files[0]!.seeders === 1;
    });
    await bob.ok('download_file', 'lab', 'f', '.');
    assert.is(sha1Of(bob.path('f')), sha1);
    await everyTrackerIsLevel(world, alice);
  }),
);

test(
  'a tracker that comes back alone does not know who is logged in, and says nothing about it',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice } = await world.people('alice');
    await alice.ok('create_group', 'lab');
    await Promise.all([...world.trackers.values()].map((tracker) => tracker.kill()));
    await world.startTracker(1);
    await until('the daemon is connected to it', async () => {
      const { tracker } = await alice.ok<{ tracker: { connected: boolean } }>('status');
      return tracker.connected;
    });
    const connectedAt = performance.now();
    await until('two heartbeats have passed', () => performance.now() - connectedAt > 2 * HEARTBEAT_MS + 500);
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
    await Promise.all([world.startTracker(2), world.startTracker(3)]);
    await everyTrackerIsLevel(world, alice);
    const { groups } = await alice.ok<{ groups: unknown[] }>('list_groups');
    assert.is(groups.length, 1);
  }),
);

test(
  'a frozen leader (SIGSTOP) is replaced, and follows when it wakes',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice } = await world.people('alice');
    const leader = await world.leader(alice);
    world.trackers.get(leader)!.freeze();
    const result = await alice.mt('create_group', 'while-frozen', '--timeout', '20', '--json');
    assert.is(result.code, 0, JSON.stringify(result));
    assert.is.not(await world.leader(alice), leader); // later it may be elected again
    world.trackers.get(leader)!.thaw();
    await everyTrackerIsLevel(world, alice);
  }),
);

test(
  'a tracker that was away catches up by itself; without a quorum commands say so and nothing is lost',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob } = await world.people('alice', 'bob');
    const leader = await world.leader(alice);
    const [away, other] = [1, 2, 3].filter((number) => number !== leader) as [number, number];
    await world.trackers.get(away)!.kill();
    for (const name of ['a', 'b', 'c']) await alice.ok('create_group', name);
    await world.trackers.get(other)!.kill();
    const refused = await alice.mt('create_group', 'd', '--timeout', '2', '--json');
    assert.is(refused.code, 7, JSON.stringify(refused));
    assert.ok(
      ['NO_QUORUM', 'OUTCOME_UNKNOWN'].some((code) => refused.stdout.includes(code)),
      refused.stdout,
    );
    assert.ok(refused.elapsedMs < 8_000, `${refused.elapsedMs} ms`);
    await alice.fails('NO_QUORUM', 'list_groups', '--timeout', '2');
    const status = await world.status(alice);
    assert.is(status.leader, null, 'works without a quorum');
    assert.is(status.trackers.filter(({ reachable }) => reachable).length, 1);
    await world.startTracker(away);
    await alice.ok('create_group', 'e', '--timeout', '20');
    await world.startTracker(other);
    await everyTrackerIsLevel(world, alice);
    const { groups } = await bob.ok<{ groups: { group_id: string }[] }>('list_groups');
    const names = groups.map(({ group_id }) => group_id).filter((name) => name !== 'd');
    assert.equal(names.sort(), ['a', 'b', 'c', 'e']);
  }),
);

test.run();
