import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { apply } from '../../cluster/state/apply.ts';
import {
  COMMAND_TYPES,
  decodeCommand,
  encodeCommand,
  readPayload,
  stampCommand,
  UnknownCommandError,
} from '../../cluster/state/commands.ts';
import { STATE_VERSION_MAX } from '../../cluster/state/limits.ts';
import { emptyState } from '../../cluster/state/state.ts';
import type { Command } from '../../cluster/state/types.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { isMtError } from '../../codec/errors.ts';
import { EXAMPLES } from './examples.ts';
import { fingerprintOf, START_MS, tokenOf, World } from './world.ts';

const test = suite('cluster/state commands');

const command: Command = {
  type: 'create_group',
  clientId: tokenOf('c'),
  seq: 3,
  acked: 2,
  actor: { fingerprint: fingerprintOf('d'), session: tokenOf('s') },
  at: START_MS,
  payload: { group_id: 'g' },
};
/** An entry as some program might have written it. */
function entry(document: unknown, at = START_MS, format = 1): Uint8Array {
  const body = encodeCbor(document);
  const bytes = new Uint8Array(9 + body.length);
  bytes[0] = format;
  new DataView(bytes.buffer).setFloat64(1, at);
  bytes.set(body, 9);
  return bytes;
}
const parts = (changes: Partial<Record<number, unknown>>): unknown[] => {
  const { clientId, seq, acked, actor, payload } = command;
  const document = ['create_group', 1, clientId, seq, acked, actor.fingerprint, actor.session, payload];
  for (const [at, value] of Object.entries(changes)) document[Number(at)] = value as never;
  return document;
};
const refusedAs = (bytes: Uint8Array): string => {
  try {
    decodeCommand(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof UnknownCommandError) return 'unknown';
    return isMtError(error) ? error.code : `${error}`;
  }
};

test('every type goes and comes', () => {
  assert.equal(Object.keys(EXAMPLES).sort(), [...COMMAND_TYPES].sort());
  for (const example of Object.values(EXAMPLES)) assert.equal(decodeCommand(encodeCommand(example)), example);
});

test('the leader stamps the time in place', () => {
  const bytes = encodeCommand({ ...command, at: 0 });
  stampCommand(bytes, START_MS + 7);
  assert.equal(decodeCommand(bytes), { ...command, at: START_MS + 7 });
  // Also inside a larger buffer.
  const larger = new Uint8Array(bytes.length + 20);
  larger.set(bytes, 13);
  const view = larger.subarray(13, 13 + bytes.length);
  stampCommand(view, START_MS + 8);
  assert.is(decodeCommand(view).at, START_MS + 8);
  for (const wrong of [-1, 1.5, Number.NaN, 2 ** 60]) assert.throws(() => stampCommand(bytes, wrong));
});

test('what this build does not know is told apart from what is malformed', () => {
  assert.is(refusedAs(entry(parts({}))), 'accepted');
  assert.is(refusedAs(entry(parts({ 0: 'make_coffee' }))), 'unknown');
  assert.is(refusedAs(entry(parts({ 0: 'toString' }))), 'unknown');
  assert.is(refusedAs(entry(parts({ 0: '__proto__' }))), 'unknown');
  assert.is(refusedAs(entry(parts({ 1: 2 }))), 'unknown');
  assert.is(refusedAs(entry(parts({ 1: 0 }))), 'unknown');
  assert.is(refusedAs(entry(parts({}), START_MS, 2)), 'unknown');
  for (const document of [
    parts({ 2: null }),
    parts({ 2: 'x' }),
    parts({ 3: 0 }),
    parts({ 3: -1 }),
    parts({ 4: 4 }),
    parts({ 5: null }),
    parts({ 5: 'ff' }),
    parts({ 6: 'x' }),
    parts({ 7: {} }),
    parts({ 7: { group_id: '../g' } }),
    parts({ 7: { group_id: 'g', more: 1 } }),
    [...parts({}), 1],
    parts({}).slice(0, 7),
    { type: 'create_group' },
    null,
  ]) {
    assert.is(refusedAs(entry(document)), 'PROTOCOL');
  }
  assert.is(refusedAs(entry(parts({}), -1)), 'PROTOCOL');
  assert.is(refusedAs(entry(parts({}), Number.NaN)), 'PROTOCOL');
  assert.is(refusedAs(new Uint8Array(0)), 'PROTOCOL');
});

test('a registration and the commands of the cluster carry no client', () => {
  for (const type of ['register_client', 'expire', 'set_limits', 'upgrade'] as const) {
    const example = EXAMPLES[type];
    assert.is(refusedAs(encodeCommand({ ...example, clientId: tokenOf('c'), seq: 1 } as Command)), 'PROTOCOL');
  }
});

test('mutated entries are refused with declared errors only', () => {
  const all = Object.values(EXAMPLES).map(encodeCommand);
  fc.assert(
    fc.property(
      fc.constantFrom(...all),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1 }),
      (bytes, edits) => {
        const copy = new Uint8Array(bytes);
        for (const [at, value] of edits) copy[at % copy.length] = value;
        assert.ok(['accepted', 'unknown', 'PROTOCOL'].includes(refusedAs(copy)));
      },
    ),
    { numRuns: 3000 },
  );
});

test('upcasters bring any version up to the newest, step by step', () => {
  const versions = [
    {
      schema: v.strictObject({ name: v.string() }),
      up: (payload: unknown) => ({ names: [(payload as { name: string }).name] }),
    },
    {
      schema: v.strictObject({ names: v.array(v.string()) }),
      up: (payload: unknown) => ({ ...(payload as object), urgent: false }),
    },
    { schema: v.strictObject({ names: v.array(v.string()), urgent: v.boolean() }) },
  ];
  const newest = { names: ['a'], urgent: false };
  assert.equal(readPayload('greet', 1, { name: 'a' }, versions), newest);
  assert.equal(readPayload('greet', 2, { names: ['a'] }, versions), newest);
  assert.equal(readPayload('greet', 3, newest, versions), newest);
  assert.throws(() => readPayload('greet', 1, newest, versions), /PROTOCOL|should be/);
  assert.throws(
    () => readPayload('greet', 4, newest, versions),
    (error: Error) => error instanceof UnknownCommandError,
  );
});

test('an upgrade beyond this build halts; one to the present version changes nothing', () => {
  const world = new World();
  assert.equal(world.runCluster('upgrade', { version: STATE_VERSION_MAX }).events, []);
  // As a later program will find it: one that lags behind asks for what has long been passed.
  world.state.version = STATE_VERSION_MAX + 1;
  assert.equal(world.runCluster('upgrade', { version: STATE_VERSION_MAX }).events, []);
  assert.is(world.state.version, STATE_VERSION_MAX + 1);
  assert.throws(
    () => world.runCluster('upgrade', { version: STATE_VERSION_MAX + 1 }),
    (error: Error) => error instanceof UnknownCommandError,
  );
});

test('entries are applied in order, once (scenario 40)', () => {
  const state = emptyState();
  apply(state, 5, EXAMPLES.register_client);
  assert.throws(() => apply(state, 5, EXAMPLES.register_client), /entry 5 applied after 5/);
  assert.throws(() => apply(state, 4, EXAMPLES.register_client), /entry 4 applied after 5/);
});

test.run();
