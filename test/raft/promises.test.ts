/** The small print of the scenarios: what a node that is unfit, waits, or is told nonsense must and must not do. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InvariantError } from '../../cluster/raft/invariant.ts';
import type { Message } from '../../cluster/raft/messages.ts';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft promises');

const input = (message: Message) => ({ type: 'message', message }) as const;
const isInvariant = (error: unknown) => error instanceof InvariantError;
const requestVote = { type: 'request_vote', to: '2', term: 1, pre: false, transfer: false } as const;
const NOTHING = { lastIndex: 0, lastTerm: 0 };

test('scenario 2: who has followed a leader of a term votes for no other in it', () => {
  const c = new TestCluster(3);
  c.step(2, input({ type: 'heartbeat', from: '1', to: '2', term: 1, round: 0 }));
  c.drop();
  c.step(2, input({ ...requestVote, from: '3', lastIndex: 9, lastTerm: 1 }));
  assert.equal(
    c.messages.map((m) => m.type === 'request_vote_reply' && m.granted),
    [false],
  );
});

test('a node that has voted gives its candidate a whole election timeout', () => {
  for (let boot = 1; boot <= 20; boot++) {
    const c = new TestCluster(3);
    for (let i = 1; i < boot; i++) c.restart(2);
    c.tick(2, TEST_CONFIG.electionTicks - 1);
    c.step(2, input({ ...requestVote, from: '1', ...NOTHING }));
    c.tick(2, TEST_CONFIG.electionTicks - 1);
    assert.is(c.role(2), 'follower', `boot ${boot}`);
  }
});

test('scenarios 1 and 19: a vote for itself in an earlier term, durable late, elects nobody', () => {
  const c = new TestCluster(1);
  c.node(1).diskHeld = true;
  c.campaign(1);
  c.campaign(1);
  assert.is(c.node(1).raft.status().term, 2);
  c.persist(1, 1);
  assert.is(c.role(1), 'candidate', 'term 2 is not durable');
  c.persist(1, 1);
  assert.is(c.role(1), 'leader');
});

test('scenario 9: a follower with a stalled disk neither votes nor campaigns', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  c.node(2).diskHeld = true;
  c.propose(1, 'a');
  c.run(TEST_CONFIG.diskStallTicks + 2 * TEST_CONFIG.heartbeatTicks);
  assert.is(
    c
      .node(1)
      .raft.status()
      .peers.find(({ id }) => id === '2')!.fit,
    false,
    'and the leader knows',
  );
  c.tick(2, 2 * TEST_CONFIG.electionTicks);
  assert.is(c.role(2), 'follower');
  c.drop();
  c.tick(3, TEST_CONFIG.electionTicks);
  c.drop();
  c.campaign(3);
  c.settle([2, 3]);
  assert.is(c.role(3), 'pre_candidate', 'its vote is not to be had');
});

test('a node that cannot campaign follows nobody once its leader is silent', () => {
  const c = new TestCluster(2, { learners: 1 });
  c.elect(1);
  c.run(2);
  assert.is(c.node(3).raft.status().leader, '1');
  c.tick(3, 2 * TEST_CONFIG.electionTicks);
  assert.is(c.node(3).raft.status().leader, null);
  assert.equal(c.step(3, { type: 'read', ref: 1 }).reads, [{ ref: 1, index: null, reason: 'not_leader' }]);
});

test('scenario 21: a node that holds a snapshot to be installed takes no part in elections and no entries', () => {
  const c = new TestCluster(3);
  const node = c.node(3);
  const data = Uint8Array.of(1);
  const entry = (index: number) => ({ index, term: 1, kind: 'command' as const, data, sizeBytes: 1 });
  const append = { type: 'append', from: '1', to: '3', term: 1, boot: 1 } as const;
  node.applyHeld = true;
  c.step(3, input({ ...append, prevIndex: 0, prevTerm: 0, entries: [entry(1), entry(2)], commit: 2 }));
  node.store.received.set(9, []);
  const snapshot = { index: 9, term: 1, membership: c.founders };
  c.step(3, input({ type: 'install_snapshot', from: '1', to: '3', term: 1, snapshot }));
  c.drop();
  const output = c.step(3, input({ ...append, prevIndex: 9, prevTerm: 1, entries: [entry(10)], commit: 9 }));
  assert.is(output.write, null);
  assert.equal(c.messages, [], 'nor a refusal, which would bring the snapshot again');
  c.tick(3, 3 * TEST_CONFIG.electionTicks);
  assert.is(c.role(3), 'follower');
});

test('scenario 21: a snapshot that waited is not installed for a leader who has been replaced', () => {
  const c = new TestCluster(3);
  const node = c.node(3);
  const entries = [{ index: 1, term: 1, kind: 'command' as const, data: Uint8Array.of(1), sizeBytes: 1 }];
  node.applyHeld = true;
  const append = { type: 'append', from: '1', to: '3', term: 1, prevIndex: 0, prevTerm: 0, boot: 1 } as const;
  c.step(3, input({ ...append, entries, commit: 1 }));
  node.store.received.set(9, []);
  const snapshot = { index: 9, term: 1, membership: c.founders };
  c.step(3, input({ type: 'install_snapshot', from: '1', to: '3', term: 1, snapshot }));
  c.step(3, input({ type: 'heartbeat', from: '2', to: '3', term: 2, round: 0 }));
  node.applyHeld = false;
  c.apply(3);
  assert.is(node.raft.status().lastIndex, 1, 'it asks its own leader for what it needs');
});

test('scenario 38: a full disk ends a campaign, and no snapshot is taken in', () => {
  const c = new TestCluster(3);
  c.campaign(1);
  c.step(1, { type: 'disk', state: 'full' });
  assert.is(c.role(1), 'follower');
  c.settle();
  assert.is(c.leader(), null);

  c.step(2, { type: 'disk', state: 'full' });
  c.node(2).store.received.set(9, []);
  const snapshot = { index: 9, term: 1, membership: c.founders };
  c.drop();
  const output = c.step(2, input({ type: 'install_snapshot', from: '3', to: '2', term: 1, snapshot }));
  assert.equal(output.sendAfterDurable, []);
  assert.is(c.node(2).raft.status().lastIndex, 0);
});

const command = (index: number, term: number) => {
  const data = Uint8Array.of(index);
  return { index, term, kind: 'command' as const, data, sizeBytes: 1 };
};

test('scenario 35: what a leader knows to be committed before it has committed in its own term proves nothing', () => {
  const c = new TestCluster(3);
  c.restart(2, { mayVote: false });
  const append = { type: 'append', to: '2', boot: 2 } as const;
  const old = { from: '3', term: 2, prevIndex: 0, prevTerm: 0, entries: [command(1, 1)], commit: 1 };
  c.step(2, input({ ...append, ...old }));
  assert.not.ok(
    c.node(2).raft.status().mayVote,
    'entries that this node promised may lie between 1 and what is committed',
  );
  c.step(2, input({ ...append, ...old, prevIndex: 1, prevTerm: 1, entries: [command(2, 2)], commit: 2 }));
  assert.ok(c.node(2).raft.status().mayVote);
});

test('scenario 35: the refill ends where the leader was when it began, however fast the log grows', () => {
  const c = new TestCluster(3);
  const node = c.restart(2, { mayVote: false });
  node.diskHeld = true;
  const append = { type: 'append', from: '1', to: '2', term: 1, boot: 2 } as const;
  for (const index of [1, 2, 3]) {
    const at = { prevIndex: index - 1, prevTerm: index === 1 ? 0 : 1, entries: [command(index, 1)], commit: index };
    c.step(2, input({ ...append, ...at }));
  }
  assert.not.ok(node.raft.status().mayVote);
  c.persist(2, 1);
  assert.ok(node.raft.status().mayVote);
});

test('two leaders of one term, which cannot be, end the process that sees both', () => {
  const c = new TestCluster(3);
  c.elect(1);
  const heartbeat = { type: 'heartbeat', term: 1, round: 0 } as const;
  assert.throws(() => c.step(1, input({ ...heartbeat, from: '3', to: '1' })), isInvariant);
  assert.throws(() => c.step(2, input({ ...heartbeat, from: '3', to: '2' })), isInvariant);
});

test('a leader that finds itself unfit steps down when asked, and another takes over at once', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  c.step(1, { type: 'step_down' });
  c.settle();
  assert.ok(['2', '3'].includes(c.leader()!.id));
});

test('an acknowledgement of what the leader never had counts for nothing; a broken link is probed', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  const peer = () => {
    const { match, state } = c
      .node(1)
      .raft.status()
      .peers.find(({ id }) => id === '2')!;
    return [match, state];
  };
  const reply = { type: 'append_reply', from: '2', to: '1', term: 1, boot: 1, hintIndex: 0, hintTerm: 0 } as const;
  c.step(1, input({ ...reply, ok: true, index: 99 }));
  assert.equal(peer(), [1, 'replicate']);
  c.step(1, { type: 'unreachable', node: '2' });
  assert.equal(peer(), [1, 'probe']);
});

test('scenario 20: what was durable of a log that a snapshot replaces says nothing about the new one', () => {
  const c = new TestCluster(3);
  const node = c.node(2);
  const entries = [1, 2, 3, 4, 5].map((index) => command(index, 1));
  const append = { type: 'append', from: '1', to: '2', term: 1, prevIndex: 0, prevTerm: 0, boot: 1 } as const;
  c.step(2, input({ ...append, entries, commit: 2 }));
  assert.is(node.raft.status().durableIndex, 5);
  node.diskHeld = true;
  node.store.received.set(4, []);
  const snapshot = { index: 4, term: 2, membership: c.founders };
  c.step(2, input({ type: 'install_snapshot', from: '3', to: '2', term: 2, snapshot }));
  assert.is(node.raft.status().durableIndex, 2);
  c.persist(2);
  assert.is(node.raft.status().durableIndex, 4);
});

test('scenario 23: the report of an older stream is not that of the present one', () => {
  const c = new TestCluster(3, { config: { cacheBytesMax: 1 } });
  c.elect(1);
  for (let i = 0; i < 5; i++) c.propose(1, `${i}`);
  c.settle([1, 2]);
  c.drop();
  c.compact(1);
  c.run(4);
  const peer = () =>
    c
      .node(1)
      .raft.status()
      .peers.find(({ id }) => id === '3')!.state;
  assert.is(peer(), 'snapshot');
  const { index } = c.node(1).store.meta;
  c.step(1, { type: 'snapshot_sent', to: '3', index: index - 1, ok: false });
  assert.is(peer(), 'snapshot');
  c.step(1, { type: 'snapshot_sent', to: '3', index, ok: false });
  assert.is(peer(), 'probe');
});

test('of several heirs, the one with the longest log is asked to take over', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  c.propose(1, 'a');
  c.settle([1, 3]);
  c.step(1, { type: 'step_down' });
  assert.equal(
    c.messages.filter((m) => m.type === 'timeout_now').map((m) => m.to),
    ['3'],
  );
});

test('what is addressed to another node is not taken', () => {
  const c = new TestCluster(3);
  const output = c.step(2, input({ ...requestVote, to: '3', from: '1', ...NOTHING }));
  assert.equal([output.write, output.sendAfterDurable], [null, []]);
  c.step(2, input({ type: 'heartbeat', from: '1', to: '3', term: 7, round: 0 }));
  assert.is(c.node(2).raft.status().term, 0);
});

test('a driver that reports what was never handed out is stopped; a late report moves nothing back', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a');
  c.settle();
  const { appliedIndex } = c.node(1).raft.status();
  c.step(1, { type: 'applied', upTo: appliedIndex - 1 });
  assert.is(c.node(1).raft.status().appliedIndex, appliedIndex);
  assert.throws(() => c.node(1).raft.step([{ type: 'applied', upTo: appliedIndex + 1 }]), isInvariant);
  assert.throws(() => c.node(2).raft.step([{ type: 'persisted', writeId: 99 }]), isInvariant);
});

test.run();
