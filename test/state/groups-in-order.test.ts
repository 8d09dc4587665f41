import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GroupsInOrder } from '../../cluster/state/groups-in-order.ts';
import { Group, User } from '../../cluster/state/records.ts';

const test = suite('cluster/state groups in order');

const owner = new User('u', 0, { n: 2, r: 1, p: 1, salt: '', hash: '', version: 0 });
const groupOf = (id: string) => new Group(id, 0, owner, 0);

/** Runs of new groups, long enough to be merged, between deletions and reads. */
const runs = fc.array(
  fc.record({ seed: fc.nat(1 << 20), count: fc.constantFrom(1, 7, 300, 700), gone: fc.nat(3), reads: fc.boolean() }),
  { maxLength: 8 },
);

test('reads as a sorted list, whenever it is read', () => {
  fc.assert(
    fc.property(runs, fc.nat(1 << 20), fc.integer({ min: 1, max: 50 }), (all, probe, limit) => {
      const list = new GroupsInOrder();
      const model = new Set<string>();
      const sorted = () => [...model].sort();
      for (const { seed, count, gone, reads } of all) {
        for (let i = 0; i < count; i++) {
          const id = `g${(seed + Math.imul(i, 7919)) & 0xfffff}`;
          if (model.has(id)) continue;
          model.add(id);
          list.insert(groupOf(id));
        }
        for (const id of [...model].slice(0, gone)) {
          model.delete(id);
          list.delete(id);
        }
        if (!reads) continue;
        const after = `g${probe}`;
        const expected = sorted().filter((id) => id > after);
        assert.equal(
          list.page(after, limit).map(({ id }) => id),
          expected.slice(0, limit),
        );
      }
      assert.equal(
        list.items().map(({ id }) => id),
        sorted(),
      );
      assert.equal(
        [...list.values()].map(({ id }) => id),
        sorted(),
      );
    }),
    { numRuns: 60 },
  );
});

test.run();
