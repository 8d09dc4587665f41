// 3 → 5 → 3 → other trackers than those of the file, through the programs that a user runs, while users work.
import { spawn } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatAddress } from '../../codec/ids.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const test = suite('membership of a cluster that is in use');

/** mt-trackerd members … --json, by whoever holds the cluster key. */
function members(world: World, ...args: string[]): Promise<{ number: number }> {
  const argv = [BINS.trackerd, 'members', ...args, '--json', '--tracker-info', world.trackerInfo];
  const child = spawn(process.execPath, argv, { env: world.env, cwd: world.dir, stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(stdout)) : reject(new Error(`members: exit ${code}`)),
    );
  });
}

async function add(world: World, number: number): Promise<void> {
  const address = formatAddress(world.trackerAddress(number));
  assert.is((await members(world, 'add', address)).number, number, 'new trackers are appended');
  world.launchTracker(number, '--listen', address);
}

async function remove(world: World, number: number): Promise<void> {
  await members(world, 'remove', String(number));
  const program = world.trackers.get(number)!;
  await until(`tracker ${number} has stopped by itself`, () => !program.isRunning);
}

async function untilVoters(world: World, from: Daemon, ...numbers: number[]): Promise<void> {
  await until(
    `voters ${numbers}`,
    async () => {
      const { trackers } = await world.status(from);
      const voters = trackers.filter(({ role }) => role === 'leader' || role === 'follower');
      return voters.map(({ number }) => number).join() === numbers.join();
    },
    { timeoutMs: 30_000, everyMs: 100 },
  );
}

/** Makes groups one after the other. @returns what was acknowledged, once it is told to stop. */
function work(daemon: Daemon): { stop(): Promise<string[]> } {
  const made: string[] = [];
  let stopped = false;
  const loop = async () => {
    for (let i = 0; !stopped; i++) {
      await daemon.ok('create_group', `${daemon.name}-${i}`);
      made.push(`${daemon.name}-${i}`);
    }
    return made;
  };
  const done = loop();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

async function groupsOf(daemon: Daemon): Promise<string[]> {
  const { groups } = await daemon.ok<{ groups: { group_id: string }[] }>('list_groups');
  return groups.map(({ group_id }) => group_id);
}

test(
  'nothing is lost, numbers are not used again, and a daemon finds a cluster whose trackers are all other ones',
  inWorld(async (world) => {
    await world.startTrackers();
    const { ann, bob } = await world.people('ann', 'bob');
    const works = [work(ann), work(bob)];
    await add(world, 4);
    await add(world, 5);
    await untilVoters(world, ann, 1, 2, 3, 4, 5);
    await remove(world, 1);
    await remove(world, 2);
    await untilVoters(world, ann, 3, 4, 5);
    await add(world, 6);
    await untilVoters(world, ann, 3, 4, 5, 6);
    await remove(world, 3);
    const made = (await Promise.all(works.map((each) => each.stop()))).flat();
    assert.ok(made.length >= 8, `${made.length} commands while the trackers came and went`);

    // The file that ann's daemon is started with names trackers 1, 2 and 3 only.
    await ann.program.stop();
    await ann.start();
    const { trackers } = await world.status(ann);
    assert.equal(
      trackers.map(({ number, role }) => [number, role === 'leader' ? 'follower' : role]),
      [1, 2, 3, 4, 5, 6].map((number) => [number, number <= 3 ? 'removed' : 'follower']),
    );
    await ann.ok('create_group', 'after-all');
    for (const daemon of [ann, bob]) {
      const groups = new Set(await groupsOf(daemon));
      assert.equal(
        [...made, 'after-all'].filter((group) => !groups.has(group)),
        [],
        `${daemon.name} misses nothing`,
      );
      assert.is(groups.size, made.length + 1, 'and nothing happened twice');
    }
  }),
);

test.run();
