/** Scenarios 31 and 32, and reads through followers: never stale, whatever arrives late. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReadResult } from '../../cluster/raft/types.ts';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft reads');

const read = (c: TestCluster, id: number, ref: number) => c.step(id, { type: 'read', ref });
const results = (c: TestCluster, id: number): ReadResult[] => c.node(id).outputs.flatMap((output) => output.reads);

test('a read is answered with the commit index after one round, on any node', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a');
  c.settle();
  for (const id of [1, 2]) {
    assert.equal(read(c, id, 5).reads, [], 'not before the round');
    c.settle();
    assert.equal(results(c, id), [{ ref: 5, index: 2 }]);
  }
});

test('reads of one step share a round; reads that come meanwhile share the next ones', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.drop();
  c.step(1, ...Array.from({ length: 50 }, (_, ref) => ({ type: 'read' as const, ref })));
  assert.is(c.messages.filter((m) => m.type === 'heartbeat').length, 2);
  for (let ref = 50; ref < 100; ref++) read(c, 1, ref);
  assert.ok(c.messages.length <= 8, `${c.messages.length} heartbeats for 50 more`);
  c.run(3);
  assert.is(results(c, 1).length, 100);
});

test('scenario 31: a new leader answers no read before its no-op commits', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a');
  // Committed and acknowledged by node 1, but node 2 does not know the commit index.
  while (c.node(1).state.length === 0) {
    const message = c.messages.find((m) => m.from !== '3' && m.to !== '3' && m.type !== 'heartbeat')!;
    c.deliver(message);
  }
  c.drop();
  assert.is(c.node(2).raft.status().commitIndex, 1);
  c.tick(3, TEST_CONFIG.electionTicks);
  c.drop();
  c.campaign(2);
  while (c.role(2) !== 'leader') c.deliver(c.messages.find((m) => m.to !== '1')!);
  read(c, 2, 9);
  // Heartbeats alone would confirm leadership, but not the commit index.
  for (const message of c.drop()) if (message.type === 'heartbeat') c.deliver(message);
  assert.equal(results(c, 2), []);
  c.run(3, [2, 3]);
  assert.equal(results(c, 2), [{ ref: 9, index: 3 }]);
});

test('scenario 32: a delayed heartbeat reply to an earlier round confirms nothing for a repeated read', () => {
  const c = new TestCluster(5);
  c.elect(1);
  c.drop();
  read(c, 1, 7);
  c.deliver(c.messages.find((m) => m.to === '2')!);
  c.deliver(c.messages.find((m) => m.to === '3')!);
  const late = c.drop((m) => m.to === '1');
  assert.is(late.length, 2);
  c.drop();
  // Meanwhile others lead and commit; node 1 does not know. The same client asks again, then the late replies come.
  read(c, 1, 7);
  c.drop();
  for (const message of late) c.deliver(message);
  assert.equal(results(c, 1), [{ ref: 7, index: 1 }], 'the first round is confirmed for the first read only');
});

test('scenario 32: a reply of an earlier boot or request never answers a new read of a follower', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  read(c, 2, 7);
  c.settle([1, 3]);
  const request = c.messages.find((m) => m.type === 'read_request')!;
  c.deliver(request);
  c.settle([1, 3]);
  c.run(1, [1, 3]);
  const late = { type: 'read_reply', from: '1', to: '2', term: 1, boot: 1, id: 1, index: 1 } as const;
  c.restart(2);
  c.node(2).outputs = [];
  c.run(2);
  read(c, 2, 7);
  c.deliver(late);
  assert.equal(results(c, 2), []);
  c.settle();
  assert.equal(results(c, 2), [{ ref: 7, index: 1 }]);
});

test('a lost request or reply ends the read after an election timeout, for the client to ask again', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  read(c, 2, 1);
  c.drop();
  c.run(TEST_CONFIG.electionTicks + 1);
  assert.equal(results(c, 2), [{ ref: 1, index: null, reason: 'read_lost' }]);
});

test('a learner confirms no round: it could not tell of another leader', () => {
  const c = new TestCluster(2, { learners: 1 });
  c.elect(1);
  c.run(3);
  c.node(1).outputs = [];
  read(c, 1, 1);
  c.settle([1, 3]);
  assert.equal(results(c, 1), []);
  c.settle();
  assert.equal(results(c, 1), [{ ref: 1, index: 1 }]);
});

test('lost heartbeats do not lose the reads of the leader', () => {
  const c = new TestCluster(3);
  c.elect(1);
  read(c, 1, 1);
  c.drop();
  c.run(3);
  assert.equal(results(c, 1), [{ ref: 1, index: 1 }]);
});

test('without a leader, or beyond the limit, a read is refused at once', () => {
  const c = new TestCluster(3, { config: { pendingReadsMax: 2 } });
  assert.equal(read(c, 2, 1).reads, [{ ref: 1, index: null, reason: 'not_leader' }]);
  c.campaign(1);
  while (c.role(1) !== 'leader') c.deliver(c.messages[0]!);
  for (const ref of [1, 2, 3]) read(c, 1, ref);
  assert.equal(results(c, 1), [{ ref: 3, index: null, reason: 'overloaded' }]);
});

test('what a follower asks for is limited too, on both sides', () => {
  const c = new TestCluster(3, { config: { pendingReadsMax: 2 } });
  c.elect(1);
  c.run(3);
  for (const id of [1, 2]) c.node(id).outputs = [];
  c.step(2, ...[1, 2, 3].map((ref) => ({ type: 'read', ref }) as const));
  assert.equal(results(c, 2), [{ ref: 3, index: null, reason: 'overloaded' }]);
  read(c, 2, 4);
  read(c, 2, 5);
  assert.equal(results(c, 2).at(-1), { ref: 5, index: null, reason: 'overloaded' }, 'two requests are under way');
  // A leader that cannot answer yet holds two, of whomever, and lets the next one go at once.
  const d = new TestCluster(3, { config: { pendingReadsMax: 2 } });
  d.campaign(1);
  while (d.role(1) !== 'leader') d.deliver(d.messages[0]!);
  d.drop();
  const request = { type: 'read_request', from: '2', to: '1', term: 1, boot: 1 } as const;
  for (const id of [1, 2, 3]) d.step(1, { type: 'message', message: { ...request, id } });
  assert.equal(
    d.messages.flatMap((m) => (m.type === 'read_reply' ? [[m.id, m.index]] : [])),
    [[3, null]],
  );
});

test('a read that was sent to a leader ends with it', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(2);
  read(c, 2, 1);
  c.step(2, { type: 'message', message: { type: 'heartbeat', from: '3', to: '2', term: 2, round: 0 } });
  assert.equal(results(c, 2), [{ ref: 1, index: null, reason: 'read_lost' }]);
});

test('a single node reads without asking anybody', () => {
  const c = new TestCluster(1);
  c.elect(1);
  assert.equal(read(c, 1, 1).reads, [{ ref: 1, index: 1 }]);
});

test.run();
