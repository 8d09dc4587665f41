import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compareText, Ordered } from '../../cluster/state/ordered.ts';
import { type Linked, Recency } from '../../cluster/state/recency.ts';

const test = suite('cluster/state ordered');

interface Item {
  readonly key: string;
}
const listOf = () => new Ordered<Item, string>((item, key) => compareText(item.key, key));

/** Insertions and deletions of few keys, or of many, so that blocks split and merge. */
const edits = fc
  .tuple(fc.integer({ min: 1, max: 4000 }), fc.integer(), fc.integer({ min: 0, max: 3000 }), fc.boolean())
  .map(([keys, seed, count, ascending]) => {
    let random = seed >>> 0;
    const draw = () => {
      random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
      return random >>> 8;
    };
    return Array.from({ length: count }, (_, i) => ({
      insert: draw() % 3 !== 0 || (i < count / 2 && ascending),
      key: `k${ascending ? i : draw() % keys}`.padStart(6, '0'),
    }));
  });

test('behaves like a sorted array', () => {
  fc.assert(
    fc.property(edits, fc.nat(5000), fc.integer({ min: 1, max: 700 }), (all, probe, limit) => {
      const list = listOf();
      const model = new Set<string>();
      for (const { insert, key } of all) {
        if (insert) {
          assert.is(list.insert(key, { key }), !model.has(key));
          model.add(key);
        } else {
          assert.is(list.delete(key)?.key, model.has(key) ? key : undefined);
          model.delete(key);
        }
      }
      const sorted = [...model].sort();
      assert.is(list.size, sorted.length);
      assert.equal(
        [...list.values()].map(({ key }) => key),
        sorted,
      );
      const visited: string[] = [];
      list.each(({ key }) => visited.push(key));
      assert.equal(visited, sorted);
      const from = `k${probe}`.padStart(6, '0');
      assert.is(list.has(from), model.has(from));
      assert.equal(
        [...list.values(from)].map(({ key }) => key),
        sorted.filter((key) => key >= from),
      );
      assert.equal(
        list.page(from, limit).map(({ key }) => key),
        sorted.filter((key) => key > from).slice(0, limit),
      );
      assert.equal(
        list.page(null, limit).map(({ key }) => key),
        sorted.slice(0, limit),
      );
    }),
    { numRuns: 200 },
  );
});

test('a last block that is emptied goes', () => {
  const list = listOf();
  const key = (i: number) => String(i).padStart(4, '0');
  // In order, so that the last block begins with one item, whatever the size of a full one.
  for (let i = 0; i < 1500; i++) {
    list.insert(key(i), { key: key(i) });
    list.delete(key(i));
    assert.is(list.size, i);
    assert.not(list.has(key(i)));
    list.insert(key(i), { key: key(i) });
    assert.is(list.get(key(i))?.key, key(i));
  }
});

test('empty lists share nothing', () => {
  const one = listOf();
  const other = listOf();
  one.insert('a', { key: 'a' });
  assert.is(other.size, 0);
  assert.not(other.has('a'));
  one.delete('a');
  one.insert('b', { key: 'b' });
  assert.equal([...listOf().values()], []);
});

test('recency: oldest first, touched last', () => {
  class Node implements Linked<Node> {
    older: Node | null = null;
    newer: Node | null = null;
    readonly name: string;
    constructor(name: string) {
      this.name = name;
    }
  }
  const queue = new Recency<Node>();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Node(name)) as [Node, Node, Node];
  const names = () => [...queue.values()].map(({ name }) => name).join('');
  for (const node of [a, b, c]) queue.add(node);
  queue.touch(a);
  assert.is(names(), 'bca');
  queue.touch(a);
  queue.remove(c);
  assert.is(names(), 'ba');
  queue.touch(b);
  assert.is(queue.oldest, a);
  queue.remove(a);
  queue.remove(b);
  assert.is(queue.oldest, null);
  queue.add(c);
  assert.is(names(), 'c');
});

test.run();
