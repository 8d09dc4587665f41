// Takes the bytes of a link as the socket delivers them into memory that this file names: heads and small frames into a
// small buffer, content straight into its place, so that nothing is parsed or copied on the way (but the few bytes of a block
// that came along with its header). Knows frames, not what they mean.
//
//   HEAD ──block header──▶ BODY ──last byte──▶ HEAD        BODY without a place: the bytes go into nowhere
//                 └─ no room yet ─▶ WAIT ──place()──▶ BODY  WAIT keeps what the socket still had in hand
import assert from 'node:assert';
import { MtError } from '../../codec/errors.ts';
import { readFrameHeader } from '../../codec/frames.ts';
import { BLOCK_FRAME_HEADER_SIZE, BLOCK_HEADER_SIZE, readBlockHeader } from '../../codec/peer-messages.ts';

/** Of a block frame, what comes along with its header is copied: so this is small, but holds most control frames. */
const HEAD_SIZE = 1024;
const NOWHERE_SIZE = 64 * 1024;
/** One TLS read is decrypted to its end even after the socket was paused. */
const OVERFLOW_CHUNK_SIZE = 64 * 1024;

export interface BlockHeader {
  readonly piece: number;
  readonly offset: number;
  readonly size: number;
}

export interface FrameReaderHandlers {
  /** The largest payload of this type here and now; undefined: not expected. */
  payloadMax(type: string): number | undefined;
  /** Any frame but a block. `payload` is only valid during the call. */
  onFrame(type: string, payload: Buffer): void;
  /** Where the content goes: memory of exactly that size, null for nowhere, or 'wait' until `place` is called. */
  onBlock(header: BlockHeader): Buffer | null | 'wait';
  /** The content of a block frame is all there (`kept`: in the memory that was given). */
  onBlockEnd(header: BlockHeader, kept: boolean): void;
}

export class FrameReader {
  readonly #handlers: FrameReaderHandlers;
  /** Unparsed bytes: a head, or a control frame that is not all there yet. */
  #head = Buffer.allocUnsafeSlow(HEAD_SIZE);
  #headSize = 0;
  #block: BlockHeader | null = null;
  /** Where the content goes; null: nowhere. Meaningful while #block is set and #isWaiting is not. */
  #body: Buffer | null = null;
  #bodyDone = 0;
  #isWaiting = false;
  #overflow: Buffer[] = [];
  /** What `buffer()` gave out last. */
  #given: Buffer = this.#head;
  /** It was given while a place was awaited: what comes in it is copied on, also when the place was found meanwhile. */
  #isGivenAside = false;
  #nowhere: Buffer | null = null;
  #onReleased: (() => void) | null = null;
  #isOver = false;

  constructor(handlers: FrameReaderHandlers) {
    this.#handlers = handlers;
  }

  /** A place is awaited: the socket should pause. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** The block under way, if any. */
  get block(): BlockHeader | null {
    return this.#block;
  }

  /** Where the socket's next bytes shall go. */
  buffer(): Buffer {
    this.#given = this.#next();
    this.#isGivenAside = this.#isWaiting;
    return this.#given;
  }

  #next(): Buffer {
    if (this.#isOver) return this.#nowhereBuffer();
    if (this.#isWaiting) return Buffer.allocUnsafeSlow(OVERFLOW_CHUNK_SIZE);
    if (!this.#block) return this.#head.subarray(this.#headSize);
    if (this.#body) return this.#body.subarray(this.#bodyDone);
    return this.#nowhereBuffer().subarray(0, this.#block.size - this.#bodyDone);
  }

  #nowhereBuffer(): Buffer {
    this.#nowhere ??= Buffer.allocUnsafeSlow(NOWHERE_SIZE);
    return this.#nowhere;
  }

  /**
   * `count` bytes are in the buffer that was given last.
   * @returns how many of them were content.
   * @throws MtError PROTOCOL or TOO_LARGE; the link must be closed then.
   */
  taken(count: number): number {
    assert(count <= this.#given.length);
    this.#release();
    if (this.#isOver) return 0;
    if (this.#isWaiting) {
      this.#overflow.push(this.#given.subarray(0, count));
      return count;
    }
    if (this.#isGivenAside) {
      this.feed(this.#given.subarray(0, count));
      return count;
    }
    if (this.#block) {
      this.#bodyDone += count;
      this.#endIfWhole();
      return count;
    }
    this.#headSize += count;
    return this.#parseHead();
  }

  /** The place that `onBlock` had no room for (null: nowhere). Parses on; may come to wait again. */
  place(body: Buffer | null): void {
    assert(this.#isWaiting);
    this.#isWaiting = false;
    this.#body = body;
    const overflow = this.#overflow;
    this.#overflow = [];
    while (overflow.length > 0) {
      this.feed(overflow.shift()!);
      if (this.#isWaiting) {
        this.#overflow.push(...overflow);
        return;
      }
    }
  }

  /**
   * The rest of the block under way goes into nowhere. The socket may still write once where it was told to before.
   * @param released called when it no longer can: at once, or with the next bytes, or when the link ends.
   */
  drop(released: () => void): void {
    const isGiven = this.#body !== null && this.#given.buffer === this.#body.buffer;
    this.#body = null;
    if (!isGiven) return released();
    const earlier = this.#onReleased;
    this.#onReleased = () => {
      earlier?.();
      released();
    };
  }

  /** The link is over: no memory but nowhere is written from now on. */
  end(): void {
    this.#isOver = true;
    this.#overflow = [];
    this.#release();
  }

  #release(): void {
    const released = this.#onReleased;
    this.#onReleased = null;
    released?.();
  }

  /** Takes bytes that are somewhere else already, copying them to their place. */
  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#isWaiting) {
        this.#overflow.push(bytes.subarray(at)); // behind what came along with the header
        return;
      }
      const target = this.#next();
      const count = Math.min(target.length, bytes.length - at);
      if (!this.#block || this.#body) bytes.copy(target, 0, at, at + count);
      at += count;
      if (this.#block) {
        this.#bodyDone += count;
        this.#endIfWhole();
      } else {
        this.#headSize += count;
        this.#parseHead();
      }
    }
  }

  #endIfWhole(): void {
    const block = this.#block!;
    if (this.#bodyDone < block.size) return;
    const kept = this.#body !== null;
    this.#block = null;
    this.#body = null;
    this.#handlers.onBlockEnd(block, kept);
  }

  /** Parses whole frames off the head buffer; answers how many content bytes were among them. */
  #parseHead(): number {
    const bytes = this.#head.subarray(0, this.#headSize);
    let at = 0;
    while (at < bytes.length) {
      const rest = bytes.subarray(at);
      const header = readFrameHeader(rest);
      if (typeof header === 'number') return this.#keep(rest, header);
      const max = this.#handlers.payloadMax(header.type);
      if (max === undefined) throw new MtError('PROTOCOL', `unexpected frame type "${header.type}"`);
      if (header.payloadSize > max) {
        throw new MtError('TOO_LARGE', `frame "${header.type}": at most ${max} bytes, got ${header.payloadSize}`);
      }
      if (header.type === 'block') {
        if (rest.length < BLOCK_FRAME_HEADER_SIZE) return this.#keep(rest, BLOCK_FRAME_HEADER_SIZE);
        return this.#beginBlock(rest, header.headerSize, header.payloadSize);
      }
      const frameSize = header.headerSize + header.payloadSize;
      if (rest.length < frameSize) return this.#keep(rest, frameSize);
      at += frameSize;
      this.#handlers.onFrame(header.type, rest.subarray(header.headerSize, frameSize));
    }
    return this.#keep(bytes.subarray(at), 0);
  }

  /** What is left of the head stays, in a buffer that the whole frame fits in. */
  #keep(rest: Buffer, need: number): 0 {
    const size = Math.max(HEAD_SIZE, need);
    if (size !== this.#head.length) {
      const head = Buffer.allocUnsafeSlow(size);
      rest.copy(head);
      this.#head = head;
    } else if (rest.byteOffset !== this.#head.byteOffset) {
      rest.copy(this.#head);
    }
    this.#headSize = rest.length;
    return 0;
  }

  #beginBlock(rest: Buffer, headerSize: number, payloadSize: number): number {
    const block = readBlockHeader(rest, headerSize, payloadSize);
    // The head buffer is used again for what follows the block: its bytes leave it before anything else happens.
    const along = Buffer.from(rest.subarray(headerSize + BLOCK_HEADER_SIZE));
    this.#keep(rest.subarray(0, 0), 0);
    this.#block = block;
    this.#bodyDone = 0;
    const place = this.#handlers.onBlock(block);
    if (place === 'wait') {
      this.#isWaiting = true;
      if (along.length > 0) this.#overflow.push(along);
    } else {
      this.#body = place;
      this.feed(along);
    }
    return along.length;
  }
}
