// A short run of the fuzzer; `npm run fuzz -- --seconds S` is the long one.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fuzz } from './run.ts';
import { TARGETS } from './targets.ts';

const test = suite('fuzz');
/** Two batches of every parser. */
const INPUTS = 2 * 2_000 * TARGETS.length;

test('every seed kind is accepted by its own parser, and mutants give declared errors only', async () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`seed ${seed}`);
  const result = await fuzz({ targets: TARGETS, seed, untilMs: performance.now() + 30_000, inputsMax: INPUTS });
  assert.is(result.finding, null, `${result.finding?.target}: ${result.finding?.error} (seed ${seed})`);
  assert.ok(result.accepted > result.inputs / 50, `${result.accepted} of ${result.inputs} accepted`);
});

test('a parser that throws anything else is found', async () => {
  const target = {
    name: 'broken',
    seed: () => Uint8Array.of(1, 2, 3),
    run: (bytes: Uint8Array) => {
      if (bytes[0] === 77) throw new TypeError('oh');
    },
    allows: () => false,
  };
  const { finding } = await fuzz({
    targets: [target],
    seed: 1,
    untilMs: performance.now() + 20_000,
    inputsMax: 10 ** 7,
  });
  assert.is(finding?.target, 'broken');
  assert.is(finding?.input[0], 77);
});

test.run();
