/** Scenario 30: leadership handed over on purpose. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft transfer');

const transfer = (c: TestCluster, to: string | null) => c.step(1, { type: 'transfer_leadership', ref: 77, to });
const outcomes = (c: TestCluster) => c.node(1).outputs.flatMap((o) => (o.transfer === null ? [] : [o.transfer]));

function led(): TestCluster {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(3);
  c.node(1).outputs = [];
  return c;
}

test('scenario 30: the chosen one leads within a few messages, no tick needed, nothing left in doubt', () => {
  for (const to of ['3', null]) {
    const c = led();
    const { refs } = c.propose(1, 'a');
    transfer(c, to);
    c.settle();
    assert.is(c.role(1), 'follower');
    assert.is(c.leader()!.raft.status().term, 2);
    if (to !== null) assert.is(c.leader()!.id, to);
    assert.equal(
      outcomes(c).map(({ ref, outcome }) => [ref, outcome]),
      [[77, 'done']],
    );
    assert.equal(
      c.node(1).outputs.flatMap((o) => o.unknown),
      [],
      `proposal ${refs} committed before`,
    );
    assert.equal(c.leader()!.state, ['a']);
  }
});

test('scenario 30: proposals and changes are refused meanwhile; the time limit ends it and the leader carries on', () => {
  const c = led();
  transfer(c, '3');
  c.drop((m) => m.type === 'timeout_now');
  assert.equal(
    c.propose(1, 'no').output.refused.map((r) => r.reason),
    ['transferring'],
  );
  const change = c.step(1, { type: 'change_membership', ref: 5, change: { op: 'remove', node: '2' } });
  assert.equal(
    change.refused.map((r) => r.reason),
    ['transferring'],
  );
  assert.equal(
    transfer(c, '2').refused.map((r) => r.reason),
    ['transferring'],
  );
  c.run(TEST_CONFIG.electionTicks);
  assert.equal(outcomes(c), [{ ref: 77, to: '3', outcome: 'timeout' }]);
  assert.is(c.role(1), 'leader');
  assert.equal(c.propose(1, 'yes').output.refused, []);
});

test('scenario 30: it can be aborted', () => {
  const c = led();
  transfer(c, '3');
  c.drop((m) => m.type === 'timeout_now');
  c.step(1, { type: 'abort_transfer' });
  assert.equal(outcomes(c), [{ ref: 77, to: '3', outcome: 'aborted' }]);
  assert.equal(c.propose(1, 'yes').output.refused, []);
});

test('scenario 30: reads stay correct: a round is confirmed by those who still follow, or the read is lost', () => {
  const c = led();
  transfer(c, '3');
  c.step(1, { type: 'read', ref: 1 });
  const beats = c.drop((m) => m.type === 'heartbeat');
  c.settle();
  assert.is(c.role(3), 'leader');
  for (const beat of beats) c.deliver(beat);
  c.settle();
  assert.equal(
    c.node(1).outputs.flatMap((o) => o.reads),
    [{ ref: 1, index: null, reason: 'read_lost' }],
  );
});

test('scenario 30: the heir first catches up, and all is committed before it is told', () => {
  const c = led();
  for (let i = 0; i < 5; i++) c.propose(1, `${i}`);
  c.settle([1, 2]);
  c.drop((m) => m.type === 'append' && m.to === '3');
  transfer(c, '3');
  assert.not.ok(c.messages.some((m) => m.type === 'timeout_now'));
  for (let i = 0; i < 3 && c.role(3) !== 'leader'; i++) c.run(2);
  assert.is(c.role(3), 'leader');
  assert.equal(c.node(3).state, ['0', '1', '2', '3', '4']);
});

test('scenario 30: the heir is not told while an entry that it holds is not committed', () => {
  const c = new TestCluster(5);
  c.elect(1);
  c.run(3);
  c.propose(1, 'a');
  c.settle([1, 3]);
  transfer(c, '3');
  const isTold = () => c.messages.some((m) => m.type === 'timeout_now');
  assert.not.ok(isTold());
  for (const m of c.messages.filter(({ to }) => to === '2')) c.deliver(m);
  for (const m of c.messages.filter(({ from }) => from === '2')) c.deliver(m);
  assert.ok(isTold());
});

test('scenario 30: a silent, unfit or unknown heir is refused', () => {
  const c = led();
  assert.equal(
    transfer(c, '9').refused.map((r) => r.reason),
    ['invalid_change'],
  );
  assert.equal(
    transfer(c, '1').refused.map((r) => r.reason),
    ['invalid_change'],
  );
  c.step(3, { type: 'disk', state: 'full' });
  c.run(3);
  assert.equal(
    transfer(c, '3').refused.map((r) => r.reason),
    ['behind'],
  );
  const silent = led();
  silent.run(TEST_CONFIG.electionTicks, [1, 2]);
  assert.equal(
    transfer(silent, '3').refused.map((r) => r.reason),
    ['behind'],
  );
  const learner = new TestCluster(1, { learners: 1 });
  learner.elect(1);
  learner.run(3);
  assert.equal(
    transfer(learner, '2').refused.map((r) => r.reason),
    ['invalid_change'],
  );
  assert.equal(
    transfer(learner, null).refused.map((r) => r.reason),
    ['behind'],
  );
});

test.run();
