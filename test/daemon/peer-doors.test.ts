// Who gets in, and who does not: tickets that are none, of others, of yesterday; peers that lie about content. Nobody without
// a right gets a byte, and honest transfers go on.
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createSecureContext, createServer, type Server, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MtError } from '../../codec/errors.ts';
import { FrameParser, readFrameHeader } from '../../codec/frames.ts';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import {
  BLOCK_FRAME_HEADER_SIZE,
  decodePeerFrame,
  encodePeerFrame,
  encodePeerHello,
  peerPayloadMax,
  writeBlockFrameHeader,
} from '../../codec/peer-messages.ts';
import { signTicket } from '../../codec/ticket.ts';
import { dial } from '../../daemon/peer/dial.ts';
import { peerTlsOptions } from '../../daemon/peer/tls.ts';
import { until } from '../harness/until.ts';
import { GROUP, type TestDaemon, World } from './data-plane-world.ts';

const test = suite<{ world: World; alice: TestDaemon; content: Buffer }>('peer doors');
test.before.each(async (context) => {
  context.world = new World();
  context.alice = await context.world.daemon('alice');
  context.content = randomBytes(300_000);
  context.alice.share('file', context.content);
});
test.after.each(({ world }) => world.close());

interface Attempt {
  readonly identity: TlsIdentity;
  readonly ticket: Uint8Array;
  readonly name?: string;
  readonly group?: string;
  readonly fingerprint?: string;
  readonly hash?: Uint8Array;
}

/** Dials alice; resolves with the code of the refusal, or 'in'. */
function attempt({ world, alice }: { world: World; alice: TestDaemon }, how: Attempt): Promise<string> {
  const { identity, ticket, name = 'file', group = GROUP, hash = world.files.get('file')!.hash } = how;
  const fingerprint = how.fingerprint ?? alice.identity.fingerprint;
  return new Promise((resolve) => {
    dial(
      {
        peer: { user_id: 'alice', fingerprint, address: alice.address, complete: true },
        context: createSecureContext(peerTlsOptions(identity)),
        groupId: group,
        fileName: name,
        manifestHash: hash,
        ticket,
      },
      (link) => {
        link.close();
        resolve('in');
      },
      (error) => resolve(error.code),
    );
  });
}

test('only the right ticket in the right hands opens the door', async (context) => {
  const { world, alice } = context;
  const bob = await makeDaemonIdentity(Date.now());
  const eve = await makeDaemonIdentity(Date.now());
  const holder = { user: 'bob', fingerprint: bob.fingerprint };
  const good = world.ticket('file', holder);
  const now = Date.now();
  assert.is(await attempt(context, { identity: bob, ticket: good }), 'in');

  const refusals: Record<string, Attempt> = {
    none: { identity: bob, ticket: new Uint8Array() },
    rubbish: { identity: bob, ticket: randomBytes(200) },
    stolen: { identity: eve, ticket: good },
    expired: { identity: bob, ticket: world.ticket('file', holder, { not_before: now - 20_000, expires_at: now - 1 }) },
    'not yet valid': { identity: bob, ticket: world.ticket('file', holder, { not_before: now + 120_000 }) },
    'of another file': { identity: bob, ticket: world.ticket('file', holder, { file_name: 'other' }) },
    'for another file': { identity: bob, ticket: good, name: 'other' },
    'of another group': { identity: bob, ticket: world.ticket('file', holder, { group_id: 'others' }) },
    'for another group': { identity: bob, ticket: good, group: 'others' },
    'of other content': { identity: bob, ticket: good, hash: randomBytes(32) },
    'of another cluster': {
      identity: bob,
      ticket: signTicket(
        {
          user_id: 'bob',
          fingerprint: bob.fingerprint,
          group_id: GROUP,
          epoch: 1,
          file_name: 'file',
          manifest_hash: new Uint8Array(world.files.get('file')!.hash),
          not_before: now,
          expires_at: now + 60_000,
        },
        createPrivateKey(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
      ),
    },
  };
  for (const [what, how] of Object.entries(refusals)) assert.is(await attempt(context, how), 'FORBIDDEN', what);
  const flipped = Uint8Array.from(good);
  flipped[20]! ^= 1;
  assert.is(await attempt(context, { identity: bob, ticket: flipped }), 'FORBIDDEN');
  assert.is(alice.plane.rates().upload, 0);
});

test('a revoked holder stays out with the old ticket, and comes in with a new one', async (context) => {
  const { world, alice } = context;
  const bob = await makeDaemonIdentity(Date.now());
  const holder = { user: 'bob', fingerprint: bob.fingerprint };
  const old = world.ticket('file', holder);
  alice.plane.onEpoch(GROUP, 1, true);
  world.epoch = 2;
  alice.plane.onEpoch(GROUP, 2, false);
  alice.plane.onRevoked({ userId: 'bob', fingerprint: null, groupId: GROUP });
  world.removed.add('bob');
  assert.is(await attempt(context, { identity: bob, ticket: old }), 'FORBIDDEN');
  world.trackerError = new MtError('TRACKER_UNREACHABLE', 'none');
  assert.is(await attempt(context, { identity: bob, ticket: old }), 'FORBIDDEN', 'without trackers too');
  world.trackerError = null;
  const carol = await makeDaemonIdentity(Date.now());
  const others = world.ticket('file', { user: 'carol', fingerprint: carol.fingerprint }, { epoch: 1 });
  assert.is(await attempt(context, { identity: carol, ticket: others }), 'in', 'others have time to renew');
  world.removed.delete('bob');
  assert.is(await attempt(context, { identity: bob, ticket: world.ticket('file', holder) }), 'in', 'a member again');
});

test('who left while the news were broken is found out: after the gap, and at the door', async (context) => {
  const { world, alice } = context;
  const bob = await makeDaemonIdentity(Date.now());
  const ticket = world.ticket('file', { user: 'bob', fingerprint: bob.fingerprint });
  alice.plane.onGap();
  assert.is(await attempt(context, { identity: bob, ticket }), 'in', 'asked once, and still a member');
  world.removed.add('bob');
  assert.is(await attempt(context, { identity: bob, ticket }), 'in', 'not asked again: the news tell');
  alice.plane.onGap();
  world.trackerError = new MtError('TRACKER_UNREACHABLE', 'none');
  assert.is(
    await attempt(context, { identity: bob, ticket }),
    'in',
    'without trackers a ticket holds until it expires',
  );
  world.trackerError = null;
  assert.is(await attempt(context, { identity: bob, ticket }), 'FORBIDDEN');
});

test('nobody is served while nobody is logged in, and a daemon does not dial itself', async (context) => {
  const { world, alice } = context;
  const own = world.ticket('file', { user: 'alice', fingerprint: alice.identity.fingerprint });
  assert.is(await attempt(context, { identity: alice.identity, ticket: own }), 'FORBIDDEN');
  const bob = await makeDaemonIdentity(Date.now());
  const ticket = world.ticket('file', { user: 'bob', fingerprint: bob.fingerprint });
  alice.session = null;
  alice.plane.onSession(null);
  assert.is(await attempt(context, { identity: bob, ticket }), 'FORBIDDEN');
});

test('an acceptor that is not the one the trackers named gets no hello', async (context) => {
  const bob = await makeDaemonIdentity(Date.now());
  const ticket = context.world.ticket('file', { user: 'bob', fingerprint: bob.fingerprint });
  assert.is(await attempt(context, { identity: bob, ticket, fingerprint: 'ab'.repeat(32) }), 'FORBIDDEN');
});

test('frames before the hello, of the other side, or broken end the connection without a byte', async ({
  world,
  alice,
}) => {
  const bob = await makeDaemonIdentity(Date.now());
  const hello = encodePeerHello({
    versions: { min: 1, max: 1 },
    group_id: GROUP,
    file_name: 'file',
    manifest_hash: world.files.get('file')!.hash,
    ticket: world.ticket('file', { user: 'bob', fingerprint: bob.fingerprint }),
  });
  const block = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE + 10);
  writeBlockFrameHeader(block, { piece: 0, offset: 0, size: 10 });
  const attacks: Record<string, Buffer[]> = {
    'no hello': [encodePeerFrame('accept', [0, 0, [], false])],
    'a block from the dialler': [hello, block],
    'an offer from the dialler': [hello, encodePeerFrame('offer', [1, false])],
    'two hellos': [hello, hello],
    rubbish: [randomBytes(4_000)],
    'a bitfield of another size': [hello, encodePeerFrame('bitfield', [new Uint8Array(1_000)])],
    'a piece that does not exist': [
      hello,
      encodePeerFrame('bitfield', [new Uint8Array(1)]),
      encodePeerFrame('have', [8_191]),
    ],
    'an accept of nothing that was offered': [
      hello,
      encodePeerFrame('bitfield', [new Uint8Array(1)]),
      encodePeerFrame('accept', [8_000, 8_000, [], false]),
    ],
  };
  for (const [what, frames] of Object.entries(attacks)) {
    const { keyPem: key, certPem: cert } = bob;
    const socket = tlsConnect({ ...alice.address, key, cert, minVersion: 'TLSv1.3', rejectUnauthorized: false });
    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk));
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    for (const frame of frames) {
      socket.write(frame);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await closed;
    assert.ok(Buffer.concat(received).length < 2_000, what);
  }
});

/** A peer with a right to be there whose blocks are `alter`ed; offers every piece at once. */
class Liar {
  readonly identity: TlsIdentity;
  readonly #server: Server;
  readonly #content: Buffer;
  links = 0;
  blocks = 0;

  constructor(identity: TlsIdentity, content: Buffer) {
    this.identity = identity;
    this.#content = content;
    const { keyPem: key, certPem: cert } = identity;
    this.#server = createServer({ key, cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false });
    this.#server.on('secureConnection', (socket) => this.#serve(socket));
  }

  listen(): Promise<Address> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        const { port } = this.#server.address() as { port: number };
        resolve({ host: '127.0.0.1', port });
      });
    });
  }

  close(): void {
    this.#server.close();
  }

  #serve(socket: TLSSocket): void {
    this.links++;
    socket.on('error', () => {});
    let helloSeen = false;
    const pieces = Math.ceil(this.#content.length / 65_536);
    const parser = new FrameParser(
      (type) => peerPayloadMax(type, 'dialler', helloSeen),
      (type, payload) => {
        if (type === 'hello') {
          helloSeen = true;
          const full = Buffer.alloc(Math.ceil(pieces / 8));
          for (let piece = 0; piece < pieces; piece++) full[piece >> 3]! |= 0x80 >> (piece & 7);
          socket.write(encodePeerHello({ versions: { min: 1, max: 1 } }));
          socket.write(encodePeerFrame('bitfield', [full]));
          for (let piece = 0; piece < pieces; piece++) socket.write(encodePeerFrame('offer', [piece, false]));
        } else if (type === 'accept') {
          const [, piece] = decodePeerFrame('accept', payload);
          this.#sendFalse(socket, piece);
        }
      },
    );
    socket.on('data', (chunk) => parser.push(chunk));
  }

  #sendFalse(socket: TLSSocket, piece: number): void {
    this.blocks++;
    const from = piece * 65_536;
    const bytes = Buffer.from(this.#content.subarray(from, Math.min(this.#content.length, from + 65_536)));
    bytes[bytes.length >> 1]! ^= 1;
    assert.ok(bytes.length <= BLOCK_SIZE);
    const frame = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE + bytes.length);
    writeBlockFrameHeader(frame, { piece, offset: 0, size: bytes.length });
    assert.type(readFrameHeader(frame), 'object');
    bytes.copy(frame, BLOCK_FRAME_HEADER_SIZE);
    socket.write(frame);
  }
}

test('a peer that sends false pieces is banned for the file, and the pieces come from elsewhere', async (context) => {
  const { world, alice, content } = context;
  const liar = new Liar(await makeDaemonIdentity(Date.now()), content);
  const bob = await world.daemon('bob');
  alice.plane.limits({ up: 200_000, down: null });
  world.outsider('file', { user: 'mallory', identity: liar.identity, address: await liar.listen() });
  await bob.download('file').answer;
  assert.ok(bob.read('file').equals(content));
  assert.ok(liar.blocks > 0);
  assert.is(liar.links, 1, 'it was not dialled again');
  await until('the ban is in the log', () =>
    bob.log.some((line) => line.includes('"corrupt"') && line.includes('mallory')),
  );
  liar.close();
});

test.run();
