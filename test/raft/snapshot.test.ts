/** Scenarios 20 to 24: snapshots instead of a log that is gone. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { InstallSnapshot, Message } from '../../cluster/raft/messages.ts';
import type { Output } from '../../cluster/raft/types.ts';
import { TestCluster } from './test-cluster.ts';

const test = suite('raft snapshot');

const input = (message: Message) => ({ type: 'message', message }) as const;
const requests = (outputs: readonly Output[]) => outputs.flatMap((output) => output.snapshotsToSend);

/** Node 3 has the first entry only; nodes 1 and 2 have 12, and node 1, the leader, purged all it could. */
function laggard(): TestCluster {
  // No cache: what is purged on the disk is gone.
  const c = new TestCluster(3, { config: { cacheBytesMax: 1 } });
  c.elect(1);
  for (let i = 0; i < 10; i++) {
    c.propose(1, `c${i}`);
    c.settle([1, 2]);
  }
  c.drop();
  c.compact(1);
  c.node(1).outputs = [];
  return c;
}

/** The leader's request for a snapshot to node 3. */
function requested(c: TestCluster): InstallSnapshot {
  for (let i = 0; i < 20 && requests(c.node(1).outputs).length === 0; i++) {
    c.tick(1, 2);
    c.settle();
  }
  const [request] = requests(c.node(1).outputs);
  assert.ok(request !== undefined, 'no snapshot was asked for');
  return request!;
}

test('scenario 24: a leader whose log is purged whole still brings a follower up to date', () => {
  const c = laggard();
  assert.is(c.node(1).store.firstIndex(), c.node(1).store.lastIndex() + 1);
  c.streamSnapshot(requested(c));
  c.settle();
  assert.equal(c.node(3).state, c.node(1).state);
  c.propose(1, 'after');
  c.settle();
  assert.is(c.node(3).state.at(-1), 'after');
  assert.is(requests(c.node(1).outputs).length, 1, 'asked for once');
});

test('scenario 24: a new leader that holds nothing but a snapshot sends it', () => {
  const c = laggard();
  c.restart(1);
  c.restart(2);
  c.restart(3);
  c.node(1).outputs = [];
  c.elect(1);
  assert.is(requested(c).snapshot.index, c.node(1).store.meta.index);
  c.streamSnapshot(requested(c));
  c.run(4);
  assert.equal(c.node(3).state, c.node(2).state);
});

test('scenario 20: a snapshot at or below the commit index is ignored, and acknowledged with the commit index', () => {
  const c = laggard();
  const { meta } = c.node(1).store;
  for (const index of [meta.index, meta.index - 3]) {
    const snapshot = { ...meta, index };
    const output = c.step(2, input({ type: 'install_snapshot', from: '1', to: '2', term: 1, snapshot }));
    assert.is(output.write, null);
    const [reply] = output.sendAfterDurable;
    assert.ok(reply?.type === 'append_reply' && reply.ok && reply.index === meta.index);
  }
});

test('scenario 20: same term at its index keeps the matching tail, another term drops the suffix', () => {
  const tail = (term: number) => {
    const c = new TestCluster(3);
    const entries = [1, 2, 3, 4].map((index) => ({
      index,
      term: 1,
      kind: 'command' as const,
      data: new TextEncoder().encode(`${index}`),
      sizeBytes: 1,
    }));
    c.step(
      2,
      input({ type: 'append', from: '1', to: '2', term: 1, prevIndex: 0, prevTerm: 0, entries, commit: 1, boot: 0 }),
    );
    c.node(2).store.received.set(3, ['from', 'the', 'snapshot']);
    const snapshot = { index: 3, term, membership: c.founders };
    const output = c.step(2, input({ type: 'install_snapshot', from: '3', to: '2', term: 2, snapshot }));
    return { node: c.node(2), output };
  };
  const kept = tail(1);
  assert.is(kept.output.write?.snapshot ?? null, null);
  assert.is(kept.node.raft.status().lastIndex, 4);
  assert.is(kept.node.raft.status().commitIndex, 3);
  assert.equal(kept.node.state, ['1', '2', '3']);

  const dropped = tail(2);
  assert.is(dropped.output.write?.truncateFrom, 2, 'everything after the commit index goes');
  assert.is(dropped.node.raft.status().lastIndex, 3);
  assert.equal(dropped.node.state, ['from', 'the', 'snapshot']);
});

test('scenario 21: an install waits for the apply that is under way', () => {
  const c = laggard();
  const node = c.node(3);
  node.applyHeld = true;
  // One committed entry is on its way to the state machine.
  const entries = c.node(2).store.entries(2, 3, 1_000);
  c.step(
    3,
    input({ type: 'append', from: '1', to: '3', term: 1, prevIndex: 1, prevTerm: 1, entries, commit: 2, boot: 1 }),
  );
  const request = requested(c);
  c.streamSnapshot(request);
  assert.ok(node.toApply.length > 0, 'the apply is held');
  assert.is(node.store.meta.index, 0, 'nothing was installed');
  c.node(1).outputs = [];
  c.run(6);
  assert.equal(requests(c.node(1).outputs), [], 'and it is not sent again meanwhile');
  c.apply(3);
  assert.is(node.store.meta.index, request.snapshot.index);
  assert.is(node.raft.status().appliedIndex, request.snapshot.index);
  assert.equal(node.state, c.node(1).state);
});

test('scenario 22: an install brings its own membership, and forgets an uncommitted one', () => {
  const c = new TestCluster(3);
  const mine = { voters: ['1', '2', '3', '4'], learners: [], info: {} };
  const data = new TextEncoder().encode(JSON.stringify(mine));
  const entries = [{ index: 1, term: 1, kind: 'config' as const, data, sizeBytes: data.length }];
  c.step(
    2,
    input({ type: 'append', from: '1', to: '2', term: 1, prevIndex: 0, prevTerm: 0, entries, commit: 0, boot: 0 }),
  );
  assert.is(c.node(2).raft.status().membership.voters.length, 4);
  const membership = { voters: ['1', '2'], learners: ['5'], info: {} };
  c.node(2).store.received.set(9, []);
  const snapshot = { index: 9, term: 2, membership };
  const output = c.step(2, input({ type: 'install_snapshot', from: '3', to: '2', term: 2, snapshot }));
  assert.equal(output.membership, membership);
  assert.equal(c.restart(2).raft.status().membership, membership, 'also after a restart');
});

test('scenario 23: a receiver that crashes during the transfer is probed again, and fed again', () => {
  const c = laggard();
  const request = requested(c);
  c.restart(3);
  c.step(1, { type: 'snapshot_sent', to: '3', index: request.snapshot.index, ok: false });
  c.node(1).outputs = [];
  c.streamSnapshot(requested(c));
  c.settle();
  assert.equal(c.node(3).state, c.node(1).state);
});

test('scenario 23: a receiver that took the snapshot and lost it before installing is fed again', () => {
  const c = laggard();
  const { index } = requested(c).snapshot;
  c.step(1, { type: 'snapshot_sent', to: '3', index, ok: true });
  c.node(1).outputs = [];
  c.streamSnapshot(requested(c));
  c.settle();
  assert.equal(c.node(3).state, c.node(1).state);
});

test('scenario 23: a lost acknowledgement of an install does not leave the follower waiting', () => {
  const c = laggard();
  const request = requested(c);
  c.streamSnapshot(request);
  c.drop();
  assert.is(
    c
      .node(1)
      .raft.status()
      .peers.find((p) => p.id === '3')!.state,
    'snapshot',
  );
  c.run(4);
  assert.is(
    c
      .node(1)
      .raft.status()
      .peers.find((p) => p.id === '3')!.state,
    'replicate',
  );
});

test('scenario 23: a slow receiver holds up neither the log of the others nor newer snapshots', () => {
  const c = laggard();
  const slow = requested(c);
  for (let i = 0; i < 20; i++) {
    c.propose(1, `more ${i}`);
    c.settle();
  }
  assert.is(c.node(1).raft.status().commitIndex, c.node(1).raft.status().lastIndex);
  assert.equal(c.node(2).state, c.node(1).state);
  assert.not.ok(c.messages.some((m) => m.to === '3' && m.type === 'append'));
  // The leader compacts on while the stream runs; what the receiver needs next is purged by then.
  c.compact(1);
  assert.ok(c.node(1).store.meta.index > slow.snapshot.index);
  c.node(3).store.received.set(slow.snapshot.index, c.node(1).state.slice(0, 10));
  c.deliver(slow);
  c.step(1, { type: 'snapshot_sent', to: '3', index: slow.snapshot.index, ok: true });
  c.node(1).outputs = [];
  c.settle();
  c.streamSnapshot(requested(c));
  c.settle();
  assert.equal(c.node(3).state, c.node(1).state);
});

test('scenario 23: an install that is acknowledged needs no report of its stream', () => {
  const c = laggard();
  const request = requested(c);
  const before = [...c.node(1).state];
  c.propose(1, 'more');
  c.settle();
  c.compact(1);
  c.node(1).outputs = [];
  // The receiver has it and says so; the driver's report never comes, and what follows is purged.
  c.node(3).store.received.set(request.snapshot.index, before);
  c.deliver(request);
  c.settle();
  assert.is(requests(c.node(1).outputs).length, 1);
  c.streamSnapshot(requests(c.node(1).outputs)[0]!);
  c.settle();
  assert.equal(c.node(3).state, c.node(1).state);
});

test('a newer snapshot may be sent than was asked for', () => {
  const c = laggard();
  const request = requested(c);
  c.propose(1, 'more');
  c.settle();
  c.compact(1);
  const { index } = c.node(1).store.meta;
  assert.ok(index > request.snapshot.index);
  c.step(1, { type: 'snapshot_sent', to: '3', index, ok: false });
  assert.is(
    c
      .node(1)
      .raft.status()
      .peers.find((p) => p.id === '3')!.state,
    'probe',
  );
});

test('a follower that does not answer is not sent a snapshot', () => {
  const c = laggard();
  c.run(30, [1, 2]);
  c.step(1, { type: 'unreachable', node: '3' });
  c.run(4, [1, 2]);
  assert.equal(requests(c.node(1).outputs), []);
});

test.run();
