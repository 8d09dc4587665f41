/**
 * One random schedule over a TestCluster: messages lost, repeated and reordered, writes held back, nodes restarted with what
 * was durable, proposals, reads, membership changes, transfers, snapshots. After every action the safety properties of Raft
 * (paper, figure 3) are checked; at the end everything is healed and the cluster must agree. All draws come from one seed.
 */
import assert from 'node:assert';
import { majority } from '../../cluster/raft/quorum.ts';
import { Random } from '../../cluster/raft/random.ts';
import type { Entry, Index, NodeId, Output, Ref, Term } from '../../cluster/raft/types.ts';
import { TestCluster, type TestNode } from './test-cluster.ts';

const LOSS_PERCENT = 10;
const REPEAT_PERCENT = 5;

export interface ChaosReport {
  readonly committed: number;
  readonly reads: number;
  readonly restarts: number;
  readonly elections: number;
  readonly snapshots: number;
  readonly changes: number;
}

export class Chaos {
  readonly #random: Random;
  readonly #cluster: TestCluster;
  readonly #leaders = new Map<Term, NodeId>();
  /** The truth: the entry committed at each index, by whoever committed it first. */
  readonly #committed: Entry[] = [];
  readonly #readFloor = new Map<string, Index>();
  readonly #highest = new Map<NodeId, { term: Term; commit: Index; boot: number }>();
  #restarts = 0;
  #reads = 0;
  #snapshots = 0;
  #changes = 0;
  #nextNode: number;
  #cut: NodeId | null = null;

  constructor(seed: number) {
    this.#random = new Random(seed);
    const size = 1 + this.#random.below(5);
    this.#nextNode = size + 1;
    this.#cluster = new TestCluster(size, {
      config: { cacheBytesMax: 1 + this.#random.below(2_000), inflightMessagesMax: 1 + this.#random.below(4) },
      onOutput: (node, output) => this.#watch(node, output),
    });
  }

  run(actions: number): ChaosReport {
    for (let i = 0; i < actions; i++) {
      this.#act();
      for (const node of this.#cluster.nodes.values()) this.#check(node);
    }
    this.#converge();
    return {
      committed: this.#committed.length,
      reads: this.#reads,
      restarts: this.#restarts,
      elections: this.#leaders.size,
      snapshots: this.#snapshots,
      changes: this.#changes,
    };
  }

  #act(): void {
    const c = this.#cluster;
    const node = this.#anyNode();
    const dice = this.#random.below(1_000);
    if (dice < 550) this.#network();
    else if (dice < 750) c.tick(node.id);
    else if (dice < 850) c.propose((c.leader() ?? node).id, ...this.#texts());
    else if (dice < 890) this.#read(node);
    else if (dice < 910) node.diskHeld = !node.diskHeld;
    else if (dice < 940) c.persist(node.id, 1 + this.#random.below(2));
    else if (dice < 950) node.applyHeld = !node.applyHeld;
    else if (dice < 960) c.apply(node.id);
    else if (dice < 970) this.#restart(node);
    else if (dice < 975) c.step(node.id, { type: 'transfer_leadership', ref: c.ref(), to: null });
    else if (dice < 982) this.#compact(node);
    else if (dice < 985) c.step(node.id, { type: 'unreachable', node: this.#anyNode().id });
    else if (dice < 990) this.#cut = this.#cut === null ? node.id : null;
    else if (dice < 993) c.step(node.id, { type: 'disk', state: this.#random.below(2) === 0 ? 'full' : 'ok' });
    else this.#change();
  }

  #network(): void {
    const { messages } = this.#cluster;
    if (messages.length === 0) return;
    const message = messages[this.#random.below(Math.min(messages.length, 20))]!;
    const dice = this.#random.below(100);
    const cut = this.#cut === message.from || this.#cut === message.to;
    if (cut || dice < LOSS_PERCENT) this.#cluster.drop((m) => m === message);
    else if (dice < LOSS_PERCENT + REPEAT_PERCENT) messages.push({ ...message });
    else this.#cluster.deliver(message);
  }

  #texts(): string[] {
    return Array.from({ length: 1 + this.#random.below(3) }, () => `c${this.#random.below(1e9)}`);
  }

  #read(node: TestNode): void {
    const ref = this.#cluster.ref();
    this.#readFloor.set(`${node.id}/${node.boot}/${ref}`, this.#committed.length);
    this.#cluster.step(node.id, { type: 'read', ref });
  }

  #restart(node: TestNode): void {
    this.#restarts++;
    this.#cluster.restart(node.id);
  }

  #compact(node: TestNode): void {
    const status = node.raft.status();
    // A snapshot's membership is the one in force where it was taken.
    if (node.toApply.length > 0 || status.membershipIndex > node.applied || node.applied <= node.store.meta.index)
      return;
    if (node.store.lastIndex() < node.applied || node.disk.length > 0) return;
    this.#cluster.compact(node.id, this.#random.below(3));
  }

  #change(): void {
    const leader = this.#cluster.leader();
    if (leader === null) return;
    const { voters, learners } = leader.raft.status().membership;
    const ref = this.#cluster.ref();
    const dice = this.#random.below(3);
    if (learners.length > 0 && dice < 2) {
      this.#cluster.step(leader.id, { type: 'change_membership', ref, change: { op: 'promote', node: learners[0]! } });
    } else if (voters.length > 3 || (dice === 0 && voters.length > 2)) {
      const node = voters[this.#random.below(voters.length)]!;
      const op = this.#random.below(2) === 0 ? 'remove' : 'demote';
      this.#cluster.step(leader.id, { type: 'change_membership', ref, change: { op, node } });
    } else if (this.#cluster.nodes.size < 8) {
      const node = this.#cluster.addNode(String(this.#nextNode++)).id;
      this.#cluster.step(leader.id, { type: 'change_membership', ref, change: { op: 'add_learner', node, info: {} } });
    }
  }

  #watch(node: TestNode, output: Output): void {
    const change = output.roleChange;
    if (change?.role === 'leader') {
      const other = this.#leaders.get(change.term);
      assert(other === undefined || other === node.id, `${other} and ${node.id} both lead term ${change.term}`);
      this.#leaders.set(change.term, node.id);
    }
    if (output.membership !== null) this.#changes++;
    if (output.write?.snapshot) this.#snapshots++;
    for (const read of output.reads) this.#checkRead(node, read);
    for (const request of output.snapshotsToSend) {
      const { to, snapshot } = request;
      const isBroken = this.#random.below(4) === 0;
      this.#later(node, () => {
        if (isBroken) this.#cluster.step(node.id, { type: 'snapshot_sent', to, index: snapshot.index, ok: false });
        else this.#cluster.streamSnapshot(request);
      });
    }
  }

  /** Streams end after the step that started them. */
  readonly #streams: (() => void)[] = [];
  #later(node: TestNode, end: () => void): void {
    const { boot } = node;
    this.#streams.push(() => {
      if (node.boot === boot) end();
    });
  }

  #checkRead(node: TestNode, read: { ref: Ref; index: Index | null }): void {
    if (read.index === null) return;
    const floor = this.#readFloor.get(`${node.id}/${node.boot}/${read.ref}`);
    assert(floor !== undefined, `${node.id} answers read ${read.ref} that this boot was never asked`);
    assert(read.index >= floor, `stale read on ${node.id}: index ${read.index}, but ${floor} was committed before`);
    this.#reads++;
  }

  #check(node: TestNode): void {
    for (let end = this.#streams.shift(); end !== undefined; end = this.#streams.shift()) end();
    const status = node.raft.status();
    const before = this.#highest.get(node.id);
    if (before !== undefined && before.boot === node.boot) {
      assert(status.term >= before.term, `term fell on ${node.id}`);
      assert(status.commitIndex >= before.commit, `commit fell on ${node.id}`);
    }
    this.#highest.set(node.id, { term: status.term, commit: status.commitIndex, boot: node.boot });
    assert(node.store.meta.index <= status.appliedIndex, 'snapshot <= applied');
    assert(status.appliedIndex <= status.commitIndex, 'applied <= commit');
    assert(status.commitIndex <= status.lastIndex, 'commit <= last');
    this.#checkCommitted(node, status.commitIndex);
  }

  /** State-machine safety: nobody commits another entry at an index, and what is committed a majority holds durably. */
  #checkCommitted(node: TestNode, commit: Index): void {
    for (let index = this.#committed.length + 1; index <= commit; index++) {
      const entry = node.raft.entries(index, index + 1, 1)[0]!;
      this.#committed.push(entry);
      this.#checkDurable(node, entry);
    }
    const from = Math.max(1, node.raft.status().firstIndex, commit - 5);
    for (let index = from; index <= commit; index++) {
      const entry = node.raft.entries(index, index + 1, 1)[0]!;
      const truth = this.#committed[index - 1]!;
      assert(entry.term === truth.term && entry.kind === truth.kind, `${node.id} has another entry at ${index}`);
    }
  }

  #checkDurable(node: TestNode, entry: Entry): void {
    const { voters } = node.raft.status().membership;
    const holders = voters.filter((id) => {
      const { store } = this.#cluster.node(id);
      return store.meta.index >= entry.index || store.term(entry.index) === entry.term;
    });
    // The membership may have changed since by one voter, which moves a majority by at most one.
    assert(
      holders.length >= majority(voters.length) - 1,
      `entry ${entry.index} is held by ${holders.length} of ${voters.length}`,
    );
  }

  #converge(): void {
    const c = this.#cluster;
    this.#cut = null;
    for (const node of c.nodes.values()) {
      node.diskHeld = false;
      node.applyHeld = false;
      c.persist(node.id);
      c.apply(node.id);
      c.step(node.id, { type: 'disk', state: 'ok' });
    }
    const isDone = () => {
      const leader = c.leader();
      if (leader === null) return false;
      const { membership, commitIndex, lastIndex, term } = leader.raft.status();
      if (commitIndex < lastIndex || leader.store.term(lastIndex) !== term) return false;
      const members = [...membership.voters, ...membership.learners].map((id) => c.node(id));
      return members.every((node) => node.applied === commitIndex);
    };
    for (let i = 0; i < 200 && !isDone(); i++) {
      c.run(1);
      for (const node of c.nodes.values()) this.#check(node);
    }
    assert(
      isDone(),
      `no agreement after healing: ${JSON.stringify([...c.nodes.values()].map((n) => n.raft.status()))}`,
    );
    const leader = c.leader()!;
    const { voters, learners } = leader.raft.status().membership;
    for (const id of [...voters, ...learners]) assert.deepEqual(c.node(id).state, leader.state, `${id} differs`);
  }

  #anyNode(): TestNode {
    const nodes = [...this.#cluster.nodes.values()];
    return nodes[this.#random.below(nodes.length)]!;
  }
}
