// One authenticated connection with one peer about one file, after its hello. Owns the socket's sending side (control frames
// of a turn leave together and before any content), the signs of life, and the end. What messages mean is the swarm's business.
import type { TLSSocket } from 'node:tls';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import {
  decodePeerFrame,
  encodePeerFrame,
  isPeerFrameType,
  type PeerFrameType,
  peerPayloadMax,
} from '../../codec/peer-messages.ts';
import type { PieceMessage } from '../pieces/messages.ts';
import type { LinkRole } from '../pieces/types.ts';
import type { BlockHeader } from './frame-reader.ts';

/** Each side says something when it said nothing for so long, so that a silent host is told from an idle peer. */
const ALIVE_INTERVAL_MS = 1_000;
/** How often that is looked at: what a silent host is noticed later than it might be. */
const ALIVE_CHECK_MS = 500;
/** Three signs of life lost: the host is gone. With a check's delay it is forgotten within 5 s. */
const SILENT_MS_MAX = 4_400;
/** A block that the kernel could not take in this time: the peer asks and does not read. A floor of some 8 KB/s. */
const STUCK_MS_MAX = 30_000;
/**
 * Every so many checks ask for an echo, which measures the round trip. Who was dialled knows nothing of it yet, and asks at once,
 * before content is in the way, and with the first checks, since two processes that just met answer slowly.
 */
const ECHO_EVERY = 12;
const FIRST_ECHOES = 3;
/** Control bytes that may wait behind a reader that does not read. Two blocks of content may wait too. */
const UNSENT_BYTES_MAX = 1024 * 1024 + 2 * BLOCK_SIZE;
/** Blocks given to the socket and not yet taken by the kernel: enough to keep it busy, few enough for news to overtake the rest. */
export const UNSENT_BLOCKS_MAX = 2;
/** A link that ends with a reason waits so long for the reason to leave. */
const LINGER_MS = 1_000;

/** What the link tells, in the swarm's terms. Content events come on download links only. */
export interface LinkOwner {
  onMessage(link: PeerLink, message: PieceMessage): void;
  onBlock(link: PeerLink, header: BlockHeader): Buffer | null | 'wait';
  onBlockEnd(link: PeerLink, header: BlockHeader, kept: boolean): void;
  onTicket(link: PeerLink, ticket: Uint8Array): void;
  /** Content bytes arrived, perhaps only a part of a block, perhaps in several reads. */
  onContent(link: PeerLink, bytes: number): void;
  /** Content has a limit: it is to be told of with every read. */
  readonly isContentLimited: boolean;
  onRtt(link: PeerLink, rttMs: number): void;
  onClose(link: PeerLink, error: MtError): void;
}

/** The reading side of a download link, which may have to wait for memory or for the limit. */
export interface LinkInput {
  pause(): void;
  resume(): void;
  /** See FrameReader. */
  place(body: Buffer | null): void;
  drop(released: () => void): void;
  end(): void;
}

/** No memory for the content that comes, or no tokens left in the download limit. */
export type PauseReason = 'memory' | 'limit';

export interface LinkOptions {
  readonly role: LinkRole;
  readonly socket: TLSSocket;
  /** Of the other side's key, proven. */
  readonly fingerprint: string;
  readonly userId: string;
  /** null: not measured yet. */
  readonly rttMs: number | null;
  /** Of a download link. */
  readonly input: LinkInput | null;
}

export class PeerLink {
  readonly role: LinkRole;
  readonly fingerprint: string;
  readonly userId: string;
  readonly input: LinkInput | null;
  /** Smallest round trip seen: what the line takes, without what waits in it. */
  rttMs: number | null;
  owner: LinkOwner | null = null;
  /** When the ticket of the dialler ends, Unix ms, and the group epoch it was made in; of an upload link. */
  ticket: { expiresAtMs: number; epoch: number } | null = null;
  /** Blocks given to the socket whose bytes the kernel has not taken yet. */
  unsentBlocks = 0;
  readonly #socket: TLSSocket;
  /** When a block was last taken by the kernel, or the first one began to wait. */
  #takenAtMs = 0;
  /** Control frames that wait for the end of the turn, or of the block that is being written. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Content that waits for the block that is being written, so that what is said meanwhile goes before it. */
  readonly #queue: { bytes: Buffer; done: () => void }[] = [];
  #isWriting = false;
  #over: MtError | null = null;
  #heardAtMs = performance.now();
  #saidAtMs = performance.now();
  /** Why nothing is read now; empty: it is. */
  readonly #pauses = new Set<PauseReason>();
  #aliveCount = 0;
  #echoes = new Map<number, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: LinkOptions) {
    this.role = options.role;
    this.fingerprint = options.fingerprint;
    this.userId = options.userId;
    this.rttMs = options.rttMs;
    this.input = options.input;
    this.#socket = options.socket;
    this.#timer = setInterval(() => this.#checkAlive(), ALIVE_CHECK_MS);
    this.#timer.unref();
    if (this.rttMs === null) this.#checkAlive();
  }

  get isOpen(): boolean {
    return this.#over === null;
  }

  /** Largest payload that the other side may send now. */
  payloadMax(type: string): number | undefined {
    return peerPayloadMax(type, this.role === 'upload' ? 'dialler' : 'acceptor', true);
  }

  /** Bytes came. */
  heard(nowMs = performance.now()): void {
    this.#heardAtMs = nowMs;
  }

  /** @throws MtError PROTOCOL when it is not what that type carries. */
  onFrame(type: string, payload: Buffer): void {
    if (this.#over) return;
    if (!isPeerFrameType(type)) throw new MtError('PROTOCOL', `unexpected frame type "${type}"`);
    switch (type) {
      case 'ping': {
        const [id] = decodePeerFrame(type, payload);
        if (id > 0) this.#say('pong', [id]);
        return;
      }
      case 'pong':
        return this.#onPong(decodePeerFrame(type, payload)[0]);
      case 'refused':
        return this.close(MtError.fromWire(decodePeerFrame(type, payload)));
      case 'ticket':
        // A copy: the payload is only ours during this call.
        this.owner?.onTicket(this, Uint8Array.from(decodePeerFrame(type, payload)[0]));
        return;
      default:
        this.owner?.onMessage(this, toMessage(type, payload));
    }
  }

  send(message: PieceMessage): void {
    switch (message.type) {
      case 'bitfield':
        return this.#say('bitfield', [message.bytes]);
      case 'have':
      case 'getting':
      case 'want':
        return this.#put(newsFrame(message));
      case 'offer':
        return this.#say('offer', [message.piece, message.endgame]);
      case 'accept': {
        const runs = message.runs.map(({ first, count }): [number, number] => [first, count]);
        return this.#say('accept', [message.offered, message.piece, runs, message.reverse]);
      }
      case 'alive':
        return this.#say('alive', []);
      default:
        return this.#say(message.type, [message.piece]);
    }
  }

  /** Shows a fresh ticket before the old one runs out. */
  sendTicket(ticket: Uint8Array): void {
    this.#say('ticket', [ticket]);
  }

  /**
   * Sends content (a block frame, or the rest of one) after the control frames that wait.
   * @param done called when the kernel has it, or the link has ended: the memory is free again.
   */
  sendContent(bytes: Buffer, done: () => void): void {
    if (this.#over) return void setImmediate(done);
    this.#saidAtMs = performance.now();
    if (this.unsentBlocks++ === 0) this.#takenAtMs = this.#saidAtMs;
    this.#queue.push({ bytes, done });
    this.#flush();
  }

  get isPaused(): boolean {
    return this.#pauses.size > 0;
  }

  pause(reason: PauseReason): void {
    this.#pauses.add(reason);
    this.input?.pause();
  }

  resume(reason: PauseReason): void {
    if (!this.#pauses.delete(reason) || this.#pauses.size > 0 || this.#over) return;
    this.heard();
    this.input?.resume();
  }

  /** Ends the link; tells the other side why when it is refused something. Safe to call again. */
  close(error: MtError = new MtError('CLOSED', 'The link was closed')): void {
    if (this.#over) return;
    if (isMtError(error, 'FORBIDDEN', 'NO_SUCH_SHARE', 'OVERLOADED')) this.#say('refused', error.toWire());
    for (const { done } of this.#queue.splice(0)) setImmediate(done);
    this.#writePending();
    this.#over = error;
    clearInterval(this.#timer);
    this.#socket.end();
    // Reading on would keep a paused socket from ever noticing the end.
    if (this.role === 'download') this.#socket.destroy();
    this.input?.end();
    if (this.role === 'upload') setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.owner?.onClose(this, error);
  }

  /** A broken frame, a socket error: whatever ends a link from below. */
  fail(error: unknown): void {
    this.close(
      isMtError(error) ? error : new MtError('CLOSED', 'The link ended', undefined, { cause: toMtError(error) }),
    );
  }

  #say<T extends PeerFrameType>(type: T, payload: Parameters<typeof encodePeerFrame<T>>[1]): void {
    this.#put(encodePeerFrame(type, payload));
  }

  #put(frame: Buffer): void {
    if (this.#over) return;
    if (this.#pending.length === 0) setImmediate(() => this.#flush());
    this.#pending.push(frame);
    this.#pendingBytes += frame.length;
  }

  /**
   * Frames of one turn of the event loop leave as one record, then the next block. The stream gets one block at a time: TLS copies
   * all that waits in it into one piece of memory, made anew each time.
   */
  #flush(): void {
    if (this.#over) return;
    const waiting = this.#pendingBytes + this.#socket.writableLength;
    if (waiting > UNSENT_BYTES_MAX) return this.fail(new MtError('CLOSED', 'The peer does not read'));
    if (this.#isWriting) return;
    this.#writePending();
    const next = this.#queue.shift();
    if (!next) return;
    this.#isWriting = true;
    this.#socket.write(next.bytes, () => {
      this.#isWriting = false;
      this.unsentBlocks--;
      this.#takenAtMs = performance.now();
      next.done();
      this.#flush();
    });
  }

  #writePending(): void {
    if (this.#pending.length === 0) return;
    const bytes = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#saidAtMs = performance.now();
    this.#socket.write(bytes);
  }

  #checkAlive(): void {
    const nowMs = performance.now();
    if (!this.isPaused && nowMs - this.#heardAtMs > SILENT_MS_MAX) {
      this.#socket.destroy();
      return this.fail(new MtError('CLOSED', 'The peer went silent'));
    }
    if (this.unsentBlocks > 0 && nowMs - this.#takenAtMs > STUCK_MS_MAX) {
      this.#socket.destroy();
      return this.fail(new MtError('CLOSED', 'The peer does not read what it asked for'));
    }
    this.#aliveCount++;
    if ((this.role === 'upload' && this.#aliveCount <= FIRST_ECHOES) || this.#aliveCount % ECHO_EVERY === 0)
      this.#askEcho();
    else if (nowMs - this.#saidAtMs >= ALIVE_INTERVAL_MS) this.#say('ping', [0]);
  }

  #askEcho(): void {
    this.#echoes.set(this.#aliveCount, performance.now());
    this.#say('ping', [this.#aliveCount]);
  }

  #onPong(id: number): void {
    const sentAtMs = this.#echoes.get(id);
    if (sentAtMs === undefined) return;
    this.#echoes.clear();
    const rttMs = performance.now() - sentAtMs;
    if (this.rttMs !== null && rttMs >= this.rttMs) return;
    this.rttMs = rttMs;
    this.owner?.onRtt(this, rttMs);
  }
}

type NewsMessage = Extract<PieceMessage, { type: 'have' | 'getting' | 'want' }>;
const newsFrames = new WeakMap<NewsMessage, Buffer>();

/** The same news go to every neighbour: encoded once. */
function newsFrame(message: NewsMessage): Buffer {
  let frame = newsFrames.get(message);
  if (!frame) {
    frame = encodePeerFrame(message.type, [...message.pieces]);
    newsFrames.set(message, frame);
  }
  return frame;
}

function toMessage(
  type: Exclude<PeerFrameType, 'ping' | 'pong' | 'refused' | 'ticket'>,
  payload: Buffer,
): PieceMessage {
  switch (type) {
    case 'bitfield':
      return { type, bytes: Uint8Array.from(decodePeerFrame(type, payload)[0]) };
    case 'have':
    case 'getting':
    case 'want':
      return { type, pieces: decodePeerFrame(type, payload) };
    case 'offer': {
      const [piece, endgame] = decodePeerFrame(type, payload);
      return { type, piece, endgame };
    }
    case 'accept': {
      const [offered, piece, runs, reverse] = decodePeerFrame(type, payload);
      return { type, offered, piece, runs: runs.map(([first, count]) => ({ first, count })), reverse };
    }
    case 'alive':
      decodePeerFrame(type, payload);
      return { type };
    default:
      return { type, piece: decodePeerFrame(type, payload)[0] };
  }
}
