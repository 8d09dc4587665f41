// A crowd of connections in a process of its own, so that its work is not the server's: opens many to one door from many loopback
// addresses, and does with them what the mode says. Reports on stdout, one JSON object a line; ends when stdin does.
//
//   node test/limits/crowd.ts '{"mode":"idle","to":{"host":"127.0.0.1","port":5353},"count":1000,"net":"127.9"}'
//
//   idle   TLS, a hello, signs of life, nothing else (a tracker's door)
//   peers  the same at a daemon's door, each with a ticket and a key of its own
//   half   TCP and then silence
//   slow   TLS, then a hello of one byte a second
//   begun  TLS and hello, then a call that never becomes whole: one byte a second
//   flood  TLS and hello, then calls without end, many in flight
//   deaf   TLS and hello, then calls whose answers are never read
//   logins    TLS and hello, then wrong passwords for made-up users, many in flight
//   writes    logged in, then commands without end, many in flight
//   manifests logged in, then files of the largest manifest without end, some in flight
//   sponges   as peers, but each asks for content and never reads
import { createPrivateKey, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Socket, connect as tcpConnect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame, encodeFrameHeader, FrameParser } from '../../codec/frames.ts';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { PIECE_COUNT_MAX } from '../../codec/limits.ts';
import { decodePeerFrame, encodePeerFrame, encodePeerHello } from '../../codec/peer-messages.ts';
import { signTicket } from '../../codec/ticket.ts';
import { connectTls, Member } from '../harness/hostile-member.ts';

export type Mode =
  | 'idle'
  | 'peers'
  | 'half'
  | 'slow'
  | 'begun'
  | 'flood'
  | 'deaf'
  | 'logins'
  | 'writes'
  | 'manifests'
  | 'sponges';
export interface CrowdOptions {
  readonly mode: Mode;
  readonly to: Address;
  readonly count: number;
  /** First two numbers of the addresses that they come from. */
  readonly net: string;
  /** Addresses used; default: one for every 50 connections. */
  readonly addresses?: number;
  /** Of the modes `peers` and `sponges`. */
  readonly share?: {
    readonly clusterKey: string;
    readonly group: string;
    readonly file: string;
    readonly hash: string;
    readonly pieceCount: number;
  };
}
export interface CrowdReport {
  /** Still open, and let in (or, of `half`, connected). */
  readonly open: number;
  readonly closed: number;
  readonly done: boolean;
}

const AT_ONCE = 24;
/** Of the 5 s after which a daemon forgets a silent peer: this process may be late, for its thousands make their keys in it. */
const SAY_ALIVE_MS = 1_500;
const hello = encodeFrame('hello', encodeCbor({ versions: { min: 1, max: 1 }, hello: { role: 'daemon' } }));
const ping = encodeFrame('ping', encodeCbor([0]));
const call = (id: number) => encodeFrame('call', encodeCbor([id, 'tracker_status', {}, 10_000]));

const options = JSON.parse(process.argv[2]!) as CrowdOptions;
const addressCount = options.addresses ?? Math.ceil(options.count / 50);
let open = 0;
let closed = 0;
let started = 0;
let nextId = 1;

const addressOf = (index: number): string => {
  const n = index % addressCount;
  return `${options.net}.${Math.floor(n / 250)}.${(n % 250) + 1}`;
};
const report = () => {
  const line: CrowdReport = { open, closed, done: started >= options.count };
  process.stdout.write(`${JSON.stringify(line)}\n`);
};
setInterval(report, 250);
process.stdin.resume().on('end', () => process.exit(0));

const shared = await makeDaemonIdentity(Date.now());
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (started < options.count) await enter(started++);
  }),
);

/** Resolves when it is in, or was turned away. */
async function enter(index: number): Promise<void> {
  const localAddress = addressOf(index);
  if (options.mode === 'half') {
    const socket = tcpConnect({ ...options.to, localAddress });
    return settled(socket, (inside) => socket.once('connect', inside));
  }
  if (options.mode === 'writes' || options.mode === 'manifests') return writer(index, localAddress, options.mode);
  const isPeer = options.mode === 'peers' || options.mode === 'sponges';
  const identity = isPeer ? await makeDaemonIdentity(Date.now()) : shared;
  const socket = connectTls(options.to, identity, localAddress);
  return settled(socket, (inside) => {
    if (options.mode === 'slow') return void socket.once('secureConnect', () => dribble(socket, hello, inside));
    if (isPeer) return knock(socket, identity, inside);
    socket.once('secureConnect', () => socket.write(hello));
    socket.once('data', () => {
      inside();
      behave(socket);
    });
  });
}

function settled(socket: Socket, begin: (inside: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    let isIn = false;
    socket.on('error', () => {});
    socket.once('close', () => {
      if (isIn) open--;
      closed++;
      resolve();
    });
    begin(() => {
      if (isIn) return;
      isIn = true;
      open++;
      resolve();
    });
  });
}

/** One byte a second. */
function dribble(socket: TLSSocket, bytes: Uint8Array, inside: () => void): void {
  inside();
  let at = 0;
  const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), 1_000);
  socket.once('close', () => clearInterval(timer));
}

function behave(socket: TLSSocket): void {
  if (options.mode === 'begun') {
    dribble(socket, Buffer.concat([encodeFrameHeader('call', 100_000), Buffer.alloc(100_000)]), () => {});
    return;
  }
  socket.on('data', () => {});
  if (options.mode === 'idle') {
    const timer = setInterval(() => socket.write(ping), SAY_ALIVE_MS);
    socket.once('close', () => clearInterval(timer));
    return;
  }
  if (options.mode === 'deaf') socket.pause();
  if (options.mode === 'logins') return guess(socket);
  const pour = () => {
    while (!socket.destroyed) if (!socket.write(Buffer.concat(Array.from({ length: 64 }, () => call(nextId++))))) break;
  };
  socket.on('drain', () => setImmediate(pour));
  pour();
}

/** An exactly-once client, then guesses without end; what is answered does not matter. */
function guess(socket: TLSSocket): void {
  const client_id = randomUUID().replaceAll('-', '');
  const address = { host: '127.0.0.1', port: 1 };
  const next = () => {
    const seq = nextId++;
    const params = { request: { client_id, seq, acked: seq }, user_id: `nobody-${seq}`, password: 'guess', address };
    return encodeFrame('call', encodeCbor([seq, 'login', params, 10_000]));
  };
  const pour = () => {
    while (!socket.destroyed && socket.write(next()));
  };
  socket.on('drain', () => setImmediate(pour));
  pour();
}

/** A user of its own with a group, who writes into it as fast as it may. */
async function writer(index: number, localAddress: string, mode: 'writes' | 'manifests'): Promise<void> {
  const user = `writer-${process.pid}-${index}`;
  const address = { host: localAddress, port: 1 };
  const member = await Member.join({ tracker: options.to, address, user, isNew: true, localAddress });
  await member.rpc.call('create_group', { ...member.speaker, group_id: user });
  open++;
  member.rpc.closed.then(() => {
    open--;
    closed++;
  });
  const pieceSize = 65_536;
  const row = randomBytes(PIECE_COUNT_MAX * 52);
  let made = 0;
  const write = () => {
    made++;
    if (mode === 'writes') {
      return member.rpc.call('create_group', { ...member.speaker, group_id: `${user}-${made}` }, { timeoutMs: 20_000 });
    }
    const rows = Buffer.from(row);
    rows.writeUInt32BE(made);
    const manifest = {
      size: PIECE_COUNT_MAX * pieceSize,
      pieceSize,
      pieceCount: PIECE_COUNT_MAX,
      sha1: row.subarray(0, 20),
      rows,
    };
    return member.share(user, `f${made}`, manifest);
  };
  const pour = async () => {
    while (member.rpc.isOpen) await write().catch(() => {});
  };
  for (let i = 0; i < (mode === 'writes' ? 256 : 32); i++) void pour();
}

function knock(socket: TLSSocket, identity: TlsIdentity, inside: () => void): void {
  const { clusterKey, group, file, hash } = options.share!;
  const manifestHash = new Uint8Array(Buffer.from(hash, 'hex'));
  const now = Date.now();
  const ticket = signTicket(
    {
      user_id: 'crowd',
      fingerprint: identity.fingerprint,
      group_id: group,
      epoch: 1_000,
      file_name: file,
      manifest_hash: manifestHash,
      not_before: now - 1_000,
      expires_at: now + 600_000,
    },
    createPrivateKey(readFileSync(clusterKey, 'utf8')),
  );
  socket.once('secureConnect', () =>
    socket.write(
      encodePeerHello({
        versions: { min: 1, max: 1 },
        group_id: group,
        file_name: file,
        manifest_hash: manifestHash,
        ticket: new Uint8Array(ticket),
      }),
    ),
  );
  const parser = new FrameParser(
    () => 1 << 20,
    (type, payload) => {
      if (type === 'hello') {
        inside();
        if (options.mode === 'sponges') {
          socket.write(encodePeerFrame('bitfield', [new Uint8Array(Math.ceil(options.share!.pieceCount / 8))]));
        }
      } else if (type === 'offer' && options.mode === 'sponges') {
        const [piece] = decodePeerFrame('offer', payload) as [number, boolean];
        socket.write(encodePeerFrame('accept', [piece, piece, [[0, 1]], false]));
        socket.pause();
      }
    },
  );
  socket.on('data', (chunk) => parser.push(chunk));
  const timer = setInterval(() => socket.write(encodePeerFrame('ping', [0])), 1_000);
  socket.once('close', () => clearInterval(timer));
}
