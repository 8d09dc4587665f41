import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bitfield, first } from '../../daemon/pieces/bitfield.ts';

const test = suite('bitfield');

/** What a bitfield is, without any cleverness: a set, and a string of binary digits on the wire. */
function dumbBytes(pieces: Set<number>, size: number): number[] {
  const digits = Array.from({ length: Math.ceil(size / 8) * 8 }, (_, piece) => (pieces.has(piece) ? '1' : '0')).join(
    '',
  );
  return (digits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
}

const ascending = (pieces: Iterable<number>) => [...pieces].sort((a, b) => a - b);

test('agrees with a dumb set under any operations', () => {
  const operation = fc.tuple(fc.boolean(), fc.integer({ min: -1, max: 101 }));
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 100 }),
      fc.array(operation),
      fc.array(fc.nat(99)),
      (size, operations, more) => {
        const fast = new Bitfield(size);
        const dumb = new Set<number>();
        for (const [isSet, piece] of operations) {
          const exists = piece >= 0 && piece < size;
          const changes = exists && dumb.has(piece) !== isSet;
          assert.is(isSet ? fast.set(piece) : fast.clear(piece), changes);
          if (changes) isSet ? dumb.add(piece) : dumb.delete(piece);
          assert.is(fast.has(piece), dumb.has(piece));
        }
        assert.is(fast.count, dumb.size);
        assert.is(fast.complete, dumb.size === size);
        assert.equal([...fast.pieces()], ascending(dumb));
        assert.equal([...fast.toBytes()], dumbBytes(dumb, size));
        assert.equal([...Bitfield.fromBytes(fast.toBytes(), size)!.pieces()], ascending(dumb));
        const other = new Bitfield(size);
        for (const piece of more) other.set(piece);
        assert.equal(
          [...fast.without(other)],
          ascending(dumb).filter((piece) => !other.has(piece)),
        );
        assert.equal(
          [...fast.and(other)],
          ascending(dumb).filter((piece) => other.has(piece)),
        );
      },
    ),
  );
});

test('reads strictly', () => {
  assert.is(Bitfield.fromBytes(new Uint8Array(2), 8), null, 'too long');
  assert.is(Bitfield.fromBytes(new Uint8Array(1), 9), null, 'too short');
  assert.is(Bitfield.fromBytes(Uint8Array.of(0b0000_0001), 7), null, 'a spare bit is set');
  assert.ok(Bitfield.fromBytes(Uint8Array.of(0b1111_1110), 7)!.complete);
  assert.ok(Bitfield.fromBytes(new Uint8Array(0), 0)!.complete, 'an empty file is complete');
});

test('full, and the first of none', () => {
  assert.ok(Bitfield.full(33).complete);
  assert.is(first(new Bitfield(33).pieces()), null);
  assert.is(first(Bitfield.full(33).pieces()), 0);
});

test.run();
