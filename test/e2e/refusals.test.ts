// How the daemons refuse to start: a clear sentence on stderr, the number of the table, and nothing harmed.
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatAddress } from '../../codec/ids.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { inWorld, type World } from '../harness/world.ts';

/** Starts a program that must end by itself; returns its exit code and what it said. */
async function refused(
  world: World,
  bin: string,
  args: string[],
): Promise<{ code: number | null; said: string; ms: number }> {
  const startedAt = performance.now();
  const program = world.spawn('refused', bin, args);
  const { code } = await program.exit(15_000);
  assert.is(program.stdout, '', 'stdout carries no errors');
  assert.not.match(program.stderr, /^\s+at .*:\d+:\d+/m, 'no stack trace');
  return { code, said: program.stderr, ms: performance.now() - startedAt };
}

const test = suite('refusals');

test(
  '2: wrong arguments and wrong tracker files, for both daemons',
  inWorld(async (world) => {
    const bad = join(world.dir, 'bad.txt');
    writeFileSync(bad, '127.0.0.1\n5353\nnot an address !\n');
    const empty = join(world.dir, 'empty.txt');
    writeFileSync(empty, '# nothing\n');
    const cases: [bin: string, args: string[], says: RegExp][] = [
      [BINS.trackerd, [], /mt-trackerd/],
      [BINS.trackerd, [bad, '1'], /line 3/],
      [BINS.trackerd, [empty, '1'], /names no tracker/],
      [BINS.trackerd, [world.trackerInfo, '0'], /1/],
      [BINS.trackerd, [world.trackerInfo, '9'], /9/],
      [BINS.trackerd, [world.trackerInfo, 'one'], /one/],
      [BINS.trackerd, [world.trackerInfo, '1', '--no-such-flag'], /no-such-flag/],
      [BINS.peerd, [], /mt-peerd/],
      [BINS.peerd, ['127.0.0.1:1', bad], /line 3/],
      [BINS.peerd, ['127.0.0.1:1', empty], /names no tracker/],
      [BINS.peerd, ['nonsense', world.trackerInfo], /nonsense/],
      [BINS.peerd, ['127.0.0.1:99999', world.trackerInfo], /99999/],
      [BINS.peerd, ['127.0.0.1:1', world.trackerInfo, '--upload-limit', 'fast'], /fast/],
    ];
    for (const [bin, args, says] of cases) {
      const { code, said } = await refused(world, bin, args);
      assert.is(code, 2, `${args.join(' ')}: ${said}`);
      assert.match(said, says);
    }
    for (const [bin, args] of [
      [BINS.trackerd, [join(world.dir, 'none.txt'), '1']],
      [BINS.peerd, ['127.0.0.1:1', join(world.dir, 'none.txt')]],
    ] as const) {
      const { code, said } = await refused(world, bin, [...args]);
      assert.ok(code === 2 || code === 6, `${code}: ${said}`);
      assert.match(said, 'none.txt');
    }
    assert.equal(readdirSync(join(world.dir, 'state')), [], 'nothing was made');
  }, 1),
);

test(
  '9 ADDRESS_IN_USE: a taken port, for both daemons',
  inWorld(async (world) => {
    const daemon = world.daemon('alice');
    const servers = [world.trackerAddress(1), daemon.address].map(({ host, port }) =>
      createServer().listen(port, host),
    );
    await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
    try {
      const tracker = await refused(world, BINS.trackerd, [world.trackerInfo, '1']);
      assert.is(tracker.code, 9, tracker.said);
      assert.match(tracker.said, formatAddress(world.trackerAddress(1)));
      const peer = await refused(world, BINS.peerd, daemon.args);
      assert.is(peer.code, 9, peer.said);
      assert.match(peer.said, formatAddress(daemon.address));
    } finally {
      for (const server of servers) server.close();
    }
  }, 1),
);

test(
  '9 DATA_DIR_LOCKED: a second program on a data directory is told the full command that would start another one',
  inWorld(async (world) => {
    await world.startTracker(1);
    const alice = await world.daemon('alice').start();
    await alice.enter();
    const second = await refused(world, BINS.peerd, alice.args);
    assert.is(second.code, 9, second.said);
    assert.match(second.said, /mt-peerd .*--data-dir .*--socket /);
    const tracker = await refused(world, BINS.trackerd, [world.trackerInfo, '1', '--listen', '127.0.0.1:0']);
    assert.is(tracker.code, 9, tracker.said);
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' }, 'the first one is unharmed');
    await alice.ok('create_group', 'g');
    // kill -9 leaves no lock behind.
    await alice.program.kill();
    await alice.start();
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
  }, 1),
);

test(
  '5 UNTRUSTED_CLUSTER: a daemon that pins another key, and a tracker whose cluster key changed',
  inWorld(async (world) => {
    await world.startTracker(1);
    const pinned = join(world.dir, 'pinned.txt');
    writeFileSync(pinned, `${formatAddress(world.trackerAddress(1))}\nkey ${'ab'.repeat(32)}\n`);
    const alice = world.daemon('alice');
    const args = alice.args.map((arg) => (arg === world.trackerInfo ? pinned : arg));
    const program = world.spawn('mt-peerd pinned', BINS.peerd, args);
    await program.ready();
    const error = await alice.fails('UNTRUSTED_CLUSTER', 'create_user', 'alice', 'pw');
    assert.match(`${error.message} ${error.suggestion}`, /[0-9a-f]{64}/);
    await program.stop();
    // Learnt on first use on loopback, then held against a cluster with another key.
    const bob = await world.daemon('bob').start();
    await bob.enter();
    await world.trackers.get(1)!.kill();
    const { rmSync } = await import('node:fs');
    rmSync(join(world.dir, 'state'), { recursive: true });
    mkdirSync(join(world.dir, 'state'), { mode: 0o700 });
    await world.startTracker(1);
    await bob.fails('UNTRUSTED_CLUSTER', 'create_user', 'x', 'pw', '--timeout', '5');
  }, 1),
);

test(
  'off loopback: no key, no start (names init); no pin, no trust',
  inWorld(async (world) => {
    const info = join(world.dir, 'far.txt');
    writeFileSync(info, '192.0.2.1:5353\n192.0.2.2:5353\n192.0.2.3:5353\n');
    const { code, said } = await refused(world, BINS.trackerd, [info, '1', '--listen', '127.0.0.1:0']);
    assert.ok(code !== 0 && code !== null);
    assert.match(said, 'mt-trackerd init');
  }, 1),
);

test(
  'permissions: a cluster key that others can read is refused; what we make is 0600 and 0700',
  inWorld(async (world) => {
    await world.startTracker(1);
    const alice = await world.daemon('alice').start();
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    const state = join(world.dir, 'state', 'mini-torrent');
    assert.is(mode(join(state, 'cluster.key')), '600');
    assert.is(mode(join(state, 'tracker-1')), '700');
    assert.is(mode(alice.path('data')), '700');
    assert.is(mode(alice.socket), '600');
    assert.not.ok(existsSync(join(state, 'tracker-1', 'cluster.key')));
    await world.trackers.get(1)!.stop();
    chmodSync(join(state, 'cluster.key'), 0o644);
    const { code, said } = await refused(world, BINS.trackerd, [world.trackerInfo, '1']);
    assert.ok(code !== 0, said);
    assert.match(said, 'cluster.key');
  }, 1),
);

test(
  'start and stop: quit at the terminal, end of input is not quit, SIGINT, a stale socket is replaced',
  inWorld(async (world) => {
    const tracker = await world.startTracker(1);
    assert.match(tracker.stdout, `mt-trackerd 1 ready on ${formatAddress(world.trackerAddress(1))}`);
    const alice = await world.daemon('alice').start();
    assert.match(alice.program.stdout, `mt-peerd ready on ${formatAddress(alice.address)}, socket ${alice.socket}`);
    await alice.program.kill();
    assert.ok(existsSync(alice.socket), 'kill -9 leaves its socket');
    await alice.start();
    alice.program.endInput();
    await alice.enter();
    assert.ok(alice.program.isRunning);
    await alice.program.stop('SIGINT');
    tracker.type('quit');
    assert.equal(await tracker.exit(), { code: 0, signal: null });
    const again = await world.startTracker(1);
    again.endInput();
    await alice.start();
    await until('the tracker serves', async () => (await alice.mt('list_groups')).code === 0);
    assert.ok(again.isRunning, 'end of file is not quit');
    await again.stop('SIGINT');
    // A daemon is ready without trackers.
    await alice.program.stop();
    await alice.start();
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
  }, 1),
);

test(
  'a peer daemon takes ip and port apart too; secrets are in no log, no file name, no title',
  inWorld(async (world) => {
    await world.startTracker(1);
    const alice = world.daemon('alice');
    const { host, port } = alice.address;
    const program = world.spawn('mt-peerd', BINS.peerd, [
      host,
      String(port),
      ...alice.args.slice(1),
      '--log-level',
      'debug',
    ]);
    await program.ready();
    await alice.ok('create_user', 'alice', 'correct-horse-battery');
    await alice.ok('login', 'alice', 'correct-horse-battery');
    await alice.fails('BAD_CREDENTIALS', 'login', 'alice', 'wrong-horse-battery').catch(() => {});
    const byStdin = await world.mt(
      alice.socket,
      ['create_user', 'second', '--password-stdin', '--json'],
      world.dir,
      {},
      'from-stdin-pw\n',
    );
    assert.is(byStdin.code, 0, JSON.stringify(byStdin));
    for (const secret of ['correct-horse-battery', 'from-stdin-pw']) {
      assert.not.match(program.stderr + world.trackers.get(1)!.stderr, secret);
    }
    await alice.ok('logout');
    await alice.ok('login', 'second', 'from-stdin-pw');
  }, 1),
);

test.run();
