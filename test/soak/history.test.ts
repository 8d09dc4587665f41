// Does the checker of a soak see what it must? Histories that went wrong in each way that it knows.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { History, type Outcome } from './history.ts';

const test = suite('soak history');

function unique(outcome: Outcome): History {
  const history = new History();
  history.addUnique('u-1', 'ann', outcome);
  return history;
}
const there = new Map([['u-1', 'ann']]);
const gone = new Map<string, string>();

for (const [outcome, listed, violation] of [
  ['acknowledged', there, null],
  ['acknowledged', gone, /LOST: u-1 at tracker 2/],
  ['failed', there, /was refused, but tracker 2 has it/],
  ['failed', gone, null],
  ['unknown', there, null],
  ['unknown', gone, null],
] as const) {
  test(`a command that was ${outcome} and is ${listed === there ? '' : 'not '}there afterwards`, () => {
    const history = unique(outcome);
    history.compare(2, listed);
    assert.is(history.violations.length, violation === null ? 0 : 1, history.violations.join());
    if (violation) assert.match(history.violations[0]!, violation);
  });
}

test('what nobody made, and what changed hands', () => {
  const history = unique('acknowledged');
  history.compare(1, new Map([...there, ['u-9', 'ann']]));
  assert.match(history.violations.join(), /tracker 1 has u-9, which nobody made/);
  const other = unique('acknowledged');
  other.compare(1, new Map([['u-1', 'bob']]));
  assert.match(other.violations.join(), /u-1 is bob's, not ann's/);
});

/** `create` by ann, then one more operation; times do not overlap. */
function shared(op: 'create' | 'look' | 'join', output: string | undefined, user = 'bob'): History {
  const history = new History();
  history.addShared(
    { client: 1, input: { op: 'create', group: 's', user: 'ann' }, output: 'ok', callAt: 0, returnAt: 1 },
    false,
  );
  const returnAt = output === undefined ? Number.POSITIVE_INFINITY : 3;
  history.addShared({ client: 2, input: { op, group: 's', user }, output, callAt: 2, returnAt }, false);
  return history;
}

test('a command that was done twice, lost, or answered from the past', () => {
  for (const [history, isRight] of [
    [shared('look', 'ann/1/none'), true],
    [shared('look', 'none'), false],
    [shared('create', 'GROUP_EXISTS'), true],
    [shared('create', 'ok'), false],
    [shared('join', 'ok'), true],
    [shared('join', 'NO_SUCH_GROUP'), false],
    [shared('join', undefined), true],
    [shared('create', 'GROUP_EXISTS', 'ann'), true],
  ] as const) {
    assert.is(history.checkShared(), 1);
    assert.is(history.violations.length === 0, isRight, history.violations.join());
  }
});

test.run();
