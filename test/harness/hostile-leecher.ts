// A dialler that says what it likes to a daemon's door and counts what comes out. It asks for pieces as an honest one would, so
// that a door that is open by mistake shows as bytes of content.
import type { TLSSocket } from 'node:tls';
import { type ErrorWire, MtError } from '../../codec/errors.ts';
import { FrameParser } from '../../codec/frames.ts';
import type { TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import {
  BLOCK_HEADER_SIZE,
  decodePeerFrame,
  encodePeerFrame,
  encodePeerHello,
  isPeerFrameType,
  peerPayloadMax,
  type WantHello,
} from '../../codec/peer-messages.ts';
import { connectTls } from './hostile-member.ts';

export type LeecherHello = Omit<WantHello, 'versions' | 'manifest_hash' | 'ticket'> & {
  readonly manifest_hash: Uint8Array;
  readonly ticket: Uint8Array;
};

export interface LeecherOptions {
  readonly to: Address;
  readonly identity: TlsIdentity;
  /** Undefined: it says nothing at all. */
  readonly hello?: LeecherHello;
  readonly pieceCount?: number;
  readonly pieceSize?: number;
  readonly localAddress?: string;
  /** Accepts offers but never reads what comes. */
  readonly neverReads?: boolean;
  /** Declines nothing, accepts nothing. */
  readonly isIdle?: boolean;
}

export class Leecher {
  readonly socket: TLSSocket;
  /** Raw bytes of content that came out. */
  contentBytes = 0;
  /** When the last of them came, on performance.now()'s clock. */
  lastContentAtMs = 0;
  isIn = false;
  offers = 0;
  /** Pieces it was told of, and when its last ping was answered. */
  haves = 0;
  pongAtMs = 0;
  refusal: MtError | null = null;
  isClosed = false;
  readonly #options: LeecherOptions;

  constructor(options: LeecherOptions) {
    this.#options = options;
    this.socket = connectTls(options.to, options.identity, options.localAddress);
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    const { hello } = options;
    this.socket.once('secureConnect', () => {
      if (hello) this.socket.write(encodePeerHello({ versions: { min: 1, max: 1 }, ...hello } as WantHello));
    });
    const parser = new FrameParser(
      (type) => peerPayloadMax(type, 'acceptor', this.isIn),
      (type, payload) => this.#onFrame(type, payload),
    );
    this.socket.on('data', (chunk) => parser.push(chunk));
  }

  /** Sends bytes as they are. */
  say(...frames: Uint8Array[]): void {
    for (const frame of frames) this.socket.write(frame);
  }

  close(): void {
    this.socket.destroy();
  }

  #onFrame(type: string, payload: Buffer): void {
    if (type === 'block') {
      this.contentBytes += payload.length - BLOCK_HEADER_SIZE;
      this.lastContentAtMs = performance.now();
      const piece = payload.readUInt32BE(0);
      const isLast = payload.readUInt32BE(4) + payload.length - BLOCK_HEADER_SIZE >= this.#pieceSize;
      if (isLast) this.say(encodePeerFrame('got', [piece]), encodePeerFrame('have', [piece]));
      return;
    }
    if (type === 'hello') {
      this.isIn = true;
      if (this.#options.isIdle) return;
      const bytes = new Uint8Array(Math.ceil((this.#options.pieceCount ?? 1) / 8));
      this.say(encodePeerFrame('bitfield', [bytes]));
      return;
    }
    if (!isPeerFrameType(type)) return;
    const frame = decodePeerFrame(type, payload);
    if (type === 'have') this.haves += (frame as number[]).length;
    else if (type === 'pong') this.pongAtMs = performance.now();
    else if (type === 'refused') this.refusal = MtError.fromWire(frame as ErrorWire);
    else if (type === 'ping') {
      const id = (frame as [number])[0];
      this.say(id > 0 ? encodePeerFrame('pong', [id]) : encodePeerFrame('ping', [0]));
    } else if (type === 'offer') {
      this.offers++;
      if (this.#options.isIdle) return;
      const [piece] = frame as [number, boolean];
      const blocks = Math.ceil(this.#pieceSize / BLOCK_SIZE);
      this.say(encodePeerFrame('accept', [piece, piece, [[0, blocks]], false]));
      if (this.#options.neverReads) this.socket.pause();
    }
  }

  get #pieceSize(): number {
    return this.#options.pieceSize ?? 65_536;
  }
}
