import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ByteRow, decodeRows, encodeRows } from '../../codec/byte-rows.ts';
import { MtError } from '../../codec/errors.ts';

const ROWS_MAX = 100;
const bytes = fc.uint8Array({ maxLength: 40 });
const row = fc.record({
  number: fc.maxSafeNat(),
  tag: fc.nat(255),
  data: bytes,
  attachment: fc.option(bytes),
});
const plain = (rows: readonly ByteRow[]) =>
  rows.map(({ number, tag, data, attachment }) => [number, tag, [...data], attachment && [...attachment]]);

const test = suite('codec byte-rows');

test('rows come back as they were', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: ROWS_MAX }), (rows) => {
      assert.equal(plain(decodeRows(encodeRows(rows), ROWS_MAX, 'rows')), plain(rows));
    }),
  );
});

test('more rows than allowed, and any other bytes, give a declared error or rows', () => {
  const decode = (input: Uint8Array) => {
    try {
      decodeRows(input, ROWS_MAX, 'rows');
    } catch (error) {
      if (!(error instanceof MtError)) throw error;
    }
  };
  const one = { number: 1, tag: 0, data: new Uint8Array(3), attachment: null };
  assert.throws(
    () => decodeRows(encodeRows(Array(ROWS_MAX + 1).fill(one)), ROWS_MAX, 'rows'),
    (error: unknown) => error instanceof MtError,
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), decode), { numRuns: 2_000 });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 4 }), fc.nat(), fc.nat(255), (rows, at, value) => {
      const input = Uint8Array.from(encodeRows(rows));
      input[at % input.length] = value;
      decode(input);
    }),
    { numRuns: 5_000 },
  );
});

test.run();
