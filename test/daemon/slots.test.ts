import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SLOT_SIZE_MAX, type Slot, SlotPool } from '../../daemon/peer/slots.ts';

const KiB = 1024;
const test = suite('slots');

test('no two slots overlap, and all memory comes back', () => {
  const step = fc.record({ take: fc.boolean(), size: fc.integer({ min: 1, max: SLOT_SIZE_MAX }), which: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const pool = new SlotPool(4 * SLOT_SIZE_MAX);
      const taken: Slot[] = [];
      for (const { take, size, which } of steps) {
        if (take) {
          const slot = pool.take(size);
          if (!slot) continue;
          assert.ok(slot.size >= size);
          const isFree = taken.every(
            (one) => slot.offset + slot.size <= one.offset || one.offset + one.size <= slot.offset,
          );
          assert.ok(isFree, 'it overlaps nothing');
          taken.push(slot);
        } else if (taken.length > 0) {
          pool.give(taken.splice(which % taken.length, 1)[0]!);
        }
      }
      for (const slot of taken) pool.give(slot);
      assert.is(pool.usedBytes, 0);
      for (let i = 0; i < 4; i++) assert.ok(pool.take(SLOT_SIZE_MAX));
      assert.is(pool.take(1), null);
    }),
  );
});

test('who waits is woken in turn', () => {
  const pool = new SlotPool(SLOT_SIZE_MAX);
  const slot = pool.take(SLOT_SIZE_MAX)!;
  const woken: string[] = [];
  pool.whenFree(() => woken.push('a'));
  pool.whenFree(() => woken.push('b'));
  const forgotten = () => woken.push('c');
  pool.whenFree(forgotten);
  pool.forget(forgotten);
  pool.give(slot);
  assert.equal(woken, ['a', 'b']);
});

test('small pieces share a slab', () => {
  const pool = new SlotPool(SLOT_SIZE_MAX);
  const slots = Array.from({ length: 16 }, () => pool.take(64 * KiB));
  assert.ok(slots.every((slot) => slot?.size === 64 * KiB));
  assert.is(pool.take(64 * KiB), null);
});

test.run();
