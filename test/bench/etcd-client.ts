// etcd's gRPC calls over node:http2, with the few bytes of protobuf written by hand: a generic gRPC library would take more of the two
// cores from the cluster under test. Knows Put, Range and Status, and of their answers what the benchmark needs.
import { type ClientHttp2Session, connect, constants } from 'node:http2';

const VARINT = 0;
const BYTES = 2;
const FRAME_HEADER_SIZE = 5;
const WINDOW_SIZE = 1 << 20;

export const PUT = '/etcdserverpb.KV/Put';
export const RANGE = '/etcdserverpb.KV/Range';
const STATUS = '/etcdserverpb.Maintenance/Status';

export interface EtcdStatus {
  readonly id: bigint;
  /** 0n: nobody leads. */
  readonly leader: bigint;
  readonly term: number;
  readonly applied: number;
}

export function dialEtcd(url: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(url, { settings: { initialWindowSize: WINDOW_SIZE } });
    session.once('connect', () => resolve(session));
    session.on('error', reject); // after the promise is settled: the calls under way have failed already
  });
}

export function putRequest(key: string, value: Uint8Array): Buffer {
  return frame(Buffer.concat([bytesField(1, Buffer.from(key)), bytesField(2, value)]));
}

/** A linearizable read of one key. */
export function rangeRequest(key: string): Buffer {
  return frame(bytesField(1, Buffer.from(key)));
}

/** @returns the reply with its gRPC frame header. @throws when the stream fails, or the status is not 0. */
export function etcdCall(session: ClientHttp2Session, path: string, body: Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    let status: unknown;
    const look = (headers: Record<string, unknown>) => {
      status = headers['grpc-status'] ?? status;
    };
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), timeoutMs);
    stream.on('response', look);
    stream.on('trailers', look);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      clearTimeout(timer);
      if (String(status) === '0') resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
      else reject(new Error(`etcd answered ${status ?? 'nothing'}`));
    });
    stream.end(body);
  });
}

export async function etcdStatus(url: string, timeoutMs: number): Promise<EtcdStatus> {
  const session = await dialEtcd(url);
  try {
    const reply = await etcdCall(session, STATUS, frame(Buffer.alloc(0)), timeoutMs);
    const fields = readMessage(reply.subarray(FRAME_HEADER_SIZE));
    const header = readMessage(fields.get(1) as Buffer);
    const number = (field: number) => Number(fields.get(field) ?? 0);
    return {
      id: header.get(2) as bigint,
      leader: (fields.get(4) as bigint | undefined) ?? 0n,
      term: number(6),
      applied: number(7),
    };
  } finally {
    session.destroy();
  }
}

/** gRPC: a byte "compressed", a u32 length, the message. */
function frame(message: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_SIZE);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

function bytesField(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | BYTES]), varint(value.length), value]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Fields of a message by number: varints and byte strings. */
function readMessage(bytes: Buffer): Map<number, bigint | Buffer> {
  const fields = new Map<number, bigint | Buffer>();
  let at = 0;
  const readVarint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(readVarint());
    if ((tag & 7) === VARINT) fields.set(tag >> 3, readVarint());
    else {
      const length = Number(readVarint());
      fields.set(tag >> 3, bytes.subarray(at, at + length));
      at += length;
    }
  }
  return fields;
}
