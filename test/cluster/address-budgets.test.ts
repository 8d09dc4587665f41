import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Budget, Places } from '../../cluster/node/server/address-budgets.ts';
import { isMtError } from '../../codec/errors.ts';

const test = suite('address budgets');

test('a burst, then a trickle, for each address alone', () => {
  const budget = new Budget('new accounts', { burst: 3, perSecond: 2 });
  const takes = (address: string, nowMs: number) => {
    try {
      budget.take(address, nowMs);
      return true;
    } catch (error) {
      assert.ok(isMtError(error, 'OVERLOADED'));
      return false;
    }
  };
  for (let i = 0; i < 3; i++) assert.ok(takes('a', 0));
  assert.not.ok(takes('a', 0));
  assert.ok(takes('b', 0), 'others are served');
  assert.not.ok(takes('a', 400));
  assert.ok(takes('a', 600));
  assert.not.ok(takes('a', 600));
  for (let i = 0; i < 3; i++) assert.ok(takes('a', 100_000), 'never more than the burst');
  assert.not.ok(takes('a', 100_000));
  assert.not.ok(takes('a', 0), 'a clock that goes back gives nothing');
});

test('places at once, for each address and in all, are given back', () => {
  const places = new Places('streams', { total: 3, perAddress: 2 });
  const isFull = (address: string) =>
    assert.throws(
      () => places.enter(address),
      (error: unknown) => isMtError(error, 'OVERLOADED'),
    );
  const leave = places.enter('a');
  places.enter('a');
  isFull('a');
  places.enter('b');
  isFull('c');
  leave();
  places.enter('c');
  isFull('a');
});

test.run();
