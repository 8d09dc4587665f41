// Trackers cut off from each other, fully, one-way and in part, with users on both sides: what the users saw must fit one order of things.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { whyNoContainers } from './engine.ts';
import { Load } from './load.ts';
import { ContainerWorld, type Host, type Peer } from './world.ts';

const PROGRESS_MS_MAX = 20_000;
/** Keep-alives of a daemon, and then some. */
const NOTICED_MS_MAX = 40_000;
const reason = await whyNoContainers();
const test = suite('containers: partitions');
let world: ContainerWorld;
let groups = 0;
let setUpError: unknown = null;

test.before(async () => {
  if (reason !== null) return;
  world = new ContainerWorld();
  await world.start().catch(async (error: unknown) => {
    setUpError = error;
    console.error(await world.logs());
  });
});

test.after(async () => {
  await world?.close();
});

/** Runs a fault under load, heals, and asks whether the history is linearizable and everyone is served again. */
function underLoad(body: (load: Load) => Promise<void>): () => Promise<void> {
  return async () => {
    if (setUpError) throw setUpError;
    await world.whole();
    groups += 1;
    const load = new Load(world.peers, `p${groups}`);
    try {
      await progress(load, world.peers);
      await body(load);
      await world.heal();
      await progress(load, world.peers);
      const { answered, refused, unknown } = await load.stop();
      console.log(`    ${answered} answered, ${refused} refused, ${unknown} unknown; seed ${load.seed}`);
    } catch (error) {
      await load.stop().catch(() => {});
      console.error(await world.logs());
      throw error;
    } finally {
      await world.heal();
    }
  };
}

let attempts = 0;
/** Tries to make a group. Returns its name when that was refused for want of a quorum, null when nobody knows. */
async function refused(peer: Peer): Promise<string | null> {
  attempts += 1;
  const group_id = `lonely-${attempts}`;
  const error = await peer.call('create_group', { group_id }, 1_000).catch((thrown: unknown) => thrown);
  if (isMtError(error, 'NO_QUORUM', 'TRACKER_UNREACHABLE')) return group_id;
  assert.ok(isMtError(error, 'OUTCOME_UNKNOWN'), `neither refused nor unknown: ${JSON.stringify(error)}`);
  return null;
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

async function roles(): Promise<{ leader: Host; others: Host[] }> {
  const number = await world.leader();
  const others = [...world.trackers].filter(([other]) => other !== number).map(([, host]) => host);
  return { leader: world.tracker(number), others };
}

testOrSkip(
  test,
  'the leader and a peer are cut off from all: they are refused, the others go on',
  reason,
  underLoad(async (load) => {
    const { leader, others } = await roles();
    const [lonely, ...rest] = world.peers as [Peer, ...Peer[]];
    await world.partition([leader, lonely], [...others, ...rest]);
    await progress(load, rest);
    const before = load.of(lonely);
    // Until the daemon has noticed that its tracker is silent, or the leader that it is alone, a command's fate is honestly unknown.
    const refusedId = await until('a command is refused', () => refused(lonely), { timeoutMs: NOTICED_MS_MAX });
    assert.is(load.of(lonely).answered, before.answered, 'the minority answers nobody');
    await progress(load, rest);
    await world.heal();
    const { groups: list } = await rest[0]!.call('list_groups', {});
    assert.not.ok(
      list.some(({ group_id }) => group_id === refusedId),
      'what was refused was not done',
    );
  }),
);

testOrSkip(
  test,
  'nobody hears the leader, which hears everyone',
  reason,
  underLoad(async (load) => {
    const { leader, others } = await roles();
    for (const other of others) await world.cut(leader, other);
    await progress(load, world.peers);
  }),
);

testOrSkip(
  test,
  'the leader hears nobody, and everyone hears it',
  reason,
  underLoad(async (load) => {
    const { leader, others } = await roles();
    for (const other of others) await world.cut(other, leader);
    await progress(load, world.peers);
  }),
);

testOrSkip(
  test,
  'the leader and one follower do not see each other, the third sees both',
  reason,
  underLoad(async (load) => {
    const { leader, others } = await roles();
    await world.partition([leader], [others[0]!]);
    await progress(load, world.peers);
  }),
);

testOrSkip(
  test,
  'each peer sees another tracker only',
  reason,
  underLoad(async (load) => {
    for (const [i, peer] of world.peers.entries()) {
      const unseen = [...world.trackers.values()].filter((_, at) => at !== i);
      await world.partition([peer], unseen);
    }
    await progress(load, world.peers);
  }),
);

testOrSkip(
  test,
  'the trackers agree on one history, and every acknowledged command is in it once',
  reason,
  async () => {
    if (setUpError) throw setUpError;
    await world.whole();
    // A tracker's disk knows a moment after its log how far that is decided: verify reads the disk.
    const agree = async () => new Set(await Promise.all([...world.trackers.values()].map(stateHash))).size === 1;
    await until('all disks hold one state', agree, { timeoutMs: PROGRESS_MS_MAX, everyMs: 200 });
    const count = 20;
    await Promise.all(
      world.peers.map(async (peer) => {
        for (let i = 0; i < count; i++) await peer.call('create_group', { group_id: `once-${peer.name}-${i}` });
      }),
    );
    await until('all groups are in the log', async () => (await creations(world.tracker(1))).size === count * 3);
    const times = await creations(world.tracker(1));
    assert.ok([...times.values()].every((n) => n === 1));
  },
);

/** Index and hash of the state that the log on this tracker's disk gives, after every checksum in it was found right. */
async function stateHash(host: Host): Promise<string> {
  const verified = await host.exec('mt-trackerd', 'verify', '--data-dir', `/data/mini-torrent/${host.name}`);
  assert.is(verified.exitCode, 0, verified.stderr);
  return /state hash at .*$/m.exec(verified.stdout)![0];
}

/** How often each group of the test was made, by the event log of one tracker. */
async function creations(host: Host): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  const { stdout } = await host.exec(
    'mt-trackerd',
    'events',
    '--data-dir',
    `/data/mini-torrent/${host.name}`,
    '--json',
  );
  for (const line of stdout.split('\n').filter((text) => text.includes('"once-'))) {
    const { type, group_id } = JSON.parse(line) as { type: string; group_id: string };
    if (type === 'group_created') times.set(group_id, (times.get(group_id) ?? 0) + 1);
  }
  return times;
}

test.run();
