// Disks that fail or stall under real trackers: the kernel's answers are changed, nothing in the program.
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MARK_FILE } from '../../cluster/store/store.ts';
import { testOrSkip } from '../harness/skip.ts';
import { tamper, whyNoTampering } from '../harness/syscalls.ts';
import { type TestClient, TestCluster, type TestTracker, until } from './harness.ts';

const test = suite('disks that fail');

interface World {
  readonly cluster: TestCluster;
  /** The leader, whose disk is about to fail. */
  readonly leader: TestTracker;
  /** A user of another tracker. */
  readonly ann: TestClient;
  readonly acknowledged: string[];
}

function onCluster(body: (world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const cluster = await TestCluster.make(3);
    try {
      await cluster.start();
      const leader = cluster.tracker(await cluster.leader());
      const ann = await (await cluster.client((leader.number % 3) + 1)).signUp('ann');
      await body({ cluster, leader, ann, acknowledged: [] });
    } finally {
      await cluster.stop();
    }
  };
}

async function make({ ann, acknowledged }: World, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const group_id = `g-${acknowledged.length}`;
    await ann.command('create_group', { group_id });
    acknowledged.push(group_id);
  }
}

/** After a restart the tracker is a follower with all that was ever acknowledged. */
async function comesBack({ cluster, leader, ann, acknowledged }: World): Promise<void> {
  cluster.spawn(leader.number);
  await until('it is a follower again', async () => {
    const row = (await ann.call('tracker_status', {})).trackers[leader.number - 1]!;
    return row.role === 'follower' && row.lag === 0;
  });
  const client = await cluster.client(leader.number, ann.identity);
  client.session = ann.session;
  const { groups } = await client.read('list_groups', {});
  assert.equal(groups.map(({ group_id }) => group_id).sort(), [...acknowledged].sort());
}

const BROKEN: readonly [what: string, rule: string, file?: string][] = [
  ['the sync of a commit', 'fdatasync:error=EIO'],
  ["a write to SQLite's log", 'pwrite64:error=EIO'],
  ['the sync of what was promised', 'fdatasync:error=EIO', MARK_FILE],
];
for (const [what, rule, file] of BROKEN) {
  testOrSkip(
    test,
    `${what} fails: the process ends, and nothing that was acknowledged is lost`,
    whyNoTampering,
    onCluster(async (world) => {
      const { leader } = world;
      await make(world, 10);
      const end = await tamper(leader.process!.pid!, rule, file && join(leader.dataDir, file));
      await until('it has ended', async () => {
        await make(world, 1); // something to write
        return leader.process!.exitCode !== null;
      });
      await end();
      assert.is(await leader.exit, 1, leader.stderr);
      assert.match(leader.stderr, /EIO|SQLITE_IOERR/);
      leader.process = null;
      await make(world, 10);
      await comesBack(world);
    }),
  );
}

testOrSkip(
  test,
  'a stalled disk: another tracker leads while it lasts, and the stalled one follows afterwards',
  whyNoTampering,
  onCluster(async (world) => {
    const { leader, ann } = world;
    await make(world, 10);
    const end = await tamper(leader.process!.pid!, 'fdatasync:delay_enter=60000000');
    const stalledAtMs = performance.now();
    await make(world, 10);
    const tookMs = performance.now() - stalledAtMs;
    const status = await ann.call('tracker_status', {});
    assert.is.not(status.leader, leader.number);
    assert.is.not(status.leader, null);
    assert.is(status.trackers[leader.number - 1]!.role, 'unreachable');
    console.log(`  ten commands from the stall on: ${tookMs.toFixed(0)} ms`);
    assert.ok(tookMs < 15_000, `${tookMs} ms`); // of the minute that the stall lasts
    await end();
    await until('it follows', async () => {
      const row = (await ann.call('tracker_status', {})).trackers[leader.number - 1]!;
      return row.role === 'follower' && row.lag === 0;
    });
    assert.is(leader.process!.exitCode, null, 'it was never restarted');
    await make(world, 10);
  }),
);

test.run();
