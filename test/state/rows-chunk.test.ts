import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import type { Row } from '../../cluster/state/content-hash.ts';
import { RowsChunk } from '../../cluster/state/rows-chunk.ts';
import { decodeCbor } from '../../codec/cbor.ts';

const test = suite('cluster/state rows chunk');

const read = (chunk: Uint8Array) => decodeCbor(chunk, v.unknown(), 'rows');

/** Numbers around each width, text of all widths, lone surrogates too. */
const field = fc.oneof(
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
  fc.nat(),
  fc.maxSafeNat(),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 300 }),
  fc.boolean(),
  fc.constant(null),
);

test('a general decoder reads what was added', () => {
  fc.assert(
    fc.property(fc.array(fc.array(field, { maxLength: 30 }), { maxLength: 40 }), (rows) => {
      const chunk = new RowsChunk(1 << 20);
      for (const row of rows) assert.ok(chunk.add(row));
      assert.is(chunk.count, rows.length);
      const expected = rows.map((row) => row.map((value) => (typeof value === 'string' ? wellFormed(value) : value)));
      assert.equal(read(chunk.take()), ['rows', expected]);
      assert.equal(read(chunk.take()), ['rows', []]);
    }),
  );
});

test('what does not fit is not added, and the chunk stays within its bytes', () => {
  const chunk = new RowsChunk(1_000);
  const row: Row = [1, 'x'.repeat(50), 7];
  let added = 0;
  while (chunk.add(row)) added++;
  const bytes = chunk.take();
  assert.ok(bytes.length <= 1_000);
  assert.is((read(bytes) as [string, unknown[]])[1].length, added);
  assert.ok(added > 4);
  assert.not(chunk.add([1, 'x'.repeat(1_000)]));
});

/** As UTF-8 has it. */
function wellFormed(text: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(text));
}

test.run();
