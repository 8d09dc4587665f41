/** Scenarios 35, 36, 38 and 40 as far as the core is concerned: damaged logs, full disks, state ahead of the log. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRaft } from '../../cluster/raft/core.ts';
import { RaftStartError } from '../../cluster/raft/state.ts';
import { MemoryStore } from './memory-store.ts';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft damage');

test('scenarios 35 and 36: a node with a damaged log neither votes nor leads until it is whole again', () => {
  const c = new TestCluster(3);
  c.elect(1);
  for (let i = 0; i < 10; i++) c.propose(1, `${i}`);
  c.settle([1, 3]);
  c.drop();
  // Entries 2.. are committed on 1 and 3. Node 3 loses what follows index 4; node 1 dies.
  c.node(3).store.damageFrom(5);
  c.restart(3, { mayVote: false });
  c.run(200, [2, 3]);
  assert.is(c.leader()!.id, '1', 'nodes 2 and 3 elect nobody: they would lose what was committed');
  assert.equal(
    [c.role(2), c.role(3)].filter((role) => role === 'leader'),
    [],
  );
  // Node 1 is back: node 3 refills and votes again.
  c.run(60);
  assert.ok(c.node(3).raft.status().mayVote);
  assert.ok(c.node(3).outputs.some((output) => output.refilled));
  assert.is(c.node(3).state.length, 10);
  for (let i = 0; i < 100 && c.leader()?.id === '1'; i++) c.run(1, [2, 3]);
  assert.is(c.leader()!.state.length, 10);
});

test('scenario 35: refilled is said only when the refill is durable', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a', 'b');
  c.run(2);
  c.node(3).store.damageFrom(1);
  c.restart(3, { mayVote: false });
  c.node(3).outputs = [];
  const node = c.node(3);
  node.diskHeld = true;
  c.run(6);
  assert.is(node.raft.status().lastIndex, 3);
  assert.not.ok(node.outputs.some((output) => output.refilled));
  node.diskHeld = false;
  c.persist(3);
  c.run(4);
  assert.ok(node.outputs.some((output) => output.refilled));
});

test('scenario 35: a refill by snapshot counts when the snapshot is durable', () => {
  const c = new TestCluster(3, { config: { cacheBytesMax: 1 } });
  c.elect(1);
  c.propose(1, 'a', 'b');
  c.run(2);
  c.compact(1);
  c.node(3).store.damageFrom(1);
  const node = c.restart(3, { mayVote: false });
  node.outputs = [];
  c.node(1).outputs = [];
  for (let i = 0; i < 20 && c.node(1).outputs.every((o) => o.snapshotsToSend.length === 0); i++) c.run(1);
  const request = c.node(1).outputs.flatMap((o) => o.snapshotsToSend)[0]!;
  node.diskHeld = true;
  c.streamSnapshot(request);
  // The term of the goal is that of the snapshot's last entry.
  const append = {
    type: 'append',
    from: '1',
    to: '3',
    term: 1,
    prevIndex: 3,
    prevTerm: 1,
    entries: [],
    commit: 3,
    boot: 2,
  } as const;
  c.step(3, { type: 'message', message: append });
  assert.is(node.raft.status().durableIndex, 0);
  assert.not.ok(node.outputs.some((output) => output.refilled));
  c.persist(3);
  assert.is(node.raft.status().durableIndex, 3);
  assert.ok(node.outputs.some((output) => output.refilled));
});

test('scenario 35: a commit index of a leader that does not know of this boot proves nothing', () => {
  const c = new TestCluster(3);
  c.restart(2, { mayVote: false });
  const noop = { index: 1, term: 1, kind: 'noop' as const, data: new Uint8Array(0), sizeBytes: 0 };
  const append = {
    type: 'append',
    from: '1',
    to: '2',
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    entries: [noop],
    commit: 1,
  } as const;
  c.step(2, { type: 'message', message: { ...append, boot: 1 } });
  assert.not.ok(c.node(2).raft.status().mayVote);
  c.step(2, { type: 'message', message: { ...append, boot: 2 } });
  assert.ok(c.node(2).raft.status().mayVote);
});

test('scenario 38: a full disk: leadership is handed over, proposals are refused, reads go on, and it recovers', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(3);
  c.step(1, { type: 'disk', state: 'full' });
  c.settle();
  const heir = c.leader()!;
  assert.ok(heir.id !== '1', 'without waiting for any timeout');
  assert.equal(
    c.propose(1, 'no').output.refused.map((r) => r.reason),
    ['disk_full'],
  );
  const before = c.node(1).raft.status().lastIndex;
  c.propose(heir.id, 'a');
  c.run(10);
  assert.is(c.node(1).raft.status().lastIndex, before, 'it takes nothing that it could not keep');
  c.node(1).outputs = [];
  c.step(1, { type: 'read', ref: 4 });
  c.settle();
  assert.is(c.node(1).outputs.flatMap((o) => o.reads).length, 1);
  c.step(1, { type: 'disk', state: 'ok' });
  c.run(10);
  assert.equal(c.node(1).state, ['a']);
});

test('scenario 38: with nobody to take over, a leader with a full disk refuses proposals and serves reads', () => {
  const c = new TestCluster(1);
  c.elect(1);
  c.propose(1, 'a');
  c.run(3);
  c.node(1).diskHeld = true; // what it could not write waits
  c.step(1, { type: 'disk', state: 'full' });
  c.run(TEST_CONFIG.diskStallTicks + 5);
  assert.is(c.role(1), 'leader');
  assert.equal(
    c.propose(1, 'no').output.refused.map((r) => r.reason),
    ['disk_full'],
  );
  c.node(1).outputs = [];
  c.step(1, { type: 'read', ref: 4 });
  c.settle();
  assert.is(c.node(1).outputs.flatMap((o) => o.reads)[0]?.index, c.node(1).raft.status().commitIndex);
});

test('scenario 38: once a majority of the others can vote, the full leader hands over', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.run(3);
  for (const id of [2, 3]) c.step(id, { type: 'disk', state: 'full' });
  c.run(10);
  c.step(1, { type: 'disk', state: 'full' });
  c.run(20);
  assert.is(c.role(1), 'leader', 'all disks are full: reads at least');
  c.step(2, { type: 'disk', state: 'ok' });
  c.run(30);
  assert.is(c.leader()?.id, '1', 'the second one alone could not be elected');
  c.step(3, { type: 'disk', state: 'ok' });
  c.run(30);
  assert.ok(['2', '3'].includes(c.leader()!.id));
});

test('scenario 38: a node with a full disk votes for nobody', () => {
  const c = new TestCluster(3);
  c.step(2, { type: 'disk', state: 'full' });
  c.campaign(1);
  c.settle([1, 2]);
  assert.is(c.role(1), 'pre_candidate');
  c.tick(2, 100);
  assert.is(c.role(2), 'follower');
});

test('scenario 40: state newer than the log, or the log newer than the stored term, is refused at start', () => {
  const start = (applied: number, mayVote: boolean, term: number) => () => {
    const store = new MemoryStore({ voters: ['1'], learners: [], info: {} });
    const entry = { index: 1, term: 3, kind: 'noop' as const, data: new Uint8Array(0), sizeBytes: 0 };
    store.write({ id: 1, hardState: { term, vote: null }, snapshot: null, truncateFrom: null, append: [entry] });
    const initial = { hardState: store.hardState, commit: 0, applied, mayVote };
    return createRaft({ ...TEST_CONFIG, id: '1', boot: 1, seed: 1 }, initial, store);
  };
  const refused = (error: unknown) => error instanceof RaftStartError;
  assert.not.throws(start(1, true, 3));
  assert.throws(start(2, true, 3), refused);
  assert.not.throws(start(2, false, 3), 'a damaged log is refilled instead');
  assert.throws(start(0, true, 2), refused);

  const founders = { voters: ['1'], learners: [], info: {} };
  const startAt = (applied: number, logEnd: number) => () => {
    const store = new MemoryStore(founders);
    store.meta = { index: 5, term: 1, membership: founders };
    store.lastIndex = () => logEnd;
    store.term = () => 1;
    const initial = { hardState: { term: 1, vote: null }, commit: 0, applied, mayVote: true };
    return createRaft({ ...TEST_CONFIG, id: '1', boot: 1, seed: 1 }, initial, store);
  };
  assert.not.throws(startAt(5, 5));
  assert.throws(startAt(4, 5), /before its snapshot at 5/);
  assert.throws(startAt(5, 4), /the log ends at 4, before its snapshot at 5/);
});

test.run();
