import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { checkSchema, decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { isMtError } from '../../codec/errors.ts';
import { countSchema } from '../../codec/ids.ts';
import { CBOR_DEPTH_MAX, CBOR_ITEMS_MAX } from '../../codec/limits.ts';

const any = v.unknown();

/** The code of the error that decoding these bytes gives, or `decoded`. Anything but an MtError is rethrown. */
function outcome(bytes: Uint8Array, schema: v.GenericSchema = any): string {
  try {
    decodeCbor(bytes, schema, 'a test');
  } catch (error) {
    if (isMtError(error)) return error.code;
    throw error;
  }
  return 'decoded';
}
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

const key = fc.string({ maxLength: 12, unit: 'grapheme' }).filter((text) => text !== '__proto__');
const { value: plain } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.integer(),
    fc.maxSafeNat(),
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array(),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}));

/** Byte strings as hex, -0 as 0: what CBOR need not keep apart. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return `h'${Buffer.from(value).toString('hex')}'`;
  if (Array.isArray(value)) return value.map(comparable);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, comparable(item)]));
  }
  return value === 0 ? 0 : value;
}

const test = suite('cbor');

test('plain values come back as they were (property)', () => {
  fc.assert(
    fc.property(plain, (value) => {
      const bytes = Buffer.from(encodeCbor(value));
      assert.equal(comparable(decodeCbor(bytes, any, 'a test')), comparable(value));
    }),
    { numRuns: 1_000 },
  );
});

test('byte strings decode as bytes, also from a view into a larger buffer', () => {
  const bytes = Buffer.concat([Buffer.alloc(5, 0xff), encodeCbor({ a: Uint8Array.of(1, 2, 3) })]).subarray(5);
  const { a } = decodeCbor(bytes, v.strictObject({ a: v.instance(Uint8Array) }), 'a test');
  assert.equal([...a], [1, 2, 3]);
});

test('numbers keep their value around every width', () => {
  for (const number of [
    0,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32,
    2 ** 32 + 1,
    2 ** 48,
    Number.MAX_SAFE_INTEGER,
  ]) {
    assert.is(decodeCbor(encodeCbor(number), countSchema, 'a test'), number);
  }
  // Our encoder writes numbers beyond 32 bits as doubles; an integer of 64 bits would be a bigint, which no schema takes.
  assert.is(outcome(hex('1b 001fffffffffffff'), countSchema), 'PROTOCOL');
  assert.is(outcome(hex('fb 4340000000000000'), countSchema), 'PROTOCOL', '2^53');
  assert.is(outcome(hex('1b ffffffffffffffff'), countSchema), 'PROTOCOL');
  assert.is(outcome(hex('f9 7e00'), countSchema), 'PROTOCOL', 'NaN');
});

const HOSTILE: [what: string, bytes: Uint8Array][] = [
  ['nothing', hex('')],
  ['a cut number', hex('19 01')],
  ['a string longer than the document', hex('7b 00000000ffffffff 61')],
  ['bytes of 2^64-1', hex('5b ffffffffffffffff 00')],
  ['an array of 2^32-1', hex('9a ffffffff')],
  ['an array of 2^64-1', hex('9b ffffffffffffffff')],
  ['a map of 2^63', hex('bb 8000000000000000')],
  ['an array that ends early', hex('83 01 02')],
  ['a map without its last value', hex('a1 61 61')],
  ['bytes after the end', hex('01 02')],
  ['indefinite array', hex('9f 01 ff')],
  ['indefinite map', hex('bf ff')],
  ['indefinite text', hex('7f 61 61 ff')],
  ['indefinite bytes', hex('5f 41 61 ff')],
  ['a lone break', hex('ff')],
  ['reserved lengths', hex('1c')],
  ['reserved array length', hex('9d 01')],
  ['simple value 0', hex('e0')],
  ['simple value in a second byte', hex('f8 05')],
  ['tag 0, a date', hex('c0 74 323031332d30332d32315432303a30343a30305a')],
  ['tag 1, a date', hex('c1 00')],
  ['tag 2, a bignum', hex('c2 49 010000000000000000')],
  ['tag 27, an object of some class', hex('d8 1b 82 65 4572726f72 61 61')],
  ['tag 28, shareable', hex('d8 1c 01')],
  ['tag 258, a set', hex('d9 0102 81 01')],
  ['tag 40009, a record of cbor-x', hex('d9 9c49 83 81 61 61 01 01')],
  ['tag 57342, packed strings of cbor-x', hex('d9 dffe 81 01')],
  ['tag 64, a typed array', hex('d8 40 41 00')],
  ['a regular expression of cbor-x', hex('d9 010b 82 61 61 60')],
  ['deep arrays', Buffer.concat([Buffer.alloc(CBOR_DEPTH_MAX + 1, 0x81), hex('00')])],
  ['very deep arrays', Buffer.alloc(400_000, 0x81)],
  ['deep maps', Buffer.concat([...Array(CBOR_DEPTH_MAX + 1).fill(hex('a1 61 61')), hex('00')])],
  ['more items than any message has', Buffer.concat([hex('9a 00030d40'), Buffer.alloc(200_000, 0xf6)])],
];
for (const [what, bytes] of HOSTILE) {
  test(`refused: ${what}`, () => assert.is(outcome(bytes), 'PROTOCOL'));
}

test('the deepest and longest that is allowed is decoded', () => {
  assert.is(outcome(Buffer.concat([Buffer.alloc(CBOR_DEPTH_MAX, 0x81), hex('00')])), 'decoded');
  const count = CBOR_ITEMS_MAX - 1;
  const head = Buffer.alloc(5, 0x9a);
  head.writeUInt32BE(count, 1);
  assert.is(outcome(Buffer.concat([head, Buffer.alloc(count, 0xf6)])), 'decoded');
});

test('keys cannot reach a prototype', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const bytes = Buffer.concat([hex('a1'), encodeCbor(name), hex('a1 61 78 01')]);
    const value = decodeCbor(bytes, any, 'a test') as Record<string, unknown>;
    assert.is(Object.getPrototypeOf(value), Object.prototype);
    assert.is(({} as Record<string, unknown>).x, undefined);
    assert.is(outcome(bytes, v.strictObject({})), 'PROTOCOL', `an unknown key ${name}`);
  }
});

test('a strict schema refuses keys that are no text, and unknown keys', () => {
  const schema = v.strictObject({ a: v.number() });
  assert.is(outcome(hex('a1 61 61 01'), schema), 'decoded');
  for (const bytes of ['a1 01 01', 'a1 41 61 01', 'a1 80 01', 'a2 61 61 01 61 62 01', 'a0', '81 01', '01', 'f6']) {
    assert.is(outcome(hex(bytes), schema), 'PROTOCOL', bytes);
  }
});

test('an error names the field, never its value', () => {
  const schema = v.strictObject({ user: v.strictObject({ password: v.pipe(v.string(), v.maxLength(3)) }) });
  try {
    checkSchema({ user: { password: 'secret!' } }, schema, 'login request');
    assert.unreachable();
  } catch (error) {
    assert.ok(isMtError(error, 'PROTOCOL'));
    assert.match((error as Error).message, 'user.password');
    assert.not.match((error as Error).message, 'secret!');
    assert.not.match(JSON.stringify(error), 'secret!');
  }
});

test('random and damaged documents give PROTOCOL or a value, never another error (property)', () => {
  const damaged = fc
    .tuple(plain, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }), fc.nat({ max: 3 }))
    .map(([value, changes, cut]) => {
      const bytes = Buffer.from(encodeCbor(value));
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      return bytes.subarray(0, bytes.length - cut);
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), damaged), (bytes) => {
      assert.ok(['decoded', 'PROTOCOL'].includes(outcome(bytes)));
    }),
    { numRuns: 5_000 },
  );
});

test.run();
