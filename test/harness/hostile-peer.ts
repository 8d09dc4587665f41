// A peer that is a real member with a real key, speaks the real protocol, and lies: it announces what it likes, alters the bytes
// of the blocks it serves, or serves nothing at all. Built on codec/ alone, so that no daemon code can get in its way.
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { FrameParser } from '../../codec/frames.ts';
import type { Address } from '../../codec/ids.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import type { Manifest } from '../../codec/manifest.ts';
import {
  BLOCK_FRAME_HEADER_SIZE,
  decodePeerFrame,
  encodePeerFrame,
  encodePeerHello,
  type PeerFrameType,
  peerPayloadMax,
  writeBlockFrameHeader,
} from '../../codec/peer-messages.ts';
import { Member } from './hostile-member.ts';

/**
 * What it does to whoever accepts an offer. `serve`: sends the block, altered. `stall`: keeps alive for ever and sends no byte.
 * `withdraw`: has nothing of what its bitfield says. `choke`: says that it has all, and never offers.
 * `trickle`: a byte now and then.
 */
export type Behaviour = 'serve' | 'stall' | 'withdraw' | 'choke' | 'trickle';

/** What it serves, and how it changes a block on its way out. */
export interface Lie {
  readonly manifest: Manifest;
  /** The true content; memory is fine for a test. */
  readonly content: Buffer;
  readonly alter: (block: Buffer, piece: number, offset: number) => Buffer;
  readonly behaviour?: Behaviour;
  /** Said right after the welcome, instead of a full bitfield and offers. */
  readonly says?: readonly Uint8Array[];
}

const TRICKLE_MS = 200;

export class HostilePeer {
  blocksServed = 0;
  linksTaken = 0;
  /** Tickets that diallers showed: what a thief would keep. */
  readonly ticketsSeen: Uint8Array[] = [];
  readonly member: Member;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  #lie: Lie | null = null;

  private constructor(member: Member) {
    this.member = member;
    const { keyPem: key, certPem: cert } = member.identity;
    this.#server = createServer({ key, cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false });
    this.#server.on('secureConnection', (socket) => this.#onDialler(socket));
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Connects to a tracker, makes the user when asked to, logs in and listens. */
  static async join(options: {
    tracker: Address;
    listen: Address;
    user: string;
    isNew: boolean;
  }): Promise<HostilePeer> {
    const { tracker, listen, user, isNew } = options;
    const peer = new HostilePeer(await Member.join({ tracker, address: listen, user, isNew }));
    await new Promise<void>((resolve, reject) => {
      peer.#server.once('error', reject);
      peer.#server.listen(listen.port, listen.host, resolve);
    });
    return peer;
  }

  get fingerprint(): string {
    return this.member.fingerprint;
  }

  joinGroup(groupId: string) {
    return this.member.joinGroup(groupId);
  }

  /** Announces the file as its own, true or not, and serves it from now on. */
  share(groupId: string, fileName: string, lie: Lie): Promise<{ new_file: boolean }> {
    this.#lie = lie;
    return this.member.share(groupId, fileName, lie.manifest);
  }

  async close(): Promise<void> {
    this.member.close();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Takes anyone, ticket or not, offers every piece once and sends what is accepted, altered. */
  #onDialler(socket: TLSSocket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const lie = this.#lie;
    if (!lie) return void socket.destroy();
    const { behaviour = 'serve' } = lie;
    const { pieceCount } = lie.manifest;
    let helloSeen = false;
    let next = 0;
    const offerMore = (count: number) => {
      if (behaviour === 'choke') return;
      for (let i = 0; i < count && next < pieceCount; i++) socket.write(encodePeerFrame('offer', [next++, false]));
    };
    const parser = new FrameParser(
      (type) => peerPayloadMax(type, 'dialler', helloSeen),
      (type, payload) => {
        if (type === 'hello') {
          helloSeen = true;
          this.linksTaken++;
          this.ticketsSeen.push(Uint8Array.from(payload));
          socket.write(encodePeerHello({ versions: { min: 1, max: 1 } }));
          const says = lie.says ?? [encodePeerFrame('bitfield', [fullBitfield(pieceCount)])];
          for (const frame of says) socket.write(frame);
          if (!lie.says) offerMore(4);
          return;
        }
        const frame = decodePeerFrame(type as PeerFrameType, payload);
        if (type === 'accept') this.#onAccept(socket, lie, (frame as [number, number])[1]);
        else if (type === 'ping' && (frame as [number])[0] > 0)
          socket.write(encodePeerFrame('pong', frame as [number]));
        else if (type === 'got' || type === 'decline') offerMore(1);
      },
    );
    socket.on('data', (chunk) => {
      try {
        parser.push(chunk);
      } catch {
        socket.destroy();
      }
    });
    const alive = setInterval(() => socket.write(encodePeerFrame('alive', [])), 500);
    socket.on('close', () => clearInterval(alive));
  }

  #onAccept(socket: TLSSocket, lie: Lie, piece: number): void {
    switch (lie.behaviour ?? 'serve') {
      case 'serve':
        return this.#sendPiece(socket, lie, piece);
      case 'withdraw':
        return void socket.write(encodePeerFrame('withdraw', [piece]));
      case 'trickle':
        return this.#trickle(socket, lie, piece);
      default:
        return;
    }
  }

  #sendPiece(socket: TLSSocket, { manifest, content, alter }: Lie, piece: number): void {
    const start = piece * manifest.pieceSize;
    const end = Math.min(start + manifest.pieceSize, manifest.size);
    for (let at = start; at < end; at += BLOCK_SIZE) {
      const offset = at - start;
      const block = alter(Buffer.from(content.subarray(at, Math.min(at + BLOCK_SIZE, end))), piece, offset);
      const header = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE);
      writeBlockFrameHeader(header, { piece, offset, size: block.length });
      socket.write(header);
      socket.write(block);
      this.blocksServed++;
    }
  }

  /** One byte of the piece at a time, each in a frame of its own: alive, busy, and useless. */
  #trickle(socket: TLSSocket, { manifest, content }: Lie, piece: number): void {
    let offset = 0;
    const timer = setInterval(() => {
      const header = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE);
      writeBlockFrameHeader(header, { piece, offset, size: 1 });
      socket.write(Buffer.concat([header, content.subarray(piece * manifest.pieceSize + offset).subarray(0, 1)]));
      offset++;
    }, TRICKLE_MS);
    socket.on('close', () => clearInterval(timer));
  }
}

/** Every piece there; spare bits at the end are zero (BEP 3). */
function fullBitfield(pieceCount: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(pieceCount / 8)).fill(0xff);
  const spare = bytes.length * 8 - pieceCount;
  if (spare > 0) bytes[bytes.length - 1] = (0xff << spare) & 0xff;
  return bytes;
}
