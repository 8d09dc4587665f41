// The wire frame on every connection (all numbers big-endian):
//
//   0      2    3        4         4+T         8+T
//   ┌──────┬────┬────────┬─────────┬───────────┬──────────────┐
//   │ "MT" │ v1 │ T (u8) │ type, T │ size, u32 │ payload, size│
//   └──────┴────┴────────┴─────────┴───────────┴──────────────┘
//
// T is the byte length of the type (ASCII, 1–24). The size is checked against the limit of its type before a byte is buffered.
import { MtError } from './errors.ts';
import { FRAME_TYPE_BYTES_MAX } from './limits.ts';

const MARKER_0 = 0x4d; // 'M'
const MARKER_1 = 0x54; // 'T'
export const FRAME_VERSION = 1;
/** Bytes before the type: marker, version, type size. */
export const FRAME_PRELUDE_SIZE = 4;

const NOTHING = Buffer.alloc(0);
const HELD_SIZE_MIN = 64;

export interface FrameHeader {
  type: string;
  payloadSize: number;
  /** Bytes of the header itself, prelude and size included. */
  headerSize: number;
}

/** Writes the header of a frame whose payload is `payloadSize` bytes; the payload follows it on the wire. */
export function encodeFrameHeader(type: string, payloadSize: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_PRELUDE_SIZE + type.length + 4);
  writeFrameHeader(header, type, payloadSize);
  return header;
}

/** Header and payload in one buffer, for small payloads. */
export function encodeFrame(type: string, payload: Uint8Array): Buffer {
  const headerSize = FRAME_PRELUDE_SIZE + type.length + 4;
  const frame = Buffer.allocUnsafe(headerSize + payload.length);
  writeFrameHeader(frame, type, payload.length);
  frame.set(payload, headerSize);
  return frame;
}

function writeFrameHeader(into: Buffer, type: string, payloadSize: number): void {
  into[0] = MARKER_0;
  into[1] = MARKER_1;
  into[2] = FRAME_VERSION;
  into[3] = type.length;
  into.write(type, FRAME_PRELUDE_SIZE, 'latin1');
  into.writeUInt32BE(payloadSize, FRAME_PRELUDE_SIZE + type.length);
}

/**
 * Reads the header that begins at `bytes[0]`.
 * @returns the header, or how many bytes must be there in all before it can be read further.
 * @throws MtError PROTOCOL when this is not one of our frames.
 */
export function readFrameHeader(bytes: Uint8Array): FrameHeader | number {
  checkMarker(bytes);
  if (bytes.length < FRAME_PRELUDE_SIZE) return FRAME_PRELUDE_SIZE;
  const typeSize = bytes[3]!;
  if (typeSize === 0 || typeSize > FRAME_TYPE_BYTES_MAX) {
    throw new MtError('PROTOCOL', `frame type size: expected 1 to ${FRAME_TYPE_BYTES_MAX}, got ${typeSize}`);
  }
  const headerSize = FRAME_PRELUDE_SIZE + typeSize + 4;
  if (bytes.length < headerSize) return headerSize;
  const type = knownType(bytes, typeSize) ?? readType(bytes, typeSize);
  const at = headerSize - 4;
  const payloadSize = bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
  return { type, payloadSize, headerSize };
}

/** Types of the conversations of this process, by their length: building the same few strings again for each frame would cost more. */
const knownTypes: string[][] = Array.from({ length: FRAME_TYPE_BYTES_MAX + 1 }, () => []);

function knownType(bytes: Uint8Array, size: number): string | null {
  next: for (const type of knownTypes[size]!) {
    for (let i = 0; i < size; i++) if (type.charCodeAt(i) !== bytes[FRAME_PRELUDE_SIZE + i]) continue next;
    return type;
  }
  return null;
}

function readType(bytes: Uint8Array, size: number): string {
  let type = '';
  for (let i = 0; i < size; i++) {
    const byte = bytes[FRAME_PRELUDE_SIZE + i]!;
    if (byte < 0x21 || byte > 0x7e) throw new MtError('PROTOCOL', 'frame type is not printable ASCII');
    type += String.fromCharCode(byte);
  }
  return type;
}

/** Only what a conversation has: a stranger cannot make the list long. */
function rememberType(type: string): void {
  const known = knownTypes[type.length]!;
  if (!known.includes(type)) known.push(type);
}

function checkMarker(bytes: Uint8Array): void {
  const wrong =
    (bytes.length > 0 && bytes[0] !== MARKER_0) ||
    (bytes.length > 1 && bytes[1] !== MARKER_1) ||
    (bytes.length > 2 && bytes[2] !== FRAME_VERSION);
  if (wrong) {
    const got = Buffer.from(bytes.subarray(0, 3)).toString('hex');
    throw new MtError('PROTOCOL', `frame start: expected "MT" version ${FRAME_VERSION}, got bytes ${got}`);
  }
}

/**
 * A push parser: takes any split of the bytes, gives whole frames. Memory is bounded by twice the bytes that arrived of one
 * allowed frame, and time is linear in them, however small the chunks are.
 * `payloadMax(type)` gives the largest payload of a type, or undefined for a type that this conversation does not have.
 * A payload handed out may alias the chunk it came in: keep a copy of what must outlive the callback.
 */
export class FrameParser {
  readonly #payloadMax: (type: string) => number | undefined;
  readonly #onFrame: (type: string, payload: Buffer) => void;
  /** The first `#heldSize` bytes are those of an unfinished frame. Invariant: `#heldSize` < `#need`. */
  #held = NOTHING;
  #heldSize = 0;
  /** Bytes of the unfinished frame that must be there before more of it can be understood. */
  #need = FRAME_PRELUDE_SIZE;
  #dead = false;
  #frameCount = 0;

  constructor(payloadMax: (type: string) => number | undefined, onFrame: (type: string, payload: Buffer) => void) {
    this.#payloadMax = payloadMax;
    this.#onFrame = onFrame;
  }

  /** Whole frames so far. */
  get frameCount(): number {
    return this.#frameCount;
  }

  /** Bytes held of an unfinished frame. */
  get heldSize(): number {
    return this.#heldSize;
  }

  /** @throws MtError PROTOCOL or TOO_LARGE; the connection must be closed then: nothing after it can be understood. */
  push(chunk: Buffer): void {
    if (this.#dead) return;
    try {
      let at = 0;
      while (this.#heldSize > 0 && at < chunk.length) at += this.#continue(chunk, at);
      if (at < chunk.length) this.#parse(chunk, at);
    } catch (error) {
      this.#dead = true;
      this.#held = NOTHING;
      this.#heldSize = 0;
      throw error;
    }
  }

  /** Completes the held frame as far as the chunk goes. Returns how many of its bytes were taken. */
  #continue(chunk: Buffer, at: number): number {
    const size = Math.min(this.#need - this.#heldSize, chunk.length - at);
    this.#hold(chunk.subarray(at, at + size));
    const bytes = this.#held.subarray(0, this.#heldSize);
    const need = this.#frameAt(bytes);
    if (typeof need === 'number') this.#need = need;
    else {
      this.#held = NOTHING;
      this.#heldSize = 0;
      this.#frameCount++;
      this.#onFrame(need.type, bytes.subarray(need.headerSize));
    }
    return size;
  }

  /** Hands out every whole frame from `at` on, and holds what is left. */
  #parse(chunk: Buffer, start: number): void {
    let at = start;
    while (at < chunk.length) {
      const rest = chunk.subarray(at);
      const header = this.#frameAt(rest);
      if (typeof header === 'number') {
        this.#need = header;
        this.#hold(rest);
        return;
      }
      const frameSize = header.headerSize + header.payloadSize;
      at += frameSize;
      this.#frameCount++;
      this.#onFrame(header.type, rest.subarray(header.headerSize, frameSize));
    }
  }

  /** The frame at `bytes[0]` when all of it is there, else how many bytes must be there to know more. */
  #frameAt(bytes: Buffer): FrameHeader | number {
    const header = readFrameHeader(bytes);
    if (typeof header === 'number') return header;
    const max = this.#payloadMax(header.type);
    if (max === undefined) throw new MtError('PROTOCOL', `unexpected frame type "${header.type}"`);
    rememberType(header.type);
    if (header.payloadSize > max) {
      throw new MtError('TOO_LARGE', `frame "${header.type}": at most ${max} bytes, got ${header.payloadSize}`);
    }
    const frameSize = header.headerSize + header.payloadSize;
    return bytes.length < frameSize ? frameSize : header;
  }

  /** Copies: a held chunk would keep all of its memory alive. Grows by doubling, never ahead of what arrived by more than that. */
  #hold(bytes: Buffer): void {
    const size = this.#heldSize + bytes.length;
    if (size > this.#held.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(Math.max(size, this.#held.length * 2, HELD_SIZE_MIN), Math.max(this.#need, size)),
      );
      grown.set(this.#held.subarray(0, this.#heldSize));
      this.#held = grown;
    }
    this.#held.set(bytes, this.#heldSize);
    this.#heldSize = size;
  }
}
