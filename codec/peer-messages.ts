// The conversation between two daemons about one file. Whoever wants the data dials; content flows from acceptor to dialler.
//
//   dialler                                       acceptor
//     hello {versions, group, file, manifest, ticket} ──▶      TLS 1.3 came before: both know the other's key
//     ◀── hello {versions}, or refused {error} and the end      no other frame before this one
//     ◀─▶ bitfield, have, getting, want, ping, pong             news, both ways
//     ◀── offer, block, withdraw, alive
//     accept, decline, got, cancel, ticket ──▶                  ticket: a fresh one before the old runs out
//
// A block frame carries raw bytes behind a fixed header, never copied into an encoder:
//
//   0            13            17            21
//   ┌────────────┬─────────────┬─────────────┬───────────────────────────┐
//   │frame header│ piece, u32  │ offset, u32 │ 1 to BLOCK_SIZE bytes     │   offset: within the piece, in bytes
//   └────────────┴─────────────┴─────────────┴───────────────────────────┘
//
// A block (BLOCK_SIZE bytes of a piece) may come in several consecutive frames, so that a slow line has room for news between.
import * as v from 'valibot';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { errorWireSchema, MtError } from './errors.ts';
import { encodeFrame, encodeFrameHeader, FRAME_PRELUDE_SIZE } from './frames.ts';
import { versionRangeSchema } from './hello.ts';
import { countSchema, fileNameSchema, idSchema } from './ids.ts';
import { BLOCK_SIZE, PEER_PAYLOAD_BYTES_MAX, PIECE_COUNT_MAX } from './limits.ts';
import { decodePlain, encodePlainInto, type Plain, plainSizeMax } from './plain-cbor.ts';
import { TICKET_BYTES_MAX } from './ticket.ts';

const byteString = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes');
const ticketBytes = v.pipe(
  byteString,
  v.check((bytes) => bytes.length <= TICKET_BYTES_MAX, 'a ticket'),
);
/** The dialler's hello: what it wants, and its right to it. */
export const wantHelloSchema = v.strictObject({
  versions: versionRangeSchema,
  group_id: idSchema,
  file_name: fileNameSchema,
  manifest_hash: v.pipe(
    byteString,
    v.check((bytes) => bytes.length === 32, 'a SHA-256'),
  ),
  ticket: ticketBytes,
});
/** The acceptor's hello: the ticket is good. */
export const welcomeSchema = v.strictObject({ versions: versionRangeSchema });
export type WantHello = v.InferOutput<typeof wantHelloSchema>;
export type Welcome = v.InferOutput<typeof welcomeSchema>;

const piece = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(PIECE_COUNT_MAX - 1));
const pieces = v.pipe(v.array(piece), v.minLength(1), v.maxLength(PIECE_COUNT_MAX));
const run = v.tuple([countSchema, v.pipe(countSchema, v.minValue(1))]);
const bitfieldBytes = v.pipe(
  byteString,
  v.check((bytes) => bytes.length <= PIECE_COUNT_MAX / 8, 'a bitfield'),
);

/** Payload of each frame but `block`. Pieces are checked against the file by whoever knows the file. */
const payloads = {
  refused: errorWireSchema,
  ticket: v.tuple([ticketBytes]),
  ping: v.tuple([countSchema]),
  pong: v.tuple([countSchema]),
  bitfield: v.tuple([bitfieldBytes]),
  have: pieces,
  getting: pieces,
  want: pieces,
  offer: v.tuple([piece, v.boolean()]),
  accept: v.tuple([piece, piece, v.array(run), v.boolean()]),
  decline: v.tuple([piece]),
  got: v.tuple([piece]),
  cancel: v.tuple([piece]),
  withdraw: v.tuple([piece]),
  alive: v.tuple([]),
} as const;
export type PeerFrameType = keyof typeof payloads;

const NEWS = ['ping', 'pong', 'bitfield', 'have', 'getting', 'want'] as const;
const FROM_DIALLER: ReadonlySet<string> = new Set([...NEWS, 'ticket', 'accept', 'decline', 'got', 'cancel']);
const FROM_ACCEPTOR: ReadonlySet<string> = new Set([...NEWS, 'refused', 'offer', 'withdraw', 'alive', 'block']);
/** Payloads that grow with the number of pieces or blocks; all others are a few numbers. */
const LONG: ReadonlySet<string> = new Set(['have', 'getting', 'want', 'accept', 'bitfield']);
/** Payloads of numbers, booleans and lists of them only: see codec/plain-cbor.ts. */
const PLAIN: ReadonlySet<string> = new Set('have getting want offer accept decline got cancel withdraw'.split(' '));
const headers = new Map<PeerFrameType, Buffer>();
const SHORT_BYTES_MAX = 32;
const REFUSED_BYTES_MAX = 16 * 1024;
const HELLO_BYTES_MAX = 4_096;

/** Bytes before the content in a block frame. */
export const BLOCK_FRAME_HEADER_SIZE = FRAME_PRELUDE_SIZE + 'block'.length + 4 + 8;
/** Of a block frame's payload, piece and offset. */
export const BLOCK_HEADER_SIZE = 8;

/** The largest payload of a frame type from that side; undefined: that side never sends it. Before the hello, only that. */
export function peerPayloadMax(type: string, from: 'dialler' | 'acceptor', helloSeen: boolean): number | undefined {
  if (!helloSeen) {
    if (type === 'hello') return HELLO_BYTES_MAX;
    return type === 'refused' && from === 'acceptor' ? REFUSED_BYTES_MAX : undefined;
  }
  if (!(from === 'dialler' ? FROM_DIALLER : FROM_ACCEPTOR).has(type)) return undefined;
  if (type === 'block') return BLOCK_HEADER_SIZE + BLOCK_SIZE;
  if (type === 'refused') return REFUSED_BYTES_MAX;
  if (type === 'ticket') return TICKET_BYTES_MAX + SHORT_BYTES_MAX;
  return LONG.has(type) ? PEER_PAYLOAD_BYTES_MAX : SHORT_BYTES_MAX;
}

export function encodePeerFrame<T extends PeerFrameType>(type: T, payload: v.InferInput<(typeof payloads)[T]>): Buffer {
  if (!PLAIN.has(type)) return encodeFrame(type, encodeCbor(payload));
  const header = headers.get(type) ?? encodeFrameHeader(type, 0);
  headers.set(type, header);
  const plain = payload as Plain;
  const frame = Buffer.allocUnsafe(header.length + plainSizeMax(plain));
  frame.set(header);
  const end = encodePlainInto(frame, header.length, plain);
  frame.writeUInt32BE(end - header.length, header.length - 4);
  return frame.subarray(0, end);
}

/**
 * Reads the payload of any frame but `hello` and `block`; byte strings alias it.
 * @throws MtError PROTOCOL when it is not what that type carries.
 */
export function decodePeerFrame<T extends PeerFrameType>(
  type: T,
  payload: Uint8Array,
): v.InferOutput<(typeof payloads)[T]> {
  const plain = PLAIN.has(type) ? decodePlain(payload) : null;
  if (plain && isPlainPayload(type, plain)) return plain as v.InferOutput<(typeof payloads)[T]>;
  return decodeCbor(payload, payloads[type], type) as v.InferOutput<(typeof payloads)[T]>;
}

/** What the schema of that type says, in the way that is fast; what it does not take, the schema judges. */
function isPlainPayload(type: PeerFrameType, payload: readonly Plain[]): boolean {
  switch (type) {
    case 'have':
    case 'getting':
    case 'want':
      return payload.length > 0 && payload.length <= PIECE_COUNT_MAX && payload.every(isPiece);
    case 'offer':
      return payload.length === 2 && isPiece(payload[0]!) && typeof payload[1] === 'boolean';
    case 'accept': {
      const [offered, accepted, runs, reverse] = payload;
      const arePieces = payload.length === 4 && isPiece(offered!) && isPiece(accepted!);
      return arePieces && Array.isArray(runs) && runs.every(isRun) && typeof reverse === 'boolean';
    }
    default:
      return payload.length === 1 && isPiece(payload[0]!);
  }
}

function isPiece(value: Plain): boolean {
  return typeof value === 'number' && value < PIECE_COUNT_MAX;
}

function isRun(value: Plain): boolean {
  if (typeof value !== 'object' || value.length !== 2) return false;
  return typeof value[0] === 'number' && typeof value[1] === 'number' && value[1] >= 1;
}

export function isPeerFrameType(type: string): type is PeerFrameType {
  return Object.hasOwn(payloads, type);
}

export function encodePeerHello(hello: WantHello | Welcome): Buffer {
  return encodeFrame('hello', encodeCbor(hello));
}

/** @throws MtError PROTOCOL. */
export function decodePeerHello<S extends typeof wantHelloSchema | typeof welcomeSchema>(
  payload: Uint8Array,
  schema: S,
): v.InferOutput<S> {
  return decodeCbor(payload, schema, 'hello');
}

const BLOCK_FRAME_HEADER = encodeFrameHeader('block', 0);

/** Writes the header of a block frame at `at` of a pooled buffer; the `size` bytes of content follow it. */
export function writeBlockFrameHeader(
  into: Buffer,
  block: { piece: number; offset: number; size: number },
  at = 0,
): void {
  BLOCK_FRAME_HEADER.copy(into, at);
  const fields = at + BLOCK_FRAME_HEADER.length;
  into.writeUInt32BE(BLOCK_HEADER_SIZE + block.size, fields - 4);
  into.writeUInt32BE(block.piece, fields);
  into.writeUInt32BE(block.offset, fields + 4);
}

/**
 * Reads piece and offset of a block frame and checks what needs no knowledge of the file.
 * @param payloadSize as the frame header says.
 * @throws MtError PROTOCOL
 */
export function readBlockHeader(
  bytes: Buffer,
  at: number,
  payloadSize: number,
): { piece: number; offset: number; size: number } {
  const size = payloadSize - BLOCK_HEADER_SIZE;
  const header = { piece: bytes.readUInt32BE(at), offset: bytes.readUInt32BE(at + 4), size };
  const withinBlock = header.offset % BLOCK_SIZE;
  if (size < 1 || withinBlock + size > BLOCK_SIZE) {
    throw new MtError('PROTOCOL', `block: ${size} bytes at offset ${header.offset} do not lie in one block`);
  }
  return header;
}
