// The fast way and the general way must be one language: same bytes out, same values in, same refusals.
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { decodePeerFrame, type PeerFrameType } from '../../codec/peer-messages.ts';
import { decodePlain, encodePlainInto, type Plain, plainSizeMax } from '../../codec/plain-cbor.ts';

const test = suite('plain-cbor');

const number = fc.oneof(
  fc.nat(30),
  fc.nat(300),
  fc.nat(70_000),
  fc.nat({ max: 2 ** 31 - 1 }),
  fc.constant(2 ** 32 - 1),
);
const run = fc.tuple(number, number);
const list = fc.array(fc.oneof(number, fc.boolean(), fc.array(run, { maxLength: 30 })), { maxLength: 300 });

function encodePlain(value: Plain): Buffer {
  const bytes = Buffer.alloc(plainSizeMax(value));
  return bytes.subarray(0, encodePlainInto(bytes, 0, value));
}

test('writes the bytes that the general encoder writes, and reads them back', () => {
  fc.assert(
    fc.property(list, (value) => {
      const bytes = encodePlain(value);
      assert.equal(bytes, Buffer.from(encodeCbor(value)));
      assert.equal(decodePlain(bytes), value);
    }),
  );
});

test('reads nothing that the general decoder refuses, and what it reads is the same', () => {
  const near = list.chain((value) => {
    const bytes = encodePlain(value);
    return fc.tuple(fc.constant(bytes), fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length));
  });
  fc.assert(
    fc.property(near, ([bytes, at, byte, length]) => {
      const changed = Buffer.from(bytes);
      changed[at] = byte;
      for (const input of [changed, bytes.subarray(0, length), Buffer.concat([bytes, Buffer.of(byte)])]) {
        const plain = decodePlain(input);
        if (plain) assert.equal(plain, decodeCbor(input, v.array(v.any()), 'list'));
      }
    }),
    { numRuns: 500 },
  );
});

test('deep nesting and promised length cost nothing', () => {
  assert.is(decodePlain(Buffer.alloc(10_000, 0x81)), null);
  assert.is(decodePlain(Buffer.from('9affffffff', 'hex')), null);
  assert.is(decodePlain(Buffer.from('9bffffffffffffffff', 'hex')), null);
});

test('each type refuses what is not its payload', () => {
  const wrong: [PeerFrameType, Plain][] = [
    ['have', []],
    ['have', [8_192]],
    ['have', [true]],
    ['have', [[1]]],
    ['offer', [1]],
    ['offer', [1, 1]],
    ['accept', [1, 1, [], 0]],
    ['accept', [1, 1, [[1]], true]],
    ['accept', [1, 1, [[1, 0]], true]],
    ['accept', [1, 9_000, [[1, 1]], true]],
    ['got', []],
    ['got', [false]],
  ];
  for (const [type, payload] of wrong) {
    assert.throws(
      () => decodePeerFrame(type, encodePlain(payload)),
      (error: { code: string }) => error.code === 'PROTOCOL',
      `${type} ${JSON.stringify(payload)}`,
    );
  }
});

test.run();
