import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FairCalls } from '../../codec/fair-calls.ts';
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
  });
  assert.ok(ran);
});

test('a flood in one lane does not hold up another one, and keeps its own order', async () => {
  const calls = new FairCalls();
  const [flood, quiet] = [calls.lane(always), calls.lane(always)];
  const order: number[] = [];
  for (let i = 0; i < 200; i++) {
    flood.push(() => {
      spin(0.5);
      order.push(i);
    });
  }
  let before = -1;
  quiet.push(() => {
    before = order.length;
  });
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
  held.push(() => ran++);
  gone.push(() => assert.unreachable());
  gone.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(ran, 0);
  assert.is(held.waiting, 1);
  ready = true;
  held.wake();
  await until('it ran', () => ran === 1);
});

test.run();
