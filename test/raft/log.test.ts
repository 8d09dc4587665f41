/** Scenarios 11 to 16, 18 and 39: what may be in the log, and what counts as committed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InvariantError } from '../../cluster/raft/invariant.ts';
import type { Append, Message } from '../../cluster/raft/messages.ts';
import type { Entry } from '../../cluster/raft/types.ts';
import { TEST_CONFIG, TestCluster } from './test-cluster.ts';

const test = suite('raft log');

const entry = (index: number, term: number): Entry => {
  const data = new TextEncoder().encode(`${index}@${term}`);
  return { index, term, kind: 'command', data, sizeBytes: data.length };
};
const append = (more: Partial<Append>): Append => ({
  type: 'append',
  from: '1',
  to: '2',
  term: 1,
  prevIndex: 0,
  prevTerm: 0,
  entries: [],
  commit: 0,
  boot: 0,
  ...more,
});
const terms = (c: TestCluster, id: number) =>
  c
    .node(id)
    .store.all()
    .map((e) => e.term);
const input = (message: Message) => ({ type: 'message', message }) as const;

test('scenario 11: figure 8, an entry of an older term is not committed by counting', () => {
  const c = new TestCluster(3);
  // Node 1 holds two entries of term 1, never committed, and is elected for term 2, where it adds its no-op at 3.
  c.step(1, input(append({ from: '3', to: '1', entries: [entry(1, 1), entry(2, 1)] })));
  c.drop();
  c.campaign(1);
  while (c.role(1) !== 'leader') c.deliver(c.messages[0]!);
  const reply = {
    type: 'append_reply',
    from: '2',
    to: '1',
    term: 2,
    boot: 1,
    ok: true,
    hintIndex: 0,
    hintTerm: 0,
  } as const;
  c.step(1, input({ ...reply, index: 2 }));
  assert.is(c.node(1).raft.status().commitIndex, 0, 'two of three hold index 2, but it is of term 1');
  c.step(1, input({ ...reply, index: 3 }));
  assert.is(c.node(1).raft.status().commitIndex, 3, 'the no-op of term 2 brings it along');
});

test('scenario 12: a repeated, reordered or short append never cuts a matching suffix', () => {
  const c = new TestCluster(3);
  const all = append({ entries: [entry(1, 1), entry(2, 1), entry(3, 1)] });
  c.step(2, input(all));
  for (const short of [
    append({}),
    append({ entries: [entry(1, 1)] }),
    append({ prevIndex: 1, prevTerm: 1, entries: [entry(2, 1)] }),
    all,
  ]) {
    const output = c.step(2, input(short));
    assert.is(output.write, null);
    assert.is(c.node(2).raft.status().lastIndex, 3);
  }
});

test('a conflicting suffix is cut and replaced', () => {
  const c = new TestCluster(3);
  c.step(2, input(append({ entries: [entry(1, 1), entry(2, 1), entry(3, 1)] })));
  const output = c.step(2, input(append({ from: '3', term: 2, prevIndex: 1, prevTerm: 1, entries: [entry(2, 2)] })));
  assert.is(output.write?.truncateFrom, 2);
  assert.equal(terms(c, 2), [1, 2]);
});

test('scenario 13: a conflict at or below the commit index ends the process', () => {
  const c = new TestCluster(3);
  c.step(2, input(append({ entries: [entry(1, 1), entry(2, 1)], commit: 2 })));
  const conflict = append({ from: '3', term: 2, prevIndex: 1, prevTerm: 1, entries: [entry(2, 2)] });
  assert.throws(
    () => c.step(2, input(conflict)),
    (error: unknown) => error instanceof InvariantError,
  );
  assert.equal(terms(c, 2), [1, 1]);
});

test('scenario 14: a follower commits no further than what the message proves equal', () => {
  const c = new TestCluster(3);
  c.step(2, input(append({ entries: [entry(1, 1), entry(2, 1), entry(3, 1)] })));
  // The leader of term 2 has committed 3, but node 2 is known to match only through 1: its own 2 and 3 may be others.
  c.step(2, input(append({ from: '3', term: 2, prevIndex: 1, prevTerm: 1, commit: 3 })));
  assert.is(c.node(2).raft.status().commitIndex, 1);
  c.step(2, input(append({ from: '3', term: 2, prevIndex: 1, prevTerm: 1, entries: [entry(2, 1)], commit: 3 })));
  assert.is(c.node(2).raft.status().commitIndex, 2);
});

test('scenario 15: a report about a write from before a truncation is no word about the entries after it', () => {
  const c = new TestCluster(3);
  const node = c.node(2);
  node.diskHeld = true;
  // 2@1 is written, cut for 2@2, and comes back as 2@1 from a leader that had it: three writes under way.
  c.step(2, input(append({ entries: [entry(1, 1), entry(2, 1)] })));
  c.step(2, input(append({ from: '3', term: 2, prevIndex: 1, prevTerm: 1, entries: [entry(2, 2)] })));
  c.step(2, input(append({ term: 3, prevIndex: 1, prevTerm: 1, entries: [entry(2, 1)], commit: 2 })));
  assert.is(node.disk.length, 3);
  c.persist(2, 1);
  assert.is(node.raft.status().durableIndex, 0, 'what the first write held was cut since');
  assert.equal(node.state, []);
  c.persist(2, 1);
  assert.is(node.raft.status().durableIndex, 0);
  c.persist(2, 1);
  assert.is(node.raft.status().durableIndex, 2);
  assert.equal(node.state, ['1@1', '2@1']);
});

test('an acknowledgement waits for every earlier write, also when it needs none itself', () => {
  const c = new TestCluster(3);
  c.node(2).diskHeld = true;
  const message = append({ entries: [entry(1, 1)] });
  c.step(2, input(message));
  c.step(2, input(message));
  assert.equal(c.messages, []);
  c.persist(2);
  assert.is(c.messages.filter((m) => m.type === 'append_reply').length, 2);
});

test('scenario 16: an acknowledgement from before a follower lost its log never raises its match', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a', 'b');
  c.settle([1, 2]);
  const stale = c.messages.find((m) => m.to === '3' && m.type === 'append')!;
  c.drop();
  c.deliver(stale);
  const [ack] = c.drop((m) => m.from === '3' && m.type === 'append_reply');
  c.node(3).store.damageFrom(1);
  c.restart(3, { mayVote: false });
  c.tick(1, 2);
  c.deliver(c.messages.find((m) => m.to === '3' && m.type === 'heartbeat')!);
  c.settle([1, 3]);
  c.node(3).store.damageFrom(1);
  c.restart(3);
  c.drop();
  c.tick(1, 2);
  c.drop((m) => m.type === 'append');
  c.deliver(c.messages.find((m) => m.to === '3')!);
  c.deliver(c.messages.find((m) => m.from === '3')!);
  const match = () =>
    c
      .node(1)
      .raft.status()
      .peers.find((p) => p.id === '3')!.match;
  assert.is(match(), 0, 'the new boot starts from nothing');
  c.step(1, input(ack!));
  assert.is(match(), 0, 'the old acknowledgement is no news');
});

test('scenario 16: an acknowledgement of an earlier term, when this node led before, is no acknowledgement', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a');
  c.settle([1, 2]);
  c.deliver(c.messages.find((m) => m.to === '3' && m.type === 'append')!);
  const [late] = c.drop((m) => m.from === '3' && m.type === 'append_reply');
  c.drop();
  c.restart(1);
  c.tick(2, TEST_CONFIG.electionTicks);
  c.drop();
  c.campaign(1);
  c.settle([1, 2]);
  assert.is(c.node(1).raft.status().term, 2);
  c.step(1, input(late!));
  assert.is(
    c
      .node(1)
      .raft.status()
      .peers.find((p) => p.id === '3')!.match,
    0,
  );
});

test('a refusal that was overtaken moves nothing', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a');
  c.settle();
  const refusal = {
    type: 'append_reply',
    from: '3',
    to: '1',
    term: 1,
    boot: 1,
    ok: false,
    hintIndex: 0,
    hintTerm: 0,
  } as const;
  c.step(1, input({ ...refusal, index: 1 }));
  const peer = () =>
    c
      .node(1)
      .raft.status()
      .peers.find((p) => p.id === '3')!;
  assert.is(peer().state, 'replicate', 'it is known to match beyond that');
  // A new follower is probed: the second of two equal refusals brings no second append.
  c.addNode('4');
  c.step(1, { type: 'change_membership', ref: 50, change: { op: 'add_learner', node: '4', info: {} } });
  c.deliver(c.messages.find((m) => m.to === '4')!);
  const [refused] = c.drop((m) => m.from === '4');
  const appends = () => c.step(1, input(refused!)).sendNow.filter((m) => m.to === '4' && m.type === 'append').length;
  assert.equal([appends(), appends()], [1, 0]);
});

test('scenario 18: many conflicting terms need few probes', () => {
  const c = new TestCluster(3);
  // Node 1: 60 entries, each of its own odd term. Node 2: 60 of even terms. They share the first.
  const rows = (first: number) => [entry(1, 1), ...Array.from({ length: 60 }, (_, i) => entry(i + 2, first + 2 * i))];
  c.step(1, input(append({ from: '3', to: '1', term: 200, entries: rows(3) })));
  c.step(2, input(append({ from: '3', to: '2', term: 199, entries: rows(2) })));
  c.tick(2, TEST_CONFIG.electionTicks);
  c.drop();
  c.campaign(1);
  let probes = 0;
  while (c.messages.length > 0) {
    const message = c.messages[0]!;
    if (message.type === 'append' && message.to === '2') probes++;
    if (message.to === '3') c.drop((m) => m === message);
    else c.deliver(message);
  }
  assert.is(c.role(1), 'leader');
  assert.equal(terms(c, 2), terms(c, 1));
  // 61 terms differ: interleaved terms are the worst case, and each round skips at least one of either side.
  assert.ok(probes <= 64, `${probes} appends`);

  const d = new TestCluster(3);
  // One long conflicting term is one step back, however long it is.
  const own = Array.from({ length: 500 }, (_, i) => entry(i + 2, 2));
  const other = Array.from({ length: 500 }, (_, i) => entry(i + 2, 3));
  d.step(1, input(append({ from: '3', to: '1', term: 9, entries: [entry(1, 1), ...other] })));
  d.step(2, input(append({ from: '3', to: '2', term: 8, entries: [entry(1, 1), ...own] })));
  d.tick(2, TEST_CONFIG.electionTicks);
  d.drop();
  d.campaign(1);
  let refused = 0;
  while (d.messages.length > 0) {
    const message = d.messages[0]!;
    if (message.type === 'append_reply' && !message.ok) refused++;
    if (message.to === '3') d.drop((m) => m === message);
    else d.deliver(message);
  }
  assert.equal(terms(d, 2), terms(d, 1));
  assert.ok(refused <= 2, `${refused} refusals`);
});

test('scenario 18: a long foreign term on the follower is skipped at once, too', () => {
  const c = new TestCluster(3);
  const many = (term: number) => Array.from({ length: 500 }, (_, i) => entry(i + 2, term));
  c.step(1, input(append({ from: '3', to: '1', term: 9, entries: [entry(1, 1), ...many(3), entry(502, 6)] })));
  c.step(2, input(append({ from: '3', to: '2', term: 8, entries: [entry(1, 1), ...many(5)] })));
  c.tick(2, TEST_CONFIG.electionTicks);
  c.drop();
  c.campaign(1);
  let refused = 0;
  while (c.messages.length > 0) {
    const message = c.messages[0]!;
    if (message.type === 'append_reply' && !message.ok) refused++;
    if (message.to === '3') c.drop((m) => m === message);
    else c.deliver(message);
  }
  assert.equal(terms(c, 2), terms(c, 1));
  assert.ok(refused <= 2, `${refused} refusals`);
});

test('scenario 39: an oversized entry is refused at propose, and nothing of it is in the log', () => {
  const c = new TestCluster(1);
  c.elect(1);
  const before = c.node(1).raft.status().lastIndex;
  const data = new Uint8Array(10);
  const output = c.step(1, {
    type: 'propose',
    proposals: [
      { ref: 1, data, sizeBytes: 1_001 },
      { ref: 2, data, sizeBytes: 1_000 },
    ],
  });
  assert.equal(output.refused, [{ ref: 1, reason: 'too_large' }]);
  assert.equal(
    output.accepted.map(({ ref }) => ref),
    [2],
  );
  assert.is(c.node(1).raft.status().lastIndex, before + 1);
});

test('what is not committed is limited, and room comes back with the commit', () => {
  const c = new TestCluster(3, { config: { uncommittedBytesMax: 2_000 } });
  c.elect(1);
  const data = new Uint8Array(900);
  const propose = (ref: number) => c.step(1, { type: 'propose', proposals: [{ ref, data, sizeBytes: data.length }] });
  assert.equal(
    [1, 2, 3].flatMap((ref) => propose(ref).refused),
    [{ ref: 3, reason: 'overloaded' }],
  );
  c.settle();
  assert.is(c.node(1).raft.status().uncommittedBytes, 0);
  assert.equal(propose(4).refused, []);
});

test('a follower is sent no more than the window allows, in messages and in bytes', () => {
  const appendsTo3 = (c: TestCluster) =>
    c.messages.filter((m) => m.to === '3' && m.type === 'append' && m.entries.length > 0).length;
  const byMessages = new TestCluster(3, { config: { inflightMessagesMax: 3 } });
  byMessages.elect(1);
  for (let i = 0; i < 10; i++) byMessages.propose(1, 'a');
  assert.is(appendsTo3(byMessages), 3);
  byMessages.settle();
  assert.is(byMessages.node(3).raft.status().lastIndex, 11);

  const byBytes = new TestCluster(3, { config: { inflightBytesMax: 2_500, appendBytesMax: 1_000 } });
  byBytes.elect(1);
  const data = new Uint8Array(900);
  for (let ref = 0; ref < 10; ref++) byBytes.step(1, { type: 'propose', proposals: [{ ref, data, sizeBytes: 900 }] });
  assert.is(appendsTo3(byBytes), 3);
  byBytes.settle();
  assert.is(byBytes.node(3).raft.status().lastIndex, 11);
});

test('a restart reads nothing of a long log, and old entries come from the reader', () => {
  const c = new TestCluster(3, { config: { cacheBytesMax: 500 } });
  c.elect(1);
  for (let i = 0; i < 300; i++) {
    c.propose(1, `command ${i}`);
    c.settle([1, 2]);
    c.drop();
  }
  c.node(1).store.entriesRead = 0;
  c.restart(1);
  assert.is(c.node(1).store.entriesRead, 0);
  c.run(60);
  assert.is(c.node(3).state.length, 300, 'node 3 catches up from the log');
  assert.equal(c.node(3).state, c.node(2).state);
});

test.run();
