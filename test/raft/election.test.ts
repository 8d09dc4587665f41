/** Scenarios 1 to 10, 19 and 28 of the core's list: who may lead, and when. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RaftConfigError } from '../../cluster/raft/config.ts';
import { createRaft } from '../../cluster/raft/core.ts';
import type { Message, RequestVote } from '../../cluster/raft/messages.ts';
import { MemoryStore } from './memory-store.ts';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft election');

const requestVote = (more: Partial<RequestVote>): RequestVote => ({
  type: 'request_vote',
  from: '1',
  to: '2',
  term: 1,
  pre: false,
  transfer: false,
  lastIndex: 0,
  lastTerm: 0,
  ...more,
});
const replies = (messages: readonly Message[]) => messages.filter((m) => m.type === 'request_vote_reply');

test('three nodes elect a leader, which replicates', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a', 'b');
  c.settle();
  for (const id of [1, 2, 3]) assert.equal(c.node(id).state, ['a', 'b']);
});

test('scenario 1: a vote, and the request for one, leave only after term and vote are durable', () => {
  const c = new TestCluster(3);
  const voter = c.node(2);
  voter.diskHeld = true;
  const output = c.step(2, { type: 'message', message: requestVote({}) });
  assert.equal(output.write?.hardState, { term: 1, vote: '1' });
  assert.equal(replies(c.messages), []);
  c.persist(2);
  assert.equal(voter.store.hardState, { term: 1, vote: '1' });
  assert.is(replies(c.messages).length, 1);

  const d = new TestCluster(3);
  const candidate = d.node(1);
  candidate.diskHeld = true;
  d.campaign(1);
  d.settle();
  assert.is(d.role(1), 'candidate');
  assert.not.ok(d.messages.some((m) => m.type === 'request_vote' && !m.pre));
  assert.equal(candidate.disk.flatMap(({ messages }) => messages).length, 2, 'the requests wait for the disk');
});

test('scenario 2: no second vote in a term, also after a restart', () => {
  const c = new TestCluster(3);
  c.step(2, { type: 'message', message: requestVote({}) });
  for (const restarts of [0, 1]) {
    if (restarts === 1) c.restart(2);
    c.drop();
    c.step(2, { type: 'message', message: requestVote({ from: '3' }) });
    c.step(2, { type: 'message', message: requestVote({ from: '1' }) });
    const granted = replies(c.messages).map((m) => [m.to, m.type === 'request_vote_reply' && m.granted]);
    assert.equal(
      granted,
      [
        ['3', false],
        ['1', true],
      ],
      'the same candidate may ask again',
    );
  }
});

test('scenario 3: the last term is compared before the last index', () => {
  const rows: [string, number, number, boolean][] = [
    ['longer log of an older term', 9, 1, false],
    ['same term, shorter', 1, 2, false],
    ['same', 2, 2, true],
    ['same term, longer', 3, 2, true],
    ['later term, shorter', 1, 3, true],
  ];
  for (const [what, lastIndex, lastTerm, granted] of rows) {
    const c = new TestCluster(3);
    const entry = (index: number) => ({
      index,
      term: index,
      kind: 'noop' as const,
      data: new Uint8Array(0),
      sizeBytes: 0,
    });
    const entries = [entry(1), entry(2)];
    const log = {
      type: 'append',
      from: '3',
      to: '2',
      term: 2,
      prevIndex: 0,
      prevTerm: 0,
      entries,
      commit: 0,
      boot: 0,
    } as const;
    c.step(2, { type: 'message', message: log });
    c.tick(2, TEST_CONFIG.electionTicks);
    c.drop();
    const term = 5;
    c.step(2, { type: 'message', message: requestVote({ term, lastIndex, lastTerm }) });
    const [reply] = replies(c.messages);
    assert.is(reply?.type === 'request_vote_reply' && reply.granted, granted, what);
    assert.is(c.node(2).raft.status().term, term, 'the term is taken over either way');
  }
});

test('scenario 4: a node that comes back from a partition disturbs nobody', () => {
  const c = new TestCluster(3);
  c.elect(1);
  for (let i = 0; i < 20; i++) {
    c.run(5, [1, 2]);
    c.tick(3, 5);
    c.drop();
  }
  assert.is(c.node(3).raft.status().term, 1, 'it never raised its term');
  c.run(20);
  assert.is(c.role(1), 'leader');
  assert.is(c.node(1).raft.status().term, 1);
  assert.is(c.node(3).raft.status().leader, '1');
});

test('scenario 5: with A-B and B-C only, the leader stays, whichever end it is', () => {
  for (const leader of ['1', '3']) {
    const c = new TestCluster(3);
    c.elect(leader);
    const cut = (m: Message) => m.from !== '2' && m.to !== '2';
    c.step('1', { type: 'unreachable', node: '3' });
    c.step('3', { type: 'unreachable', node: '1' });
    for (let i = 0; i < 200; i++) {
      for (const id of [1, 2, 3]) c.tick(id);
      for (c.drop(cut); c.messages.length > 0; c.drop(cut)) c.deliver(c.messages[0]!);
    }
    assert.is(c.role(leader), 'leader');
    assert.is(c.node(2).raft.status().term, 1);
  }
});

test('a leader whose link broke is replaced within heartbeats, not after an election timeout', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(1);
  for (const id of [2, 3]) c.step(id, { type: 'unreachable', node: '1' });
  c.run(2 * TEST_CONFIG.heartbeatTicks + 1, [2, 3]);
  assert.ok(c.role(2) === 'leader' || c.role(3) === 'leader');
});

test('scenario 6: an election timeout not well above heartbeat and round trip is refused with a clear error', () => {
  const make = (more: object) => () => {
    const membership = { voters: ['1'], learners: [], info: {} };
    const initial = { hardState: { term: 0, vote: null }, commit: 0, applied: 0, mayVote: true };
    createRaft({ ...TEST_CONFIG, id: '1', boot: 1, seed: 1, ...more }, initial, new MemoryStore(membership));
  };
  assert.not.throws(make({}));
  const tooShort = (error: unknown) =>
    error instanceof RaftConfigError && /electionTicks: 10 .* at least 3 x .*heartbeatTicks/.test(error.message);
  assert.throws(make({ heartbeatTicks: 4 }), tooShort);
  assert.throws(make({ roundTripTicks: 2 }), tooShort);
  assert.throws(make({ electionTicks: 0 }), /electionTicks: expected a whole number >= 1, got 0/);
  assert.throws(make({ uncommittedBytesMax: 10 }), /uncommittedBytesMax/);
});

test('scenario 7: a pre-vote reply that arrives after winning changes nothing', () => {
  const c = new TestCluster(3);
  c.campaign(1);
  c.deliver(c.messages.find((m) => m.to === '3')!);
  const late = c.messages.find((m) => m.from === '3')!;
  c.drop((m) => m === late);
  c.settle();
  assert.is(c.role(1), 'leader');
  for (const granted of [true, false]) {
    const before = c.node(1).raft.status();
    c.deliver({ ...late, granted } as Message);
    assert.equal(c.node(1).raft.status(), before);
  }
});

test('scenario 7: a late pre-vote is no vote: the terms are the same, the promise is not', () => {
  const c = new TestCluster(5);
  c.campaign(1);
  for (const id of ['2', '3', '4', '5']) c.deliver(c.messages.find((m) => m.to === id)!);
  const grants = c.drop((m) => m.to === '1');
  for (const grant of grants.slice(0, 2)) c.deliver(grant);
  assert.is(c.role(1), 'candidate');
  for (const grant of grants.slice(2)) c.deliver(grant);
  assert.is(c.role(1), 'candidate', 'two pre-votes of term 1 do not elect for term 1');
});

test('scenario 7: a pre-vote for another term is not counted', () => {
  const c = new TestCluster(3);
  c.campaign(1);
  const reply = { type: 'request_vote_reply', from: '2', to: '1', pre: true, granted: true } as const;
  c.step(1, { type: 'message', message: { ...reply, term: 9 } });
  assert.is(c.role(1), 'pre_candidate');
  c.step(1, { type: 'message', message: { ...reply, term: 1 } });
  assert.is(c.role(1), 'candidate');
});

test('scenario 4: who could not win is refused a pre-vote, so no term rises for it', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a');
  c.settle([1, 2]);
  c.tick(2, TEST_CONFIG.electionTicks);
  c.drop();
  c.campaign(3);
  c.settle([2, 3]);
  assert.is(c.node(3).raft.status().term, 1);
});

test('scenario 8: a leader that hears no majority steps down, and its proposals are unknown, not failed', () => {
  const c = new TestCluster(3);
  c.elect(1);
  const { refs } = c.propose(1, 'a', 'b');
  c.drop();
  c.step(1, { type: 'read', ref: 99 });
  c.node(1).outputs = [];
  for (let i = 0; i < TEST_CONFIG.electionTicks; i++) {
    c.tick(1);
    c.drop();
  }
  assert.is(c.role(1), 'follower');
  const { outputs } = c.node(1);
  assert.equal(
    outputs.flatMap((o) => o.unknown),
    refs,
  );
  assert.equal(
    outputs.flatMap((o) => o.refused),
    [],
  );
  assert.equal(
    outputs.flatMap((o) => o.reads),
    [{ ref: 99, index: null, reason: 'read_lost' }],
  );
  assert.match(outputs.find((o) => o.roleChange !== null)!.roleChange!.reason!, /no majority/);
});

test('scenario 9: a leader with a stalled disk hands leadership over', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.node(1).diskHeld = true;
  c.propose(1, 'a');
  c.run(TEST_CONFIG.diskStallTicks + 5);
  assert.is(c.role(1), 'follower');
  assert.ok(c.role(2) === 'leader' || c.role(3) === 'leader');
  c.run(100);
  assert.is(c.role(1), 'follower', 'it does not campaign either');
});

test('scenario 10: a leader that slept through an election answers no read', () => {
  const c = new TestCluster(3);
  c.elect(1);
  for (let i = 0; i < 100 && c.role(2) !== 'leader' && c.role(3) !== 'leader'; i++) c.run(1, [2, 3]);
  assert.is(c.role(1), 'leader', 'it does not know better yet');
  const output = c.step(1, { type: 'read', ref: 7 });
  assert.equal(output.reads, []);
  c.node(1).outputs = [];
  c.settle();
  assert.equal(
    c.node(1).outputs.flatMap((o) => o.reads),
    [{ ref: 7, index: null, reason: 'read_lost' }],
  );
});

test('scenario 19: a single node leads, commits and answers only after its own disk', () => {
  const c = new TestCluster(1);
  const node = c.node(1);
  node.diskHeld = true;
  c.campaign(1);
  assert.is(c.role(1), 'candidate', 'its own vote is not durable');
  c.persist(1, 1);
  assert.is(c.role(1), 'leader');
  c.persist(1, 1);
  c.propose(1, 'a');
  assert.equal(node.state, []);
  c.persist(1);
  assert.equal(node.state, ['a']);
});

test('scenario 28: a learner that is asked for its vote gives it', () => {
  const c = new TestCluster(1, { learners: 1 });
  c.step(2, { type: 'message', message: requestVote({}) });
  const [reply] = replies(c.messages);
  assert.ok(reply?.type === 'request_vote_reply' && reply.granted);
  c.drop();
  c.tick(2, 200);
  assert.is(c.role(2), 'follower', 'but it never campaigns');
});

test('two that ask for pre-votes at the same moment do not split the vote', () => {
  const c = new TestCluster(3);
  c.campaign(2);
  c.campaign(3);
  c.settle([2, 3]);
  assert.is(c.role(3), 'leader');
});

test('one step takes many inputs and answers them once', () => {
  const c = new TestCluster(3);
  c.elect(1);
  const data = Uint8Array.of(1);
  const output = c.step(
    1,
    ...Array.from({ length: 50 }, (_, ref) => ({ type: 'propose' as const, proposals: [{ ref, data, sizeBytes: 1 }] })),
  );
  assert.is(output.accepted.length, 50);
  assert.is(output.write?.append.length, 50);
  const appends = output.sendNow.filter((m) => m.type === 'append');
  assert.equal(
    appends.map((m) => m.type === 'append' && m.entries.length),
    [50, 50],
  );
});

test.run();
