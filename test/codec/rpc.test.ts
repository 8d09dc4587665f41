import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { type ErrorCode, isMtError, MtError } from '../../codec/errors.ts';
import { encodeFrame, encodeFrameHeader, FrameParser } from '../../codec/frames.ts';
import { RPC_IN_FLIGHT_MAX, RPC_PAYLOAD_BYTES_MAX, RPC_STREAMS_MAX, RPC_UNSENT_BYTES_MAX } from '../../codec/limits.ts';
import { type Api, type Handlers, RpcConnection } from '../../codec/rpc.ts';
import { until } from '../harness/until.ts';

const api = {
  add: { params: v.strictObject({ a: v.number(), b: v.number() }), result: v.strictObject({ sum: v.number() }) },
  echo: {
    params: v.strictObject({ bytes: v.instance(Uint8Array) }),
    result: v.strictObject({ bytes: v.instance(Uint8Array) }),
  },
  fail: { params: v.strictObject({ how: v.string() }), result: v.strictObject({}) },
  wait: { params: v.strictObject({}), result: v.strictObject({}) },
  count: {
    params: v.strictObject({ to: v.number(), bytes: v.number() }),
    event: v.strictObject({ n: v.number(), fill: v.instance(Uint8Array) }),
    result: v.strictObject({ sent: v.number() }),
  },
  watch: { params: v.strictObject({}), event: v.strictObject({}), result: v.strictObject({}) },
  lie: { params: v.strictObject({}), result: v.strictObject({ truth: v.literal(true) }) },
} as const satisfies Api;
type TestApi = typeof api;

const helloSchema = v.strictObject({ name: v.pipe(v.string(), v.maxLength(20)) });
const OPTIONS = { calls: {}, hello: { name: 'a test' }, helloSchema, keepAlive: false } as const;

class Server {
  aborted: MtError[] = [];
  waiting = 0;
  running = 0;
  emitReturnedFalse = 0;

  readonly handlers: Handlers<TestApi> = {
    add: ({ a, b }) => ({ sum: a + b }),
    echo: ({ bytes }) => ({ bytes }),
    fail: ({ how }) => {
      if (how === 'expected') throw new MtError('NO_SUCH_GROUP', 'There is no group x', 'Run: mt list_groups');
      if (how === 'huge') throw new MtError('NO_SUCH_GROUP', '€'.repeat(100_000), '€'.repeat(100_000));
      throw new Error(`secret detail ${how}`);
    },
    wait: (_params, { signal }) => this.#untilAborted(signal),
    count: async ({ to, bytes }, { emit, signal }) => {
      for (let n = 1; n <= to && !signal.aborted; n++) {
        if (!emit({ n, fill: new Uint8Array(bytes) })) this.emitReturnedFalse++;
        if (n % 16 === 0) await new Promise(setImmediate);
      }
      return { sent: to };
    },
    watch: (_params, { signal }) => this.#untilAborted(signal),
    lie: () => ({ truth: false }) as never,
  };

  async #untilAborted(signal: AbortSignal): Promise<Record<string, never>> {
    this.waiting++;
    this.running++;
    await once(signal, 'abort');
    this.running--;
    this.aborted.push(signal.reason as MtError);
    throw signal.reason;
  }
}

function pair() {
  const [near, far] = duplexPair();
  const server = new Server();
  const serving = new RpcConnection(far, { ...OPTIONS, serves: api, handlers: server.handlers });
  const client = new RpcConnection(near, { ...OPTIONS, calls: api });
  return { near, far, server, serving, client };
}

/** The far end of a connection by hand: sends what it likes, and shows the frames that come. */
function rawPeer(hello: unknown = { versions: { min: 1, max: 1 }, hello: { name: 'raw' } }) {
  const [near, far] = duplexPair();
  const server = new Server();
  const connection = new RpcConnection(near, { ...OPTIONS, calls: api, serves: api, handlers: server.handlers });
  const frames: { type: string; payload: Buffer }[] = [];
  const parser = new FrameParser(
    () => RPC_PAYLOAD_BYTES_MAX,
    (type, payload) => frames.push({ type, payload: Buffer.from(payload) }),
  );
  far.on('data', (chunk: Buffer) => parser.push(chunk));
  const send = (type: string, value: unknown) => far.write(encodeFrame(type, encodeCbor(value)));
  if (hello !== null) send('hello', hello);
  const errors = () =>
    frames
      .filter(({ type }) => type === 'error')
      .map(({ payload }) => decodeCbor(payload, v.any(), 'error') as [number, { code: string }]);
  return { far, server, connection, frames, send, errors };
}

async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<MtError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isMtError(error), String(error));
    assert.is((error as MtError).code, code, (error as MtError).message);
    return error as MtError;
  }
  throw new Error(`expected ${code}, but it was resolved`);
}

const test = suite('rpc');

test('calls are answered, many at a time and in any order', async () => {
  const { client, serving } = pair();
  assert.equal(await client.ready, { name: 'a test' });
  assert.equal(await serving.ready, { name: 'a test' });
  const sums = await Promise.all(Array.from({ length: 500 }, (_, i) => client.call('add', { a: i, b: 1 })));
  assert.equal(
    sums.map(({ sum }) => sum),
    Array.from({ length: 500 }, (_, i) => i + 1),
  );
  assert.is(client.inFlight, 0);
});

test('calls made before the hello arrived are answered too', async () => {
  const { client } = pair();
  assert.equal(await client.call('add', { a: 1, b: 2 }), { sum: 3 });
});

test('both sides may serve and call at once', async () => {
  const [near, far] = duplexPair();
  const make = (duplex: Duplex) =>
    new RpcConnection(duplex, { ...OPTIONS, calls: api, serves: api, handlers: new Server().handlers });
  const [left, right] = [make(near), make(far)];
  const [a, b] = await Promise.all([left.call('add', { a: 1, b: 1 }), right.call('add', { a: 2, b: 2 })]);
  assert.equal([a.sum, b.sum], [2, 4]);
});

test('a manifest-sized payload passes', async () => {
  const { client } = pair();
  const bytes = new Uint8Array(RPC_PAYLOAD_BYTES_MAX - 200).fill(7);
  const answer = await client.call('echo', { bytes });
  assert.is(Buffer.compare(answer.bytes, bytes), 0);
});

test('expected errors keep code, message and suggestion; unexpected ones tell nothing', async () => {
  const { client, far } = pair();
  const causes: unknown[] = [];
  far.on('handlerError', (cause) => causes.push(cause));
  const error = await rejects(client.call('fail', { how: 'expected' }), 'NO_SUCH_GROUP');
  assert.is(error.message, 'There is no group x');
  assert.is(error.suggestion, 'Run: mt list_groups');
  const internal = await rejects(client.call('fail', { how: 'badly' }), 'INTERNAL');
  assert.not.match(internal.message, 'secret detail');
  assert.match(String(causes[0]), 'secret detail badly');
});

test('an error with endless texts costs no connection', async () => {
  const { client } = pair();
  const error = await rejects(client.call('fail', { how: 'huge' }), 'NO_SUCH_GROUP');
  assert.ok(error.message.length <= 4096 && error.message.endsWith('€…'));
  assert.equal(await client.call('add', { a: 1, b: 1 }), { sum: 2 });
});

test('too large a request is refused before it is sent, too large an answer before it leaves', async () => {
  const { client } = pair();
  await rejects(client.call('echo', { bytes: new Uint8Array(RPC_PAYLOAD_BYTES_MAX) }), 'TOO_LARGE');
  assert.is(client.inFlight, 0);
  await rejects(client.call('count', { to: 1, bytes: RPC_PAYLOAD_BYTES_MAX }), 'TOO_LARGE');
  assert.equal(await client.call('add', { a: 1, b: 1 }), { sum: 2 });
});

test('wrong parameters and wrong results are PROTOCOL, and the connection goes on', async () => {
  const { client } = pair();
  await rejects(client.call('add', { a: 1, b: 'x' } as never), 'PROTOCOL');
  await rejects(client.call('lie', {}), 'PROTOCOL');
  assert.equal(await client.call('add', { a: 1, b: 1 }), { sum: 2 });
});

test('a deadline ends the call on both sides', async () => {
  const { client, server } = pair();
  await rejects(client.call('wait', {}, { timeoutMs: 30 }), 'TIMEOUT');
  await until('the handler is aborted', () => server.aborted.length === 1);
  assert.ok(isMtError(server.aborted[0], 'TIMEOUT', 'CANCELLED'));
  assert.equal(await client.call('add', { a: 1, b: 1 }, { timeoutMs: 5_000 }), { sum: 2 });
});

test('odd deadlines do no harm: fractions, the far future, the past', async () => {
  const { client, server } = pair();
  assert.equal(await client.call('add', { a: 1, b: 1 }, { timeoutMs: 1234.567 }), { sum: 2 });
  assert.equal(await client.call('add', { a: 1, b: 1 }, { timeoutMs: 2 ** 40 }), { sum: 2 });
  const waiting = client.call('wait', {}, { timeoutMs: 2 ** 40 });
  await until('the handler runs', () => server.waiting === 1);
  await rejects(client.call('add', { a: 1, b: 1 }, { timeoutMs: -5 }), 'TIMEOUT');
  assert.is(server.aborted.length, 0, 'a far deadline has not passed');
  client.close();
  await rejects(waiting, 'CLOSED');
});

test('cancelling ends the call on both sides; cancelled before means never sent', async () => {
  const { client, server } = pair();
  const abort = new AbortController();
  const call = client.call('wait', {}, { signal: abort.signal });
  await until('the handler runs', () => server.waiting === 1);
  abort.abort();
  await rejects(call, 'CANCELLED');
  await until('the handler is aborted', () => isMtError(server.aborted[0], 'CANCELLED'));
  await rejects(client.call('wait', {}, { signal: AbortSignal.abort() }), 'CANCELLED');
  assert.is(server.waiting, 1);
});

test('events come in order and before the result', async () => {
  const { client } = pair();
  const seen: number[] = [];
  const { sent } = await client.call('count', { to: 1000, bytes: 0 }, { onEvent: ({ n }) => seen.push(n) });
  assert.is(sent, 1000);
  assert.equal(
    seen,
    Array.from({ length: 1000 }, (_, i) => i + 1),
  );
});

test('emit() tells a stream that its reader is slow, and no byte is lost', async () => {
  const { near, client, server } = pair();
  await client.ready;
  let count = 0;
  const call = client.call('count', { to: 200, bytes: 65_536 }, { onEvent: () => count++ });
  near.pause();
  await until('the stream feels it', () => server.emitReturnedFalse > 0);
  near.resume();
  await call;
  assert.is(count, 200);
});

test('a stream that heeds nothing ends with its connection, in bounded memory', async () => {
  const { near, client, serving, far } = pair();
  await client.ready;
  client.call('count', { to: 10_000, bytes: 65_536 }).catch(() => {});
  near.pause();
  const reason = await serving.closed;
  assert.match(reason.message, 'does not read');
  assert.ok(far.writableLength < 100 * 1024 * 1024);
});

test('a side that does not read its answers is not read either', async () => {
  const { far, connection, send } = rawPeer();
  await connection.ready;
  far.pause();
  const bytes = new Uint8Array(60_000);
  let sent = 0;
  // Stops taking more calls once the answers pile up.
  while (sent < 2_000) {
    send('call', [++sent, 'echo', { bytes }, 0]);
    if (sent % 20 === 0) await new Promise(setImmediate);
  }
  const unsent = connection.duplex.writableLength;
  assert.ok(connection.duplex.isPaused(), 'reading should be paused');
  assert.ok(unsent >= RPC_UNSENT_BYTES_MAX && unsent < RPC_UNSENT_BYTES_MAX + 4_000_000, `${unsent} bytes wait`);
  far.resume();
  await until('everything is answered', () => connection.duplex.writableLength === 0 && !connection.duplex.isPaused());
  assert.ok(connection.isOpen);
});

test('a flood of pings that nobody reads the answers of is bounded too', async () => {
  const { far, connection } = rawPeer();
  await connection.ready;
  far.pause();
  const pings = Buffer.concat(Array(10_000).fill(encodeFrame('ping', encodeCbor([0]))));
  for (let i = 0; i < 100 && !connection.duplex.isPaused(); i++) {
    far.write(pings);
    await new Promise(setImmediate);
  }
  assert.ok(connection.duplex.isPaused(), 'reading should be paused');
  assert.ok(connection.duplex.writableLength < RPC_UNSENT_BYTES_MAX + 4_000_000);
});

test('calls in flight are limited: the reader pauses, and goes on', async () => {
  const { client, server, far } = pair();
  const abort = new AbortController();
  const calls = Array.from({ length: RPC_IN_FLIGHT_MAX }, () => client.call('wait', {}, { signal: abort.signal }));
  await until('all handlers run', () => server.running === RPC_IN_FLIGHT_MAX);
  await until('the reader pauses', () => far.isPaused());
  let answered = false;
  const late = client.call('add', { a: 1, b: 1 }).then(() => {
    answered = true;
  });
  await new Promise(setImmediate);
  assert.not.ok(answered);
  assert.is(server.running, RPC_IN_FLIGHT_MAX);
  // The server's own deadline ends them; a cancel could not be read now.
  for (const call of calls) call.catch(() => {});
  far.resume();
  abort.abort();
  await late;
  await until('all handlers ended', () => server.running === 0);
});

test('open streams do not stop other calls; too many of them are refused', async () => {
  const { client, server } = pair();
  const abort = new AbortController();
  const streams = Array.from({ length: RPC_STREAMS_MAX }, () => client.call('watch', {}, { signal: abort.signal }));
  for (const stream of streams) stream.catch(() => {});
  await until('all streams run', () => server.running === RPC_STREAMS_MAX);
  assert.equal(await client.call('add', { a: 1, b: 1 }), { sum: 2 });
  await rejects(client.call('watch', {}), 'OVERLOADED');
  abort.abort();
  await until('all streams ended', () => server.running === 0);
  client.call('watch', {}).catch(() => {});
  await until('there is room again', () => server.running === 1);
  client.close();
});

test('closing fails the pending calls and aborts the handlers, from either side', async () => {
  for (const side of ['client', 'serving'] as const) {
    const both = pair();
    const call = both.client.call('wait', {});
    await until('the handler runs', () => both.server.waiting === 1);
    both[side].close(new MtError('CLOSED', 'enough'));
    await rejects(call, 'CLOSED');
    await until('the handler is aborted', () => both.server.aborted.length === 1);
    await both.client.closed;
    await both.serving.closed;
    await rejects(both.client.call('add', { a: 1, b: 1 }), 'CLOSED');
    both[side].close();
  }
});

test('a torn connection fails the pending calls', async () => {
  const { client, far } = pair();
  const call = client.call('wait', {});
  far.destroy(new Error('torn'));
  await rejects(call, 'CLOSED');
  await client.closed;
});

test('ready is refused when the connection ends before the hello', async () => {
  const { connection, far } = rawPeer(null);
  far.destroy();
  await rejects(connection.ready, 'CLOSED');
});

test('other protocol versions are told, whatever else their hello holds', async () => {
  const { connection } = rawPeer({ versions: { min: 7, max: 9 }, hello: { shape: 'of the future' }, more: 1 });
  const error = await rejects(connection.ready, 'PROTOCOL_VERSION');
  assert.match(error.message, '7 to 9');
  assert.is((await connection.closed).code, 'PROTOCOL_VERSION');
});

test('the highest common version is taken', async () => {
  const { connection } = rawPeer({ versions: { min: 1, max: 9 }, hello: { name: 'newer' } });
  assert.equal(await connection.ready, { name: 'newer' });
  connection.close();
});

type Attack = (peer: ReturnType<typeof rawPeer>) => void;
/** Each ends the connection, with this code. */
const ATTACKS: [what: string, code: ErrorCode, helloFirst: boolean, attack: Attack][] = [
  ['a call before the hello', 'PROTOCOL', false, ({ send }) => send('call', [1, 'add', { a: 1, b: 1 }, 0])],
  ['a hello that is none', 'PROTOCOL', false, ({ send }) => send('hello', { name: 'x' })],
  [
    'a hello of another role',
    'PROTOCOL',
    false,
    ({ send }) => send('hello', { versions: { min: 1, max: 1 }, hello: { name: 1 } }),
  ],
  [
    'a hello with odd versions',
    'PROTOCOL',
    false,
    ({ send }) => send('hello', { versions: { min: -1, max: 1.5 }, hello: {} }),
  ],
  ['a large hello', 'TOO_LARGE', false, ({ far }) => far.write(encodeFrameHeader('hello', 4097))],
  ['bytes of HTTP', 'PROTOCOL', false, ({ far }) => far.write('GET / HTTP/1.1\r\n\r\n')],
  [
    'a second hello',
    'PROTOCOL',
    true,
    ({ send }) => send('hello', { versions: { min: 1, max: 1 }, hello: { name: 'x' } }),
  ],
  ['an unknown frame', 'PROTOCOL', true, ({ send }) => send('surprise', 1)],
  [
    'an oversized call',
    'TOO_LARGE',
    true,
    ({ far }) => far.write(encodeFrameHeader('call', RPC_PAYLOAD_BYTES_MAX + 1)),
  ],
  ['a call of 4 GiB', 'TOO_LARGE', true, ({ far }) => far.write(encodeFrameHeader('call', 0xffff_ffff))],
  ['an oversized cancel', 'TOO_LARGE', true, ({ far }) => far.write(encodeFrameHeader('cancel', 17))],
  ['a call that is no CBOR', 'PROTOCOL', true, ({ far }) => far.write(encodeFrame('call', Buffer.from('ff', 'hex')))],
  ['a negative call id', 'PROTOCOL', true, ({ send }) => send('call', [-1, 'add', { a: 1, b: 1 }, 0])],
  ['a call id of 1.5', 'PROTOCOL', true, ({ send }) => send('call', [1.5, 'add', { a: 1, b: 1 }, 0])],
  ['a call with too few parts', 'PROTOCOL', true, ({ send }) => send('call', [1, 'add'])],
  ['a long method name', 'PROTOCOL', true, ({ send }) => send('call', [1, 'x'.repeat(65), {}, 0])],
  ['a negative deadline', 'PROTOCOL', true, ({ send }) => send('call', [1, 'add', { a: 1, b: 1 }, -1])],
  [
    'a call id twice',
    'PROTOCOL',
    true,
    ({ send }) => {
      send('call', [1, 'wait', {}, 0]);
      send('call', [1, 'wait', {}, 0]);
    },
  ],
  ['an error that is none', 'PROTOCOL', true, ({ send }) => send('error', [1, { code: 'NOT_A_CODE', message: '' }])],
];
for (const [what, code, helloFirst, attack] of ATTACKS) {
  test(`hostile: ${what}`, async () => {
    const peer = rawPeer(helloFirst ? undefined : null);
    if (helloFirst) await peer.connection.ready;
    const pending = peer.connection.call('wait', {});
    attack(peer);
    assert.is((await peer.connection.closed).code, code);
    await rejects(pending, code);
  });
}

/** None of these may end the connection, or reach anything. */
const HARMLESS: [what: string, attack: Attack][] = [
  ['a reply to no call', ({ send }) => send('reply', [999, {}])],
  ['an error for no call', ({ send }) => send('error', [999, { code: 'INTERNAL', message: '' }])],
  ['an event for no call', ({ send }) => send('event', [999, {}])],
  ['a cancel of no call', ({ send }) => send('cancel', [999])],
];
for (const [what, attack] of HARMLESS) {
  test(`harmless: ${what}`, async () => {
    const peer = rawPeer();
    attack(peer);
    peer.send('call', [1, 'add', { a: 2, b: 3 }, 0]);
    await until('the call is answered', () => peer.frames.some(({ type }) => type === 'reply'));
    assert.ok(peer.connection.isOpen);
    peer.connection.close();
  });
}

test('methods that do not exist, and names of object properties, are refused one by one', async () => {
  const peer = rawPeer();
  for (const [i, name] of ['nothing', '__proto__', 'constructor', 'toString', ''].entries())
    peer.send('call', [i, name, {}, 0]);
  await until('all are answered', () => peer.errors().length === 5);
  assert.equal(
    peer.errors().map(([id, { code }]) => [id, code]),
    [0, 1, 2, 3, 4].map((id) => [id, 'PROTOCOL']),
  );
  assert.ok(peer.connection.isOpen);
  peer.connection.close();
});

test('a deadline far beyond any timer does not fire at once', async () => {
  const peer = rawPeer();
  peer.send('call', [1, 'wait', {}, Number.MAX_SAFE_INTEGER]);
  await until('the handler runs', () => peer.server.waiting === 1);
  peer.send('call', [2, 'add', { a: 1, b: 1 }, 0]);
  await until('the call is answered', () => peer.frames.some(({ type }) => type === 'reply'));
  assert.is(peer.server.aborted.length, 0);
  peer.connection.close();
});

test('a silent side is probed, then given up; a living one is kept', async () => {
  // Far above what a busy machine may hold this process up: both ends are in it.
  const keepAlive = { probeMs: 20, lostMs: 500 };
  const [near, far] = duplexPair();
  const silent = new RpcConnection(near, { ...OPTIONS, calls: api, keepAlive });
  far.write(encodeFrame('hello', encodeCbor({ versions: { min: 1, max: 1 }, hello: { name: 'silent' } })));
  const types: string[] = [];
  const parser = new FrameParser(
    () => 4096,
    (type) => types.push(type),
  );
  far.on('data', (chunk: Buffer) => parser.push(chunk));
  await until('it is given up', () => !silent.isOpen); // its timers keep no process alive
  assert.match((await silent.closed).message, 'silent');
  assert.ok(types.includes('ping'));

  const [left, right] = duplexPair();
  const living = new RpcConnection(left, { ...OPTIONS, calls: api, keepAlive });
  const other = new RpcConnection(right, OPTIONS);
  let pongs = 0;
  left.on('data', () => pongs++);
  const sinceMs = performance.now();
  await until('pongs came for longer than the limit', () => pongs > 6 && performance.now() - sinceMs > 700);
  assert.ok(living.isOpen);
  living.close();
  await other.closed;
});

test('extra frames pass beside the calls, each within its own limit', async () => {
  const [near, far] = duplexPair();
  const got: string[] = [];
  const extra = {
    payloadMax: (type: string) => (type === 'raft' ? 5 : undefined),
    onFrame: (type: string, payload: Buffer) => got.push(`${type} ${payload}`),
  };
  const left = new RpcConnection(near, { ...OPTIONS, extra });
  const right = new RpcConnection(far, { ...OPTIONS, extra });
  await Promise.all([left.ready, right.ready]);
  left.send('raft', Buffer.from('hello'));
  await until('it arrived', () => got.length === 1);
  assert.equal(got, ['raft hello']);
  left.send('raft', Buffer.from('hello!'));
  assert.is((await right.closed).code, 'TOO_LARGE');
});

test.run();
