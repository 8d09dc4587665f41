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

export interface FrameHeader {
  type: string;
  payloadSize: number;
  /** Bytes of the header itself, prelude and size included. */
  headerSize: number;
}

/** Writes the header of a frame whose payload is `payloadSize` bytes; the payload follows it on the wire. */
export function encodeFrameHeader(type: string, payloadSize: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_PRELUDE_SIZE + type.length + 4);
  header[0] = MARKER_0;
  header[1] = MARKER_1;
  header[2] = FRAME_VERSION;
  header[3] = type.length;
  header.write(type, FRAME_PRELUDE_SIZE, 'latin1');
  header.writeUInt32BE(payloadSize, FRAME_PRELUDE_SIZE + type.length);
  return header;
}

/** Header and payload in one buffer, for small payloads. */
export function encodeFrame(type: string, payload: Uint8Array): Buffer {
  const headerSize = FRAME_PRELUDE_SIZE + type.length + 4;
  const frame = Buffer.allocUnsafe(headerSize + payload.length);
  frame[0] = MARKER_0;
  frame[1] = MARKER_1;
  frame[2] = FRAME_VERSION;
  frame[3] = type.length;
  frame.write(type, FRAME_PRELUDE_SIZE, 'latin1');
  frame.writeUInt32BE(payload.length, headerSize - 4);
  frame.set(payload, headerSize);
  return frame;
}

/**
 * Reads the header that begins at `bytes[0]`.
 * @returns the header, or how many bytes must be there in all before it can be read further.
 * @throws MtError PROTOCOL when this is not one of our frames.
 */
export function readFrameHeader(bytes: Uint8Array): FrameHeader | number {
  if (bytes.length < FRAME_PRELUDE_SIZE) {
    checkMarker(bytes);
    return FRAME_PRELUDE_SIZE;
  }
  checkMarker(bytes);
  const typeSize = bytes[3]!;
  if (typeSize === 0 || typeSize > FRAME_TYPE_BYTES_MAX) {
    throw new MtError('PROTOCOL', `frame type size: expected 1 to ${FRAME_TYPE_BYTES_MAX}, got ${typeSize}`);
  }
  const headerSize = FRAME_PRELUDE_SIZE + typeSize + 4;
  if (bytes.length < headerSize) return headerSize;
  let type = '';
  for (let i = 0; i < typeSize; i++) {
    const byte = bytes[FRAME_PRELUDE_SIZE + i]!;
    if (byte < 0x21 || byte > 0x7e) throw new MtError('PROTOCOL', 'frame type is not printable ASCII');
    type += String.fromCharCode(byte);
  }
  const at = headerSize - 4;
  const payloadSize = bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
  return { type, payloadSize, headerSize };
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
 * A push parser: takes any split of the bytes, gives whole frames. Memory is bounded by the largest allowed frame.
 * `payloadMax(type)` gives the largest payload of a type, or undefined for a type that this conversation does not have.
 * A payload handed out may alias the chunk it came in: keep a copy of what must outlive the callback.
 */
export class FrameParser {
  readonly #payloadMax: (type: string) => number | undefined;
  readonly #onFrame: (type: string, payload: Buffer) => void;
  /** Bytes of an unfinished frame. Invariant: shorter than that frame. */
  #held: Buffer[] = [];
  #heldSize = 0;
  /** Total bytes that must be held before anything more can be parsed. */
  #need = FRAME_PRELUDE_SIZE;
  #dead = false;

  constructor(payloadMax: (type: string) => number | undefined, onFrame: (type: string, payload: Buffer) => void) {
    this.#payloadMax = payloadMax;
    this.#onFrame = onFrame;
  }

  /** Bytes held of an unfinished frame. */
  get heldSize(): number {
    return this.#heldSize;
  }

  /** @throws MtError PROTOCOL or TOO_LARGE; the connection must be closed then: nothing after it can be understood. */
  push(chunk: Buffer): void {
    if (this.#dead) return;
    if (this.#heldSize + chunk.length < this.#need) {
      this.#hold(chunk);
      return;
    }
    let bytes = chunk;
    if (this.#heldSize > 0) {
      this.#held.push(chunk);
      bytes = Buffer.concat(this.#held);
      this.#held = [];
      this.#heldSize = 0;
    }
    try {
      this.#parse(bytes);
    } catch (error) {
      this.#dead = true;
      throw error;
    }
  }

  #parse(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      const rest = at === 0 ? bytes : bytes.subarray(at);
      const header = readFrameHeader(rest);
      if (typeof header === 'number') {
        this.#need = header;
        this.#hold(rest);
        return;
      }
      const max = this.#payloadMax(header.type);
      if (max === undefined) throw new MtError('PROTOCOL', `unexpected frame type "${header.type}"`);
      if (header.payloadSize > max) {
        throw new MtError('TOO_LARGE', `frame "${header.type}": at most ${max} bytes, got ${header.payloadSize}`);
      }
      const frameSize = header.headerSize + header.payloadSize;
      if (rest.length < frameSize) {
        this.#need = frameSize;
        this.#hold(rest);
        return;
      }
      at += frameSize;
      this.#onFrame(header.type, rest.subarray(header.headerSize, frameSize));
    }
    this.#need = FRAME_PRELUDE_SIZE;
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#heldSize += bytes.length;
    // Many tiny chunks would each keep their own pool slab alive.
    if (this.#held.length > 64) this.#held = [Buffer.concat(this.#held)];
  }
}
