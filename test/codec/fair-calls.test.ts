import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FairCalls } from '../../codec/fair-calls.ts';
import { CALL_COUNTS_MS, CALLS_AT_WORK_ALL_MAX, LARGE_CALLS_AT_WORK_BYTES_MAX } from '../../codec/limits.ts';
import { until } from '../harness/until.ts';

const test = suite('fair calls');
const always = () => true;
const spin = (ms: number) => {
  for (const end = performance.now() + ms; performance.now() < end; );
};

test('a lone call runs at once', () => {
  let ran = false;
  new FairCalls().lane(always).push(() => {
    ran = true;
  }, 10);
  assert.ok(ran);
});

test('a flood in one lane does not hold up another one, and keeps its own order', async () => {
  const calls = new FairCalls();
  const [flood, quiet] = [calls.lane(always), calls.lane(always)];
  const order: number[] = [];
  for (let i = 0; i < 200; i++) {
    flood.push((done) => {
      spin(0.5);
      order.push(i);
      done();
    }, 10);
  }
  let before = -1;
  quiet.push(() => {
    before = order.length;
  }, 10);
  const atPush = order.length;
  await until('all ran', () => order.length === 200);
  assert.ok(before >= 0 && before <= atPush + 1, `${before - atPush} calls of the flood ran first`);
  assert.equal(
    order,
    Array.from({ length: 200 }, (_, i) => i),
  );
});

test('a lane that is not ready waits for its wake, and a closed one is forgotten', async () => {
  const calls = new FairCalls();
  let ready = false;
  let ran = 0;
  const [held, gone] = [calls.lane(() => ready), calls.lane(() => false)];
  held.push(() => ran++, 10);
  gone.push(() => assert.unreachable(), 10);
  assert.is(calls.waitingBytes, 20);
  gone.close();
  assert.is(calls.waitingBytes, 10);
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(ran, 0);
  assert.is(held.waiting, 1);
  ready = true;
  held.wake();
  await until('it ran', () => ran === 1);
});

test('large jobs under way are bounded in bytes, lanes in turn; small ones of others pass them', async () => {
  const calls = new FairCalls();
  const [mallory, eve, alice] = [calls.lane(always), calls.lane(always), calls.lane(always)];
  const size = LARGE_CALLS_AT_WORK_BYTES_MAX / 2;
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const job = (name: string) => (done: () => void) => {
    begun.push(name);
    ends.set(name, done);
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (name: string) => {
    ends.get(name)!();
    await turn();
  };
  for (let i = 1; i <= 4; i++) mallory.push(job(`m${i}`), size);
  eve.push(job('e1'), size);
  alice.push(job('a1'), 100);
  await turn();
  await turn();
  assert.equal(begun, ['m1', 'm2', 'a1']);
  assert.is(calls.waitingBytes, 3 * size);
  await end('m1');
  await end('m2');
  assert.equal(begun, ['m1', 'm2', 'a1', 'm3', 'e1'], 'no second turn before everyone had one');
  await end('e1');
  await end('e1');
  await end('m3');
  assert.equal(begun.at(-1), 'm4');
  assert.is(calls.waitingBytes, 0);
});

test('calls of all lanes under way are bounded; what lasts long does not count, so that it keeps nobody out', async () => {
  const calls = new FairCalls();
  let begun = 0;
  const ends: (() => void)[] = [];
  const flood = (done: () => void) => {
    begun++;
    ends.push(done);
  };
  for (let i = 0; i < 20; i++) {
    const lane = calls.lane(always);
    for (let n = 0; n < CALLS_AT_WORK_ALL_MAX / 10; n++) lane.push(flood, 10);
  }
  await until('as many as may', () => begun === CALLS_AT_WORK_ALL_MAX);
  let isServed = false;
  calls.lane(always).push((done) => {
    isServed = true;
    done();
  }, 10);
  ends[0]!();
  for (let i = 0; i < 21; i++) ends[i]!();
  await until('one turn of all others later', () => isServed, { timeoutMs: CALL_COUNTS_MS });
  // Nobody ends: all the same, others begin after a moment.
  await until('the rest', () => begun === ends.length && begun >= 20 * Math.ceil(CALLS_AT_WORK_ALL_MAX / 10));
});

test('a large call is not kept waiting by smaller ones that would fit', async () => {
  const calls = new FairCalls();
  const [many, one] = [calls.lane(always), calls.lane(always)];
  const ends: (() => void)[] = [];
  let small = 0;
  const job = (done: () => void) => {
    small++;
    ends.push(done);
  };
  for (let i = 0; i < 20; i++) many.push(job, LARGE_CALLS_AT_WORK_BYTES_MAX / 4);
  let isBegun = false;
  one.push(() => {
    isBegun = true;
  }, LARGE_CALLS_AT_WORK_BYTES_MAX);
  await until('it runs', () => {
    if (!isBegun) ends.shift()?.();
    return isBegun;
  });
  assert.ok(small < 8, `${small} smaller ones of another lane went before it`);
});

test('one that is larger than all of the room runs alone', async () => {
  const calls = new FairCalls();
  const lane = calls.lane(always);
  const ends: (() => void)[] = [];
  for (let i = 0; i < 2; i++) lane.push((done) => ends.push(done), 2 * LARGE_CALLS_AT_WORK_BYTES_MAX);
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(ends.length, 1);
  ends[0]!();
  await until('the second one', () => ends.length === 2);
});

test.run();
