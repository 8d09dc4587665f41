// Every parser that meets bytes of others, as a function of bytes: what it may throw, and inputs to begin from.
import { randomBytes } from 'node:crypto';
import { Duplex } from 'node:stream';
import * as v from 'valibot';
import { adminApi, adminHelloSchema } from '../../codec/admin-api.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { controlApi, controlHelloSchema } from '../../codec/control-api.ts';
import { encodeFrame, FrameParser } from '../../codec/frames.ts';
import { makeClusterKeyPem, parseClusterKeyPem } from '../../codec/identity.ts';
import { decodeManifest, encodeManifest } from '../../codec/manifest.ts';
import { readBlockHeader, wantHelloSchema, welcomeSchema } from '../../codec/peer-messages.ts';
import { type Api, type Handlers, RpcConnection } from '../../codec/rpc.ts';
import { openTicket, signTicket } from '../../codec/ticket.ts';
import { parseTrackerInfo } from '../../codec/tracker-info.ts';
import { linkApi } from '../../codec/tracker-link.ts';
import { daemonHelloSchema, trackerApi, trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import { decodeTree, encodeTree } from '../../codec/tree.ts';
import { readMap } from '../../daemon/disk/resume.ts';
import { PEER_TARGETS } from './peer-targets.ts';
import { type Random, sample } from './sample.ts';
import { isDeclared, type Target } from './target.ts';
import { TRACKER_TARGETS } from './tracker-targets.ts';

const key = parseClusterKeyPem(makeClusterKeyPem())[0]!;
const hash = new Uint8Array(32).fill(7);

function document(name: string, schema: v.GenericSchema): Target {
  return {
    name,
    seed: (random) => Uint8Array.from(encodeCbor(sample(schema, random))),
    run: (bytes) => void decodeCbor(bytes, schema, name),
    allows: isDeclared,
  };
}

function conversation(name: string, api: Api): Target[] {
  return Object.entries(api).flatMap(([method, { params, result, event }]) => [
    document(`${name} ${method} request`, params),
    document(`${name} ${method} reply`, result),
    ...(event ? [document(`${name} ${method} event`, event)] : []),
  ]);
}

/** Feeds the bytes in pieces. */
function split(bytes: Uint8Array, random: Random, push: (chunk: Buffer) => void): void {
  const whole = Buffer.from(bytes);
  for (let at = 0; at < whole.length; ) {
    const size = 1 + random(Math.min(whole.length - at, random(3) === 0 ? 8 : 70_000));
    push(whole.subarray(at, at + size));
    at += size;
  }
}

const frames: Target = {
  name: 'frames',
  seed: (random) =>
    Buffer.concat(
      Array.from({ length: 1 + random(4) }, () =>
        encodeFrame(['hello', 'call', 'x'][random(3)]!, randomBytes(random(50))),
      ),
    ),
  run: (bytes, random) => {
    const parser = new FrameParser(
      (type) => (type === 'x' ? undefined : 4_096),
      () => {},
    );
    split(bytes, random, (chunk) => parser.push(chunk));
    if (parser.heldSize > bytes.length) throw new Error('holds more than came');
  },
  allows: isDeclared,
};

/** A whole connection of the control socket or of a tracker, fed with frames whose payloads are mutated. */
function connection(name: string, api: Api, helloSchema: v.GenericSchema): Target {
  const methods = Object.keys(api);
  const handlers = Object.fromEntries(methods.map((method) => [method, () => ({})])) as unknown as Handlers<Api>;
  const hello = encodeFrame('hello', encodeCbor({ versions: { min: 1, max: 1 }, hello: sample(helloSchema, () => 0) }));
  return {
    name,
    seed: (random) => {
      const method = methods[random(methods.length)]!;
      const params = sample(api[method]!.params, random);
      return Buffer.concat([
        hello,
        encodeFrame('call', encodeCbor([random(100), method, params, random(2)])),
        encodeFrame('ping', encodeCbor([0])),
      ]);
    },
    run: (bytes, random) => {
      const duplex = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
      let unexpected: unknown = null;
      duplex.on('handlerError', (error) => {
        if (!isDeclared(error)) unexpected = error;
      });
      const rpc = new RpcConnection(duplex, {
        calls: {},
        serves: api,
        handlers,
        hello: {},
        helloSchema,
        keepAlive: false,
      });
      split(bytes, random, (chunk) => duplex.emit('data', chunk));
      rpc.close();
      duplex.destroy();
      if (unexpected) throw unexpected;
    },
    allows: isDeclared,
  };
}

const files: Target[] = [
  {
    name: 'manifest',
    seed: (random) => {
      const pieceCount = random(5);
      const size = pieceCount * 65_536;
      return encodeManifest({
        size,
        pieceSize: 65_536,
        pieceCount,
        sha1: new Uint8Array(20),
        rows: new Uint8Array(pieceCount * 52),
      });
    },
    run: (bytes) => {
      const { pieceCount, rows } = decodeManifest(bytes);
      if (rows.length !== pieceCount * 52) throw new Error('rows do not fit');
    },
    allows: isDeclared,
  },
  {
    name: 'tree document',
    seed: (random) =>
      encodeTree(
        [
          { path: 'a', kind: 'directory', size: 0 } as const,
          { path: 'a/b', kind: 'file', size: random(9) } as const,
          { path: 'c', kind: 'executable', size: 1 } as const,
        ].slice(0, random(4)),
      ),
    run: (bytes) => {
      for (const { path } of decodeTree(bytes).entries) {
        if (path.startsWith('/') || path.split('/').includes('..')) throw new Error('a path leaves its directory');
      }
    },
    allows: isDeclared,
  },
  {
    name: 'ticket',
    seed: (random) =>
      signTicket(
        {
          user_id: 'u',
          fingerprint: 'ab'.repeat(32),
          group_id: 'g',
          epoch: random(10),
          file_name: 'f',
          manifest_hash: hash,
          not_before: 0,
          expires_at: 2 ** 52,
        },
        key,
      ),
    run: (bytes) => void openTicket(bytes, [key], Date.now()),
    allows: isDeclared,
  },
  {
    name: 'tracker info',
    seed: (random) =>
      Buffer.from(
        ['127.0.0.1\n5353\n', '[::1]:80\n', 'host 9\n', `key ${'ab'.repeat(32)}\n`, '# x\n'].slice(random(4)).join(''),
      ),
    run: (bytes) => void parseTrackerInfo(Buffer.from(bytes).toString('utf8')),
    allows: isDeclared,
  },
  {
    name: 'cluster key file',
    seed: () =>
      Buffer.from(
        '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n-----END PRIVATE KEY-----\n',
      ),
    run: (bytes) => void parseClusterKeyPem(Buffer.from(bytes).toString('latin1')),
    allows: isDeclared,
  },
  {
    name: 'resume map',
    seed: (random) => {
      const map = Buffer.alloc(64 + 16, random(3));
      map.write('MTRM');
      map.writeUInt32BE(1, 4);
      map.writeUInt32BE(16, 8);
      map.set(hash, 16);
      return map;
    },
    run: (bytes) => {
      const { verified, candidates } = readMap(
        Buffer.from(bytes),
        { manifestHash: hash, pieceCount: 16 },
        Buffer.alloc(16),
      );
      if (verified.length + candidates.length > 16) throw new Error('more pieces than there are');
    },
    allows: () => false,
  },
  {
    name: 'block header',
    seed: (random) => Buffer.concat([Buffer.alloc(8, random(4)), randomBytes(4)]),
    run: (bytes) => {
      if (bytes.length >= 8) readBlockHeader(Buffer.from(bytes), 0, bytes.length);
    },
    allows: isDeclared,
  },
];

export const TARGETS: readonly Target[] = [
  frames,
  {
    ...document('any CBOR', v.unknown()),
    seed: (random) => Uint8Array.from(encodeCbor({ a: [1, 'x', null, { b: randomBytes(random(9)) }] })),
  },
  ...conversation('tracker', trackerApi),
  ...conversation('link', linkApi),
  ...conversation('control', controlApi),
  ...conversation('admin', adminApi),
  document('admin hello', adminHelloSchema),
  document('daemon hello', daemonHelloSchema),
  document('tracker hello', trackerHelloSchema),
  document('control hello', controlHelloSchema),
  document('want hello', wantHelloSchema),
  document('welcome', welcomeSchema),
  connection('tracker connection', trackerApi, daemonHelloSchema),
  connection('control connection', controlApi, controlHelloSchema),
  connection('admin connection', adminApi, adminHelloSchema),
  ...TRACKER_TARGETS,
  ...PEER_TARGETS,
  ...files,
];
