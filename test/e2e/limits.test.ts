// What crowds may do to a tracker or a daemon, small enough for every day; `npm run test:limits` runs the same at full size.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inWorld } from '../harness/world.ts';
import { atDaemon, atTracker, Crowd, feel, honest, memoryMiB } from '../limits/scenes.ts';

/** The promise is 100 ms; a machine that runs other tests beside this one gets some room. */
const FELT_MS_MAX = 250;
const test = suite('limits');

test(
  'idle, half-open and slow connections, floods and deaf ears at a tracker: the others are served',
  inWorld(async (world) => {
    await world.startTracker(1);
    const member = await honest(world);
    const outcomes = [
      await atTracker(world, member, { mode: 'idle', count: 600 }, ({ open }) => open === 600),
      await atTracker(
        world,
        member,
        { mode: 'half', count: 800, addresses: 1 },
        ({ closed, done }) => done && closed > 250,
      ),
      await atTracker(world, member, { mode: 'slow', count: 100 }, ({ closed }) => closed === 100),
      await atTracker(world, member, { mode: 'flood', count: 4 }, ({ done }) => done),
      await atTracker(world, member, { mode: 'deaf', count: 20 }, ({ done }) => done),
    ];
    for (const { scene, medianMs, rssMiB } of outcomes) {
      assert.ok(medianMs < FELT_MS_MAX, `${scene}: others' commands took ${medianMs} ms`);
      assert.ok(rssMiB < 600, `${scene}: ${rssMiB} MiB`);
    }
    assert.ok(outcomes[1]!.open <= 512, `${outcomes[1]!.open} half-open ones of one address`);
    member.close();
  }, 1),
);

test(
  'a frame that never becomes whole is given up, and its sender with it',
  inWorld(async (world) => {
    await world.startTracker(1);
    const crowd = Crowd.gather(world, { mode: 'begun', count: 20, to: world.trackerAddress(1) });
    try {
      await crowd.when('all are cut', ({ closed }) => closed === 20);
    } finally {
      await crowd.leave();
    }
  }, 1),
);

test(
  'limits of connections are what the user says: in all, and from one address',
  inWorld(async (world) => {
    await world.launchTracker(1, '--max-connections', '60', '--max-connections-per-address', '10').ready();
    const member = await honest(world);
    const one = Crowd.gather(world, { mode: 'idle', count: 30, to: world.trackerAddress(1), addresses: 1 });
    await one.when('ten are in', ({ open, closed }) => open === 10 && closed >= 20);
    const many = Crowd.gather(world, { mode: 'idle', count: 80, to: world.trackerAddress(1), addresses: 40 });
    await many.when('the rest is full', ({ open, done }) => done && open <= 50 && open >= 40);
    assert.ok((await feel(world, member)).medianMs < FELT_MS_MAX, 'whoever is in is served');
    await Promise.all([one.leave(), many.leave()]);
    member.close();
  }, 1),
);

test(
  'idle peers with tickets at a daemon: its owner and other peers are served',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { open } = await atDaemon(world, 150);
    assert.is(open, 150);
    assert.ok(memoryMiB(world.daemons[0]!.program) < 500);
  }, 1),
);

test.run();
