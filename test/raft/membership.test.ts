/** Scenarios 25 to 29: who takes part, one change at a time. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeMembership, encodeMembership } from '../../cluster/raft/membership.ts';
import type { MembershipChange, Output } from '../../cluster/raft/types.ts';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft membership');

const change = (c: TestCluster, id: number | string, wanted: MembershipChange): Output =>
  c.step(id, { type: 'change_membership', ref: c.ref(), change: wanted });
const reasons = (output: Output) => output.refused.map(({ reason }) => reason);
const voters = (c: TestCluster, id: number | string) => c.node(id).raft.status().membership.voters;
const addLearner = (node: string): MembershipChange => ({ op: 'add_learner', node, info: { number: Number(node) } });

test('3 → 5 → 3 members under load lose nothing', () => {
  const c = new TestCluster(3);
  c.elect(1);
  const work = () => {
    c.propose(1, `n${c.ref()}`);
    c.run(2);
  };
  for (const id of ['4', '5']) {
    c.addNode(id);
    work();
    assert.equal(reasons(change(c, 1, addLearner(id))), []);
    work();
    assert.equal(reasons(change(c, 1, { op: 'promote', node: id })), []);
    work();
  }
  assert.equal(voters(c, 5), ['1', '2', '3', '4', '5']);
  for (const node of ['2', '3']) {
    assert.equal(reasons(change(c, 1, { op: 'remove', node })), []);
    work();
  }
  assert.equal(voters(c, 4), ['1', '4', '5']);
  assert.equal(c.node(5).state, c.node(1).state);
  assert.is(c.node(5).state.length, 8);
  assert.equal(c.node(1).raft.status().membership.info['4'], { number: 4 });
});

test('a learner receives the log and counts in no quorum', () => {
  const c = new TestCluster(2, { learners: 1 });
  c.elect(1);
  c.propose(1, 'a');
  c.settle([1, 3]);
  assert.is(c.node(1).raft.status().commitIndex, 1, 'leader and learner are no majority of two voters');
  assert.is(c.node(3).raft.status().lastIndex, 2);
  c.settle();
  assert.equal(c.node(3).state, ['a']);
});

test('scenario 25: a new leader changes no membership before it has committed in its own term', () => {
  const c = new TestCluster(3);
  c.campaign(1);
  while (c.role(1) !== 'leader') c.deliver(c.messages[0]!);
  assert.equal(reasons(change(c, 1, addLearner('4'))), ['no_commit_in_term']);
  c.settle();
  assert.equal(reasons(change(c, 1, addLearner('4'))), []);
});

test('scenario 26: one change in flight; an uncommitted one is undone by truncation', () => {
  const c = new TestCluster(3);
  c.elect(1);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: '3' })), []);
  assert.equal(reasons(change(c, 1, addLearner('4'))), ['change_in_flight']);
  assert.equal(voters(c, 1), ['1', '2'], 'in force as soon as it is in the log');
  c.drop();
  c.run(40, [2, 3]);
  c.run(10);
  assert.ok(c.leader()!.id !== '1');
  assert.equal(voters(c, 1), ['1', '2', '3'], 'as if it had never been');
  assert.ok(
    c.node(1).outputs.some((output) => output.membership?.voters.length === 3),
    'and the driver is told',
  );
  assert.equal(c.restart(1).raft.status().membership.voters, ['1', '2', '3']);
});

test('scenario 26: a restart finds an uncommitted change in the log', () => {
  const c = new TestCluster(3);
  c.elect(1);
  change(c, 1, { op: 'remove', node: '3' });
  c.settle([1]);
  assert.equal(c.restart(1).raft.status().membership.voters, ['1', '2']);
});

test('scenario 27: a removed leader does not count itself and steps down once its removal is committed', () => {
  const c = new TestCluster(3);
  c.elect(1);
  change(c, 1, { op: 'remove', node: '1' });
  c.settle([1, 2]);
  assert.is(c.role(1), 'leader', 'two of the new two must hold it, its own copy does not count');
  c.settle();
  assert.is(c.role(1), 'follower');
  assert.ok(c.role(2) === 'leader' || c.role(3) === 'leader', 'it asked one of them to take over');
  c.tick(1, 100);
  c.settle();
  assert.is(c.role(1), 'follower');
});

test('scenario 27: a leader that alone holds its own removal is elected once more, commits it, and goes', () => {
  const c = new TestCluster(2);
  c.elect(1);
  c.run(2);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: '1' })), []);
  c.drop();
  for (let i = 0; i < TEST_CONFIG.electionTicks; i++) c.run(1, [1]);
  assert.is(c.role(1), 'follower', 'it heard from nobody');
  c.restart(1);
  for (let i = 0; i < 100 && c.leader()?.id !== '2'; i++) c.run(1);
  assert.is(c.role(2), 'leader', 'node 2 alone could not: the log of node 1 is longer');
  assert.equal(voters(c, 2), ['2']);
  c.run(200);
  assert.is(c.role(1), 'follower');
  assert.is(c.role(2), 'leader');
});

test('scenario 27: a removed node that does not know it, and campaigns, is harmless', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.drop();
  // Node 3 never hears of its removal.
  change(c, 1, { op: 'remove', node: '3' });
  c.settle([1, 2]);
  c.drop();
  for (let i = 0; i < 50; i++) {
    c.tick(3, 5);
    c.tick(1);
    c.tick(2);
    c.settle();
  }
  assert.is(c.role(1), 'leader');
  assert.is(c.node(1).raft.status().term, 1);
});

test('scenario 29: a wiped tracker joins under a new id, refills as a learner, and is promoted by the log', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a', 'b');
  c.run(2);
  // Tracker 3 lost its disk and comes back as incarnation 13.
  c.nodes.delete('3');
  const reborn = c.addNode('13');
  c.tick('13', 200);
  assert.is(c.role('13'), 'follower', 'it never campaigns');
  assert.equal(reasons(change(c, 1, addLearner('13'))), []);
  assert.equal(reasons(change(c, 1, { op: 'promote', node: '13' })), ['change_in_flight']);
  c.run(4, [1, 2, 13]);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: '3' })), []);
  c.run(4, [1, 2, 13]);
  assert.equal(reasons(change(c, 1, { op: 'promote', node: '13' })), []);
  c.run(4, [1, 2, 13]);
  assert.equal(reborn.state, ['a', 'b']);
  assert.equal(voters(c, '13'), ['1', '2', '13']);
});

test('scenario 29: two wiped of three never elect anybody', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  for (const id of ['2', '3']) c.nodes.delete(id);
  for (const id of ['12', '13']) c.addNode(id);
  c.restart(1);
  c.run(300);
  assert.is(c.leader(), null);
  assert.is(c.node(1).raft.status().term, 1);
});

test('notes about others travel with the membership and change no quorum', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  const info = () => c.node(2).raft.status().membership.info;
  assert.equal(reasons(change(c, 1, { op: 'note', node: 'awaited', info: { number: 4 } })), []);
  c.run(4);
  assert.equal(info().awaited, { number: 4 });
  assert.equal(voters(c, 2), ['1', '2', '3']);
  assert.equal(
    reasons(change(c, 1, { op: 'note', node: '2', info: {} })),
    ['invalid_change'],
    'set_info is for members',
  );
  assert.equal(reasons(change(c, 1, { op: 'remove', node: 'awaited' })), []);
  c.run(4);
  assert.is(info().awaited, undefined);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: 'awaited' })), ['invalid_change']);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: '3', note: { number: 3, removed: 1 } })), []);
  c.run(4);
  assert.equal(voters(c, 2), ['1', '2']);
  assert.equal(info()['3'], { number: 3, removed: 1 });
});

test('a removal that would leave too few voters alive and well is refused', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(3);
  c.step(2, { type: 'disk', state: 'full' });
  c.run(3);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: '3' })), ['unsafe_change']);
  assert.equal(reasons(change(c, 1, { op: 'demote', node: '3' })), ['unsafe_change']);
  assert.equal(reasons(change(c, 1, { op: 'remove', node: '2' })), [], 'the unfit one itself may go');

  const silent = new TestCluster(3);
  silent.elect(1);
  silent.run(TEST_CONFIG.electionTicks, [1, 2]);
  assert.equal(reasons(change(silent, 1, { op: 'remove', node: '2' })), ['unsafe_change'], 'node 3 is silent');
  assert.equal(reasons(change(silent, 1, { op: 'remove', node: '3' })), []);
});

test('a change that makes no sense is refused', () => {
  const c = new TestCluster(1, { learners: 1 });
  c.elect(1);
  const bad: MembershipChange[] = [
    { op: 'remove', node: '1' },
    { op: 'demote', node: '1' },
    { op: 'promote', node: '1' },
    { op: 'remove', node: '9' },
    { op: 'set_info', node: '9', info: {} },
    { op: 'demote', node: '2' },
    addLearner('1'),
    addLearner(''),
  ];
  for (const wanted of bad) assert.equal(reasons(change(c, 1, wanted)), ['invalid_change'], JSON.stringify(wanted));
  assert.equal(reasons(change(c, 2, addLearner('3'))), ['not_leader']);
});

test('a learner far behind, silent, or without room is not promoted', () => {
  const c = new TestCluster(1, { learners: 1 });
  c.elect(1);
  for (let i = 0; i < 12; i++) c.propose(1, ...Array.from({ length: 100 }, () => 'x'));
  assert.equal(reasons(change(c, 1, { op: 'promote', node: '2' })), ['behind']);
  c.run(4);
  c.tick(1, TEST_CONFIG.electionTicks);
  c.drop();
  assert.equal(reasons(change(c, 1, { op: 'promote', node: '2' })), ['behind']);
  c.step(2, { type: 'disk', state: 'full' });
  c.run(4);
  assert.equal(reasons(change(c, 1, { op: 'promote', node: '2' })), ['behind'], 'it has no room');
  c.step(2, { type: 'disk', state: 'ok' });
  c.run(4);
  assert.equal(reasons(change(c, 1, { op: 'promote', node: '2' })), []);
});

test('a config entry is ASCII, comes back as it was, and anything else is recognised', () => {
  const membership = { voters: ['a'], learners: ['b'], info: { a: { host: 'träcker\u{1F600}', number: 1 } } };
  const data = encodeMembership(membership);
  assert.ok(data.every((byte) => byte < 0x7f));
  assert.equal(decodeMembership(data), membership);
  const bad = [
    '',
    '{',
    '[]',
    '{"voters":["a"],"learners":["a"],"info":{}}',
    '{"voters":[1],"learners":[],"info":{}}',
    '{"voters":["a"],"learners":[],"info":{"a":{"x":{}}}}',
  ];
  for (const text of bad) assert.is(decodeMembership(new TextEncoder().encode(text)), null, text);
});

test('an append with a config entry that cannot be read is not taken', () => {
  const c = new TestCluster(3);
  const entries = [{ index: 1, term: 1, kind: 'config' as const, data: Uint8Array.of(1), sizeBytes: 1 }];
  const message = {
    type: 'append',
    from: '1',
    to: '2',
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    entries,
    commit: 0,
    boot: 0,
  } as const;
  const output = c.step(2, { type: 'message', message });
  assert.equal(output.write?.append, []);
  assert.equal(output.sendAfterDurable, []);
});

test.run();
