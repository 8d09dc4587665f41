// The open ports, tried by strangers and by members with the wrong papers: no byte of content, no crash, no effect on others.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { connect as tcpConnect } from 'node:net';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame, encodeFrameHeader } from '../../codec/frames.ts';
import { makeDaemonIdentity, makeTrackerIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { encodePeerHello } from '../../codec/peer-messages.ts';
import { signTicket } from '../../codec/ticket.ts';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { until } from '../harness/until.ts';
import { inWorld } from '../harness/world.ts';

interface Seen {
  bytes: Buffer;
  error: string | null;
}

/** Connects, sends, and tells everything that came back until the other side ended it (or did nothing for `idleMs`). */
function knock({ host, port }: Address, how: 'tcp' | ConnectionOptions, say: Buffer[], idleMs = 3_000): Promise<Seen> {
  return new Promise((resolve) => {
    const seen: Seen = { bytes: Buffer.alloc(0), error: null };
    const socket =
      how === 'tcp' ? tcpConnect({ host, port }) : tlsConnect({ host, port, rejectUnauthorized: false, ...how });
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(seen);
    };
    const timer = setTimeout(finish, idleMs);
    socket.on('data', (chunk: Buffer) => {
      seen.bytes = Buffer.concat([seen.bytes, chunk]);
    });
    socket.on('error', (error) => {
      seen.error = error.message;
    });
    socket.on('close', finish);
    socket.once(how === 'tcp' ? 'connect' : 'secureConnect', () => {
      for (const bytes of say) socket.write(bytes);
    });
  });
}

const withKey = ({ keyPem: key, certPem: cert }: TlsIdentity): ConnectionOptions => ({
  key,
  cert,
  minVersion: 'TLSv1.3',
});

const test = suite('doors');

test(
  'a seeder says nothing but no to strangers, forged tickets and older TLS; honest members go on',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', 500_000);
    await alice.ok('upload_file', path, 'lab');

    const stranger = await makeDaemonIdentity(Date.now());
    const nobodysKey = generateKeyPairSync('ed25519').privateKey;
    const ticket = {
      user_id: 'bob',
      fingerprint: stranger.fingerprint,
      group_id: 'lab',
      epoch: 1,
      file_name: 'f',
      manifest_hash: new Uint8Array(32),
      not_before: Date.now() - 1_000,
      expires_at: Date.now() + 60_000,
    };
    const hello = (bytes: Uint8Array) =>
      encodePeerHello({
        versions: { min: 1, max: 1 },
        group_id: 'lab',
        file_name: 'f',
        manifest_hash: new Uint8Array(32),
        ticket: new Uint8Array(bytes),
      });
    const tries: [what: string, how: 'tcp' | ConnectionOptions, say: Buffer[]][] = [
      ['plain text', 'tcp', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
      ['TLS 1.2', { maxVersion: 'TLSv1.2' }, []],
      ['no certificate', { minVersion: 'TLSv1.3' }, [hello(Buffer.from('x'))]],
      ['no ticket', withKey(stranger), [hello(Buffer.alloc(0))]],
      ['a ticket of noise', withKey(stranger), [hello(Buffer.alloc(300, 7))]],
      ['a ticket signed by nobody', withKey(stranger), [hello(signTicket(ticket, nobodysKey))]],
      ['a frame before the hello', withKey(stranger), [encodeFrame('accept', encodeCbor([0, 0, [], false]))]],
      ['4 GiB announced', withKey(stranger), [encodeFrameHeader('hello', 0xffff_ffff)]],
      [
        'another protocol version',
        withKey(stranger),
        [encodeFrame('hello', encodeCbor({ versions: { min: 9, max: 9 } }))],
      ],
    ];
    for (const [what, how, say] of tries) {
      const { bytes } = await knock(alice.address, how, say);
      assert.ok(bytes.length < 600, `${what}: ${bytes.length} bytes came back`);
      assert.not.ok(bytes.includes('block'), `${what}: a block came back`);
      if (bytes.length > 0 && how !== 'tcp')
        assert.ok(bytes.includes('refused'), `${what}: ${bytes.toString('latin1')}`);
    }
    await bob.ok('download_file', 'lab', 'f', '.');
    assert.is(sha1Of(bob.path('f')), sha1);
    assert.ok(alice.program.isRunning);
    const files = await bob.ok<{ files: { seeders: number }[] }>('list_files', 'lab');
    assert.is(files.files[0]!.seeders, 2);
  }),
);

test(
  'a tracker serves no stranger’s noise, and takes nobody for a tracker whose key is not the cluster’s',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice } = await world.people('alice');
    const daemon = await makeDaemonIdentity(Date.now());
    const otherCluster = createPrivateKey(
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    );
    const pretender = await makeTrackerIdentity(otherCluster, 2, Date.now());
    const trackerHello = encodeFrame(
      'hello',
      encodeCbor({
        versions: { min: 1, max: 1 },
        hello: { role: 'tracker', number: 2, incarnation: 'ab'.repeat(16), cluster_id: null },
      }),
    );
    const call = encodeFrame('call', encodeCbor([1, 'join', { cluster_id: 'ab'.repeat(16) }, 0]));
    const raft = encodeFrame('raft', Buffer.alloc(50));
    for (const [what, how, say] of [
      ['plain text', 'tcp', [Buffer.from('hello?\r\n')]],
      ['TLS 1.2', { maxVersion: 'TLSv1.2' }, []],
      ['a daemon that says it is a tracker', withKey(daemon), [trackerHello, call, raft]],
      ['a tracker of another cluster', withKey(pretender), [trackerHello, call, raft]],
      ['noise', withKey(daemon), [Buffer.alloc(100_000, 0xee)]],
      ['a flood of wrong calls', withKey(daemon), Array(2_000).fill(encodeFrame('call', encodeCbor([1, 'x', {}, 0])))],
    ] as [string, 'tcp' | ConnectionOptions, Buffer[]][]) {
      const { bytes } = await knock(world.trackerAddress(1), how, say);
      assert.ok(bytes.length < 2_000, `${what}: ${bytes.length} bytes came back`);
      assert.ok(world.trackers.get(1)!.isRunning, what);
    }
    await alice.ok('create_group', 'still-alive');
    await until('all three are level', async () => {
      const { trackers, leader } = await world.status(alice);
      return leader !== null && trackers.every(({ reachable, lag }) => reachable && lag === 0);
    });
  }),
);

test.run();
