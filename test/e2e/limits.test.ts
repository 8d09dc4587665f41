// What crowds may do to a tracker or a daemon, small enough for every day; `npm run test:limits` runs the same at full size, where
// the promised times are held against it. Most of these wait for a time-out of ours, so they wait at the same time.
import { connect, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame, encodeFrameHeader } from '../../codec/frames.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { inWorld } from '../harness/world.ts';
import { atDaemon, atTracker, Crowd, feel, honest, memoryMiB } from '../limits/scenes.ts';

/** The promise is 100 ms; a machine that runs other tests beside this one gets some room. */
const FELT_MS_MAX = 250;
const test = suite('limits');

/** Begins with the first test; looked at in its own. */
const begun = (body: () => Promise<void>) => {
  const run = body();
  run.catch(() => {});
  return () => run;
};

const atDaemons = begun(
  inWorld(async (world) => {
    await world.startTracker(1);
    const { open } = await atDaemon(world, 'peers', 60);
    assert.is(open, 60);
    assert.ok(memoryMiB(world.daemons[0]!.program) < 500);
    // They ask for content and never read it; strangers finish no handshake. The door is the same.
    const alice = world.daemons[0]!;
    const slow = ['half', 'slow'] as const;
    const crowds = slow.map((mode) => Crowd.gather(world, { mode, count: 60, to: alice.address, addresses: 2 }));
    const sponges = await atDaemon(world, 'sponges', 10);
    assert.is(sponges.open, 10);
    assert.ok(memoryMiB(alice.program) < 500);
    await Promise.all(crowds.map((crowd) => crowd.when('strangers are cut', ({ closed }) => closed === 60)));
    await Promise.all(crowds.map((crowd) => crowd.leave()));
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
  }, 1),
);

const neverWhole = begun(
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

const asTheUserSays = begun(
  inWorld(async (world) => {
    await world.launchTracker(1, '--max-connections', '60', '--max-connections-per-address', '10').ready();
    const member = await honest(world);
    const one = Crowd.gather(world, { mode: 'idle', count: 30, to: world.trackerAddress(1), addresses: 1 });
    await one.when('ten are in', ({ open, closed }) => open === 10 && closed >= 20);
    const many = Crowd.gather(world, { mode: 'idle', count: 80, to: world.trackerAddress(1), addresses: 40 });
    await many.when('the rest is full', ({ open, done }) => done && open <= 50 && open >= 40);
    assert.ok((await feel(member, 30)).medianMs < FELT_MS_MAX, 'whoever is in is served');
    await Promise.all([one.leave(), many.leave()]);
    member.close();
  }, 1),
);

test(
  'idle, half-open and slow connections, floods and deaf ears at a tracker: the others are served',
  inWorld(async (world) => {
    await world.startTracker(1);
    const member = await honest(world);
    const options = { samples: 24 };
    // Cut by a time-out of 10 s, meanwhile the rest goes on.
    const slow = Crowd.gather(world, { mode: 'slow', count: 60, to: world.trackerAddress(1) });
    const half = { mode: 'half', count: 700, addresses: 1 } as const;
    const outcomes = [
      await atTracker(world, member, { mode: 'flood', count: 4 }, ({ done }) => done, options),
      await atTracker(world, member, { mode: 'deaf', count: 6 }, ({ done }) => done, options),
      await atTracker(world, member, { mode: 'writes', count: 2 }, ({ open }) => open === 2, options),
      await atTracker(world, member, { mode: 'logins', count: 2 }, ({ done }) => done, options),
      await atTracker(world, member, { mode: 'idle', count: 200 }, ({ open }) => open === 200, options),
      await atTracker(world, member, half, ({ closed, done }) => done && closed > 150, options),
    ];
    for (const { scene, medianMs, rssMiB } of outcomes) {
      assert.ok(medianMs < FELT_MS_MAX, `${scene}: others' commands took ${medianMs} ms`);
      assert.ok(rssMiB < 600, `${scene}: ${rssMiB} MiB`);
    }
    assert.ok(outcomes.at(-1)!.open <= 512, `${outcomes.at(-1)!.open} half-open ones of one address`);
    await slow.when('the slow are cut', ({ closed }) => closed === 60);
    await slow.leave();
    member.close();
  }, 1),
);

test(
  'at the control socket: strangers that never finish are cut, others are served meanwhile',
  begun(
    inWorld(async (world) => {
      const alice = await world.daemon('alice').start();
      const sockets: Socket[] = [];
      let closed = 0;
      const hello = encodeFrame(
        'hello',
        encodeCbor({ versions: { min: 1, max: 1 }, hello: { program: 'x', version: '0' } }),
      );
      const says = [
        Buffer.alloc(0),
        hello.subarray(0, 9),
        Buffer.from('GET / HTTP/1.1\r\n'),
        encodeFrameHeader('hello', 2 ** 31),
      ];
      for (let i = 0; i < 200; i++) {
        // Read, or its end would not be heard.
        const socket = connect(alice.socket)
          .on('error', () => {})
          .resume();
        socket.on('close', () => closed++);
        socket.write(says[i % says.length]!);
        sockets.push(socket);
      }
      assert.equal(await alice.ok('whoami'), { user_id: null });
      await until('all are cut', () => closed === sockets.length, { timeoutMs: 15_000 });
      assert.equal(await alice.ok('whoami'), { user_id: null });
    }, 1),
  ),
);

test(
  'groups and files per user are what whoever holds the cluster key says; beyond it a clear error, and others are served',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob } = await world.people('alice', 'bob');
    const limits = async (...args: string[]) => {
      const program = world.spawn('limits', BINS.trackerd, [
        'limits',
        '--tracker-info',
        world.trackerInfo,
        '--json',
        ...args,
      ]);
      assert.is((await program.exit()).code, 0, program.stderr);
      return JSON.parse(program.stdout);
    };
    assert.equal(await limits(), { groups_per_user: 100_000, files_per_user: 100_000 });
    await world.group('lab', alice, bob);
    await alice.ok('create_group', 'two');
    assert.equal(await limits('--files-per-user', '2'), { groups_per_user: 100_000, files_per_user: 2 });
    assert.equal(await limits('--groups-per-user', '3'), { groups_per_user: 3, files_per_user: 2 });
    for (const name of ['a', 'b', 'c']) alice.file(name, 1_000);
    await alice.ok('upload_file', 'a', 'lab');
    await alice.ok('upload_file', 'b', 'lab');
    const files = await alice.fails('FORBIDDEN', 'upload_file', 'c', 'lab');
    assert.match(files.message, '2');
    await alice.ok('create_group', 'three');
    const groups = await alice.fails('FORBIDDEN', 'create_group', 'four');
    assert.match(groups.message, '3');
    await bob.ok('create_group', 'mine');
    await alice.ok('stop_share', 'lab', 'a');
    await alice.ok('upload_file', 'c', 'lab');
    await world.killLeader(alice);
    assert.equal(await limits(), { groups_per_user: 3, files_per_user: 2 }, 'it is in the log');
  }),
);

test('a frame that never becomes whole is given up, and its sender with it', neverWhole);
test('limits of connections are what the user says: in all, and from one address', asTheUserSays);
test(
  'peers with tickets that are idle, or ask and never read, and strangers at a daemon: its owner and other peers are served',
  atDaemons,
);

test.run();
