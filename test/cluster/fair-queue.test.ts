import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FairQueue } from '../../cluster/node/fair-queue.ts';
import { isMtError } from '../../codec/errors.ts';

const test = suite('fair queue');

/** Jobs that end when they are told to, by name, and the order in which they began. */
function scene(atOnce: number, waitingMax: number) {
  const queue = new FairQueue({ atOnce, waitingMax });
  const began: string[] = [];
  const refused: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = (asker: string, name: string) => {
    const job = () => {
      began.push(name);
      return new Promise<void>((resolve) => ends.set(name, resolve));
    };
    return queue.run(asker, job).catch((error) => {
      assert.ok(isMtError(error, 'OVERLOADED'));
      refused.push(name);
    });
  };
  const end = async (name: string) => {
    ends.get(name)!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { ask, end, began, refused };
}

test('so many at once, then one of each asker in turn', async () => {
  const { ask, end, began } = scene(2, 10);
  for (const name of ['m1', 'm2', 'm3', 'm4', 'm5']) void ask('mallory', name);
  void ask('alice', 'a1');
  void ask('bob', 'b1');
  void ask('alice', 'a2');
  assert.equal(began, ['m1', 'm2']);
  for (const name of ['m1', 'm2', 'm3', 'a1', 'b1', 'm4']) await end(name);
  assert.equal(began, ['m1', 'm2', 'm3', 'a1', 'b1', 'm4', 'a2', 'm5']);
});

test('when it is full, whoever has most in it makes room; who has most is refused', async () => {
  const { ask, end, began, refused } = scene(1, 3);
  for (const name of ['m1', 'm2', 'm3', 'm4']) void ask('mallory', name);
  await ask('mallory', 'm5');
  assert.equal(refused, ['m5']);
  void ask('alice', 'a1');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(refused, ['m5', 'm4']);
  for (const name of ['m1', 'm2', 'a1']) await end(name);
  assert.equal(began, ['m1', 'm2', 'a1', 'm3']);
});

test('a job that fails gives its place away too', async () => {
  const queue = new FairQueue({ atOnce: 1, waitingMax: 3 });
  const failing = queue.run('a', () => Promise.reject(new Error('oh'))).catch((error: Error) => error.message);
  assert.is(await queue.run('b', async () => 'done'), 'done');
  assert.is(await failing, 'oh');
});

test.run();
