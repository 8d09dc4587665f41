import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RarityIndex } from '../../daemon/pieces/rarity-index.ts';
import { seededRandom } from '../swarm-sim/clock.ts';

const test = suite('rarity-index');

test('finds a rarest piece, as a dumb search does, after any changes', () => {
  const change = fc.record({ piece: fc.nat(19), rarity: fc.option(fc.nat(4), { nil: null }) });
  fc.assert(
    fc.property(fc.array(change), fc.nat(), fc.integer({ min: 1, max: 5 }), (changes, seed, divisor) => {
      const index = new RarityIndex(20);
      const dumb = new Map<number, number>();
      for (const { piece, rarity } of changes) {
        if (rarity === null) {
          index.remove(piece);
          dumb.delete(piece);
        } else {
          index.put(piece, rarity);
          dumb.set(piece, rarity);
        }
        assert.is(index.has(piece), dumb.has(piece));
      }
      assert.is(index.count, dumb.size);
      const accept = (piece: number) => piece % divisor === 0;
      const accepted = [...dumb].filter(([piece]) => accept(piece));
      const least = Math.min(...accepted.map(([, rarity]) => rarity));
      const found = index.findRarest(accept, seededRandom(seed), 1000);
      assert.is(found === null, accepted.length === 0);
      if (found !== null) assert.is(dumb.get(found), least);
      if (found !== null) assert.ok(accept(found));
    }),
  );
});

test('breaks ties at random and gives up after so many probes', () => {
  const index = new RarityIndex(10);
  for (let piece = 0; piece < 10; piece++) index.put(piece, 3);
  const found = new Set<number | null>();
  for (let seed = 0; seed < 200; seed++) found.add(index.findRarest(() => true, seededRandom(seed), 1));
  assert.is(found.size, 10);
  assert.is(
    index.findRarest(() => false, seededRandom(1), 5),
    null,
  );
});

test.run();
