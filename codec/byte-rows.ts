// Many small byte strings in one message, as trackers send each other commands by the thousand: a number, a tag, data and, now and
// then, an attachment. By hand and not in CBOR because this is what a cluster under load spends its time on.
//
//   count u32, then each:
//   ┌──────────┬───────┬─────────────┬────────────────────────────────┬──────┬────────────┐
//   │number u64│tag u8 │data size u32│attachment size u32, or all ones│ data │ attachment │
//   └──────────┴───────┴─────────────┴────────────────────────────────┴──────┴────────────┘
import { MtError } from './errors.ts';

export interface ByteRow {
  readonly number: number;
  readonly tag: number;
  readonly data: Uint8Array;
  readonly attachment: Uint8Array | null;
}

const COUNT_SIZE = 4;
const HEADER_SIZE = 17;
const NO_ATTACHMENT = 0xffff_ffff;
const U32 = 0x1_0000_0000;

export function encodeRows(rows: readonly ByteRow[]): Uint8Array {
  let size = COUNT_SIZE;
  for (const { data, attachment } of rows) size += HEADER_SIZE + data.length + (attachment?.length ?? 0);
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.writeUInt32BE(rows.length, 0);
  for (const { number, tag, data, attachment } of rows) {
    at = bytes.writeUInt32BE(Math.floor(number / U32), at);
    at = bytes.writeUInt32BE(number % U32, at);
    at = bytes.writeUInt8(tag, at);
    at = bytes.writeUInt32BE(data.length, at);
    at = bytes.writeUInt32BE(attachment?.length ?? NO_ATTACHMENT, at);
    bytes.set(data, at);
    at += data.length;
    if (attachment === null) continue;
    bytes.set(attachment, at);
    at += attachment.length;
  }
  return bytes;
}

/**
 * Reads what `encodeRows` wrote. Data is copied, all of one message into one piece of memory: it is kept for long, and must not hold
 * the network's buffers. Attachments alias `payload`: they are soon on disk.
 * @param what names the message in an error. @throws MtError PROTOCOL
 */
export function decodeRows(payload: Uint8Array, rowsMax: number, what: string): ByteRow[] {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const fail = (why: string): never => {
    throw new MtError('PROTOCOL', `${what}: ${why}`);
  };
  if (bytes.length < COUNT_SIZE) fail('it ends early');
  const count = bytes.readUInt32BE(0);
  if (count > rowsMax) fail(`at most ${rowsMax} rows, got ${count}`);
  if (count * HEADER_SIZE > bytes.length - COUNT_SIZE) fail('it ends early');
  const kept = new Uint8Array(dataSizeOf(bytes, count, fail));
  const rows: ByteRow[] = [];
  let keptAt = 0;
  for (let at = COUNT_SIZE; rows.length < count; ) {
    const number = bytes.readUInt32BE(at) * U32 + bytes.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(number)) fail('a number is beyond 2^53');
    const dataSize = bytes.readUInt32BE(at + 9);
    const attachmentSize = bytes.readUInt32BE(at + 13);
    const tag = bytes[at + 8]!;
    at += HEADER_SIZE;
    const data = kept.subarray(keptAt, keptAt + dataSize);
    data.set(bytes.subarray(at, at + dataSize));
    keptAt += dataSize;
    at += dataSize;
    const attachment = attachmentSize === NO_ATTACHMENT ? null : bytes.subarray(at, at + attachmentSize);
    at += attachment?.length ?? 0;
    rows.push({ number, tag, data, attachment });
  }
  return rows;
}

/** Walks over all rows: every size is checked before anything is copied. */
function dataSizeOf(bytes: Buffer, count: number, fail: (why: string) => never): number {
  let total = 0;
  let at = COUNT_SIZE;
  for (let i = 0; i < count; i++) {
    if (bytes.length - at < HEADER_SIZE) fail('it ends early');
    const dataSize = bytes.readUInt32BE(at + 9);
    const attachmentSize = bytes.readUInt32BE(at + 13);
    total += dataSize;
    at += HEADER_SIZE + dataSize + (attachmentSize === NO_ATTACHMENT ? 0 : attachmentSize);
    if (at > bytes.length) fail('a row is longer than the message');
  }
  if (at !== bytes.length) fail('bytes after its end');
  return total;
}
