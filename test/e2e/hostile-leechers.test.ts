// Whoever has no right to a file gets no byte of it, whatever it says at the door, while a real member downloads undisturbed.
// The cheats know everything but the keys: names, hashes, addresses, and here even tickets signed by the cluster's own key.
import { createPrivateKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeClusterKeyPem, makeDaemonIdentity } from '../../codec/identity.ts';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { encodePeerFrame } from '../../codec/peer-messages.ts';
import { signTicket, type Ticket } from '../../codec/ticket.ts';
import { manifestOf, sha1Of } from '../harness/files.ts';
import { Leecher, type LeecherHello, type LeecherOptions } from '../harness/hostile-leecher.ts';
import { Member } from '../harness/hostile-member.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const MiB = 1 << 20;
const test = suite('hostile leechers');

/** A group with an honest transfer under way that takes far longer than the cheats do, and a member mallory whose tickets are real. */
async function scene(world: World) {
  await world.startTracker(1);
  const { alice, bob } = await world.people('alice', 'bob');
  await world.group('lab', alice, bob);
  const { path, sha1 } = alice.file('f', 24 * MiB);
  await alice.ok('upload_file', path, 'lab');
  const other = alice.file('other', MiB);
  await alice.ok('upload_file', other.path, 'lab');
  const manifest = manifestOf(readFileSync(path));
  const hash = new Uint8Array(manifestHash(encodeManifest(manifest)));
  const address = world.daemon('mallory').address;
  const mallory = await Member.join({ tracker: world.trackerAddress(1), address, user: 'mallory', isNew: true });
  await mallory.joinGroup('lab');
  await alice.ok('accept_request', 'lab', 'mallory');
  await alice.ok('limits', '--up', '1M');
  const honest = bob.ok('download_file', 'lab', 'f', '.');
  honest.catch(() => {}); // awaited at the end: what fails before that is what is to be seen
  await until('the honest transfer has begun', async () => (await bytesDone(bob)) > 0);
  return { alice, bob, mallory, sha1, hash, manifest, honest };
}

async function lastWord(leechers: Record<string, Leecher>): Promise<void> {
  for (const [what, leecher] of Object.entries(leechers)) {
    await until(`${what}: turned away`, () => leecher.isClosed);
    assert.is(leecher.contentBytes, 0, `${what}: content came out`);
    assert.not.ok(leecher.isIn, `${what}: it was let in`);
    leecher.close();
  }
}

async function bytesDone(bob: Daemon): Promise<number> {
  const { downloads } = await bob.ok<{ downloads: { bytes_done: number }[] }>('show_downloads');
  return downloads[0]?.bytes_done ?? 0;
}

async function stillGoing(bob: Daemon): Promise<void> {
  const before = await bytesDone(bob);
  await until('the honest transfer goes on', async () => (await bytesDone(bob)) > before);
}

test(
  'no ticket, or the wrong one in any way: no byte of content, and the honest transfer goes on',
  inWorld(async (world) => {
    const { alice, bob, mallory, sha1, hash, manifest, honest } = await scene(world);
    const eve = await makeDaemonIdentity(Date.now());
    const { ticket: good } = await mallory.locate('lab', 'f');
    const { ticket: forOther } = await mallory.locate('lab', 'other');
    const clusterKey = createPrivateKey(readFileSync(join(world.dir, 'state', 'mini-torrent', 'cluster.key'), 'utf8'));
    const now = Date.now();
    const made = (changes: Partial<Ticket>, key = clusterKey) => {
      const ticket: Ticket = {
        user_id: 'mallory',
        fingerprint: mallory.fingerprint,
        group_id: 'lab',
        epoch: 1,
        file_name: 'f',
        manifest_hash: hash,
        not_before: now - 60_000,
        expires_at: now + 60_000,
        ...changes,
      };
      return new Uint8Array(signTicket(ticket, key));
    };
    const flipped = Uint8Array.from(good);
    flipped[flipped.length - 5]! ^= 1;
    const hello = (changes: Partial<LeecherHello>): LeecherHello => ({
      group_id: 'lab',
      file_name: 'f',
      manifest_hash: hash,
      ticket: good,
      ...changes,
    });
    const own = mallory.identity;
    const foreign = createPrivateKey(makeClusterKeyPem());
    const attempts: Record<string, Partial<LeecherOptions>> = {
      'no ticket': { identity: own, hello: hello({ ticket: new Uint8Array() }) },
      rubbish: { identity: own, hello: hello({ ticket: new Uint8Array(randomBytes(300)) }) },
      'a flipped bit': { identity: own, hello: hello({ ticket: flipped }) },
      'a stolen ticket under another certificate': { identity: eve, hello: hello({}) },
      expired: { identity: own, hello: hello({ ticket: made({ expires_at: now - 1 }) }) },
      'not valid yet': { identity: own, hello: hello({ ticket: made({ not_before: now + 600_000 }) }) },
      'a ticket of another file': { identity: own, hello: hello({ ticket: forOther }) },
      'another file under its ticket': { identity: own, hello: hello({ file_name: 'other' }) },
      'a ticket of another group': { identity: own, hello: hello({ ticket: made({ group_id: 'others' }) }) },
      'another group': { identity: own, hello: hello({ group_id: 'others' }) },
      'a group that has no such file, with its ticket': {
        identity: own,
        hello: hello({ group_id: 'others', ticket: made({ group_id: 'others' }) }),
      },
      'other content of that name': {
        identity: own,
        hello: hello({ manifest_hash: new Uint8Array(32), ticket: made({ manifest_hash: new Uint8Array(32) }) }),
      },
      'signed by another key': { identity: own, hello: hello({ ticket: made({}, foreign) }) },
      'the ticket of another user’s key': {
        identity: own,
        hello: hello({ ticket: made({ user_id: 'alice', fingerprint: eve.fingerprint }) }),
      },
    };
    const pieceSize = manifest.pieceSize;
    const to = alice.address;
    const leechers = Object.fromEntries(
      Object.entries(attempts).map(([what, how]) => [
        what,
        new Leecher({ to, identity: own, pieceCount: manifest.pieceCount, pieceSize, ...how }),
      ]),
    );
    // Without any hello: straight to the point.
    const blunt = new Leecher({ to, identity: own });
    blunt.socket.once('secureConnect', () =>
      blunt.say(encodePeerFrame('bitfield', [new Uint8Array(48)]), encodePeerFrame('accept', [0, 0, [], false])),
    );
    await lastWord({ ...leechers, 'no hello': blunt });
    for (const [what, { refusal }] of Object.entries(leechers)) assert.ok(refusal, `${what}: told why`);
    await stillGoing(bob);

    const real = new Leecher({ to, identity: own, hello: hello({}), pieceCount: manifest.pieceCount, pieceSize });
    await until('with the right ticket content comes: the kit can tell the difference', () => real.contentBytes > 0);
    real.close();
    await alice.ok('limits', '--up', '0');
    assert.is((await honest).sha1, sha1);
    assert.is(sha1Of(bob.path('f')), sha1);
    mallory.close();
  }, 1),
);

test(
  'recorded bytes of a real member open nothing when they are played again',
  inWorld(async (world) => {
    await world.startTracker(1);
    const alice = world.daemon('alice');
    const recorded: Buffer[] = [];
    let fromAlice = 0;
    const relay = createServer((near: Socket) => {
      const far = connect(alice.address.port, alice.address.host);
      near.on('data', (chunk) => recorded.push(chunk));
      near.pipe(far);
      far.pipe(near);
      for (const each of [near, far]) each.on('error', () => {});
    });
    const wire = { host: world.daemon('wire').address.host, port: 18_001 };
    await new Promise<void>((resolve) => relay.listen(wire.port, wire.host, resolve));
    await alice.start('--announce', `${wire.host}:${wire.port}`);
    await alice.enter();
    const bob = await (await world.daemon('bob').start()).enter();
    await world.group('lab', alice, bob);
    const { path, sha1 } = alice.file('f', 2 * MiB);
    await alice.ok('upload_file', path, 'lab');
    assert.is((await bob.ok('download_file', 'lab', 'f', '.')).sha1, sha1);
    assert.ok(recorded.length > 0, 'it went over the wire that is tapped');

    const again = connect(alice.address.port, alice.address.host);
    again.on('data', (chunk) => {
      fromAlice += chunk.length;
    });
    const over = new Promise((resolve) => again.on('close', resolve));
    again.on('error', () => {});
    for (const chunk of recorded) again.write(chunk);
    await over;
    assert.ok(fromAlice < 8_192, `only a handshake came back: ${fromAlice} bytes`);
    relay.close();
    assert.is((await alice.ok<{ user_id: string }>('whoami')).user_id, 'alice', 'and alice is well');
  }, 1),
);

test(
  'a member of another group only gets no ticket from the trackers',
  inWorld(async (world) => {
    const { alice, mallory, honest } = await scene(world);
    await mallory.leaveGroup('lab');
    const refused = await mallory.locate('lab', 'f').then(
      () => 'a ticket',
      (error: { code: string }) => error.code,
    );
    assert.is(refused, 'NOT_MEMBER');
    await alice.ok('limits', '--up', '0');
    await honest;
    mallory.close();
  }, 1),
);

test.run();
