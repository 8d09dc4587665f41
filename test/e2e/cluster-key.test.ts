// The cluster key and who is trusted: on loopback made once by whoever starts first, elsewhere by `mt-trackerd init` alone; daemons
// that have no pin off loopback refuse and show what they saw; another key than the known one is refused loudly.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fingerprintOf, parseClusterKeyPem } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { sha1Of } from '../harness/files.ts';
import { netnsRefusal, withNetns } from '../harness/netns.ts';
import { BINS } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { inWorld, type World } from '../harness/world.ts';

const test = suite('cluster key');
const ROUNDS = 3;

const keyPath = (world: World) => join(world.dir, 'state', 'mini-torrent', 'cluster.key');
const fingerprint = (world: World) => fingerprintOf(parseClusterKeyPem(readFileSync(keyPath(world), 'utf8'))[0]!);
/** Ends by itself, refused. */
async function refused(world: World, bin: string, args: string[]): Promise<{ code: number | null; said: string }> {
  const program = world.spawn('refused', bin, args);
  const { code } = await program.exit(15_000);
  assert.is(program.stdout, '');
  return { code, said: program.stderr };
}

test('loopback: five trackers that start at the same moment make one key and form one cluster, every time', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await inWorld(async (world) => {
      await world.startTrackers();
      assert.equal(
        readdirSync(join(world.dir, 'state', 'mini-torrent')).filter((name) => name.startsWith('cluster.key')),
        ['cluster.key'],
      );
      assert.is(statSync(keyPath(world)).mode & 0o777, 0o600);
      assert.is(parseClusterKeyPem(readFileSync(keyPath(world), 'utf8')).length, 1);
      const alice = await world.daemon('alice').start();
      await until('each is under the key that the others trust', async () =>
        (await world.status(alice)).trackers.every(({ reachable }) => reachable),
      );
      // It stays: a restart makes no other one.
      const before = fingerprint(world);
      await world.trackers.get(1)!.kill();
      await world.startTracker(1);
      assert.is(fingerprint(world), before);
    }, 5)();
  }
});

test(
  'a key that others may read, or that lies in the data directory, is refused; nothing is made',
  inWorld(async (world) => {
    await world.startTracker(1);
    await world.trackers.get(1)!.stop();
    for (const mode of [0o640, 0o604, 0o644, 0o620, 0o610]) {
      chmodSync(keyPath(world), mode);
      const { code, said } = await refused(world, BINS.trackerd, [world.trackerInfo, '1']);
      assert.is(code, 9, `mode ${mode.toString(8)}: ${said}`);
      assert.match(said, `chmod 600 ${keyPath(world)}`);
    }
    chmodSync(keyPath(world), 0o600);
    const data = join(world.dir, 'state', 'mini-torrent', 'tracker-1');
    const inside = join(data, 'cluster.key');
    const { code, said } = await refused(world, BINS.trackerd, [world.trackerInfo, '1', '--cluster-key', inside]);
    assert.is(code, 2, said);
    assert.not.ok(existsSync(inside));
    await world.startTracker(1);
  }, 1),
);

const NET = '198.51.100';
const at = (host: number, port: number): Address => ({ host: `${NET}.${host}`, port });
/** Three trackers and some daemons at addresses that are no loopback ones. */
function offLoopback(body: (world: World) => Promise<void>): () => Promise<void> {
  const addresses = [1, 2, 3].map((host) => at(host, 5353)).concat([11, 12, 13].map((host) => at(host, 18_000)));
  return () =>
    withNetns(
      addresses.map(({ host }) => host),
      (netns) => inWorld(body, { trackerCount: 3, addresses, netns })(),
    );
}

testOrSkip(
  test,
  'off loopback: no key, no start; init makes it; daemons pin it, or refuse, or are told to trust; another key is refused loudly',
  netnsRefusal(),
  offLoopback(async (world) => {
    const keyless = await refused(world, BINS.trackerd, [world.trackerInfo, '1']);
    assert.is(keyless.code, 6, keyless.said);
    assert.match(keyless.said, 'mt-trackerd init');
    assert.not.ok(existsSync(keyPath(world)), 'nobody but init makes one');
    const init = world.spawn('init', BINS.trackerd, ['init']);
    assert.is((await init.exit()).code, 0);
    assert.is(statSync(keyPath(world)).mode & 0o777, 0o600);
    assert.match(init.stdout, `key ${fingerprint(world)}`);
    const again = await refused(world, BINS.trackerd, ['init']);
    assert.is(again.code, 10, again.said);
    await world.startTrackers();

    // No pin: refused, with the fingerprint that was seen and what to do.
    const alice = await world.daemon('alice').start();
    const error = await alice.fails('UNTRUSTED_CLUSTER', 'create_user', 'alice', 'pw');
    assert.match(`${error.message}`, fingerprint(world));
    assert.match(`${error.suggestion}`, `key ${fingerprint(world)}`);
    assert.match(`${error.suggestion}`, '--trust-first-use');
    await alice.program.stop();
    // Told to trust: learned, and kept without being told again.
    await alice.start('--trust-first-use');
    await alice.enter();
    await alice.program.stop();
    await alice.start();
    await alice.ok('create_group', 'lab');
    // Pinned by the tracker file.
    const pinned = join(world.dir, 'pinned.txt');
    const text = readFileSync(world.trackerInfo, 'utf8');
    writeFileSync(pinned, `${text}key ${fingerprint(world)}\n`);
    const bob = world.daemon('bob');
    const withInfo = (info: string) => bob.args.map((arg) => (arg === world.trackerInfo ? info : arg));
    const bobs = world.spawn('mt-peerd bob', BINS.peerd, withInfo(pinned));
    await bobs.ready();
    await bob.enter();
    await bob.ok('join_group', 'lab');
    await alice.ok('accept_request', 'lab', 'bob');
    const { path, sha1 } = alice.file('f', 300_000);
    await alice.ok('upload_file', path, 'lab');
    await bob.ok('download_file', 'lab', 'f', '.');
    assert.is(sha1Of(bob.path('f')), sha1);

    // The cluster is founded anew, under another key: nobody who knew the old one follows, pinned, learned or told to trust.
    await bobs.stop();
    await Promise.all([...world.trackers.values()].map((tracker) => tracker.stop()));
    const old = fingerprint(world);
    rmSync(join(world.dir, 'state'), { recursive: true });
    mkdirSync(join(world.dir, 'state'), { mode: 0o700 });
    assert.is((await world.spawn('init', BINS.trackerd, ['init']).exit()).code, 0);
    assert.is.not(fingerprint(world), old);
    await world.startTrackers();
    const loud = await alice.fails('UNTRUSTED_CLUSTER', 'create_user', 'x', 'pw', '--timeout', '5');
    assert.match(loud.message, fingerprint(world));
    assert.match(loud.message, old);
    await alice.program.stop();
    await alice.start('--trust-first-use');
    await alice.fails('UNTRUSTED_CLUSTER', 'create_user', 'x', 'pw', '--timeout', '5');
    const again2 = world.spawn('mt-peerd bob', BINS.peerd, withInfo(pinned));
    await again2.ready();
    await bob.fails('UNTRUSTED_CLUSTER', 'create_user', 'x', 'pw', '--timeout', '5');
    // A tracker whose own file pins another key does not start.
    const { code, said } = await refused(world, BINS.trackerd, [pinned, '1']);
    assert.is(code, 5, said);
    assert.match(said, fingerprint(world));
  }),
);

test.run();
