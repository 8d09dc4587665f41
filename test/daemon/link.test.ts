// The sending side of a link over real TLS: what is said overtakes content that waits, and all memory comes back when the link ends.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { FrameParser } from '../../codec/frames.ts';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import {
  BLOCK_FRAME_HEADER_SIZE,
  decodePeerFrame,
  peerPayloadMax,
  writeBlockFrameHeader,
} from '../../codec/peer-messages.ts';
import { type LinkOwner, PeerLink } from '../../daemon/peer/link.ts';
import { peerTlsOptions } from '../../daemon/peer/tls.ts';
import { until } from '../harness/until.ts';

const test = suite('link');

/** An upload link, and the socket of the one who dialled it. */
async function withLink(
  work: (link: PeerLink, dialler: TLSSocket) => Promise<void>,
  rttMs: number | null = 0,
): Promise<void> {
  const identity = await makeDaemonIdentity(Date.now());
  const server = createServer({ ...peerTlsOptions(identity), noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const dialler = tlsConnect({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false });
  dialler.on('error', () => {});
  const [socket] = await accepted;
  socket.on('error', () => {});
  const link = new PeerLink({
    role: 'upload',
    socket,
    fingerprint: identity.fingerprint,
    userId: 'bob',
    rttMs,
    input: null,
  });
  try {
    await work(link, dialler);
  } finally {
    link.close();
    socket.destroy();
    dialler.destroy();
    server.close();
  }
}

function block(piece: number): Buffer {
  const frame = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE + BLOCK_SIZE);
  writeBlockFrameHeader(frame, { piece, offset: 0, size: BLOCK_SIZE });
  return frame;
}

/** What an answer to an echo carries. */
const pong = (id: number) => Buffer.from(encodeCbor([id]));

test('what is said goes before the block that waits, and after the one that is being written', async () => {
  await withLink(async (link, dialler) => {
    const came: string[] = [];
    const parser = new FrameParser(
      (type) => peerPayloadMax(type, 'acceptor', true),
      (type, payload) => came.push(type === 'block' ? `block ${payload.readUInt32BE(0)}` : type),
    );
    dialler.on('data', (chunk: Buffer) => parser.push(chunk));
    let doneCount = 0;
    for (const piece of [1, 2, 3]) link.sendContent(block(piece), () => doneCount++);
    link.send({ type: 'offer', piece: 9, endgame: false });
    link.send({ type: 'withdraw', piece: 9 });
    await until('all of it came', () => came.length === 5 && doneCount === 3);
    assert.equal(came, ['block 1', 'offer', 'withdraw', 'block 2', 'block 3']);
    assert.is(link.unsentBlocks, 0);
  });
});

test('memory comes back from a link that ended, also what was given to it after that', async () => {
  await withLink(async (link, dialler) => {
    dialler.pause();
    let doneCount = 0;
    for (let piece = 0; piece < 40; piece++) link.sendContent(block(piece), () => doneCount++);
    assert.is(doneCount, 0);
    link.close();
    link.sendContent(block(40), () => doneCount++);
    dialler.resume();
    await until('every block is done', () => doneCount === 41);
  });
});

test('a reader that does not read what is said loses its link', async () => {
  await withLink(async (link, dialler) => {
    dialler.pause();
    let why = '';
    link.owner = { onClose: (_link, error) => (why = error.message) } as Partial<LinkOwner> as LinkOwner;
    const bytes = new Uint8Array(64 * 1024);
    await until('the link ended', () => {
      for (let i = 0; i < 16; i++) link.send({ type: 'bitfield', bytes });
      return !link.isOpen;
    });
    assert.is(why, 'The peer does not read');
  });
});

test('who was dialled measures the round trip before content is in the way, and believes the shortest one', async () => {
  await withLink(async (link, dialler) => {
    const told: number[] = [];
    link.owner = { onRtt: (_link, rttMs) => told.push(rttMs), onClose: () => {} } as Partial<LinkOwner> as LinkOwner;
    const asked: number[] = [];
    const came: string[] = [];
    const parser = new FrameParser(
      (type) => peerPayloadMax(type, 'acceptor', true),
      (type, payload) => {
        came.push(type);
        if (type === 'ping') asked.push(decodePeerFrame('ping', payload)[0]);
      },
    );
    dialler.on('data', (chunk: Buffer) => parser.push(chunk));
    link.sendContent(block(1), () => {});
    await until('both came', () => came.length === 2);
    assert.equal(came, ['ping', 'block']);
    assert.ok(asked[0]! > 0, 'for an echo');
    link.onFrame('pong', pong(asked[0]! + 1));
    assert.equal(told, [], 'of an echo that nobody asked for');
    link.onFrame('pong', pong(asked[0]!));
    assert.is(told.length, 1);
    assert.is(link.rttMs, told[0]);
    // Asked again soon; an answer that comes late says nothing.
    await until('it asks again', () => asked.length === 2);
    const seenAtMs = performance.now();
    await until('that took longer', () => performance.now() - seenAtMs > told[0]!);
    link.onFrame('pong', pong(asked[1]!));
    assert.is(told.length, 1);
  }, null);
});

test.run();
