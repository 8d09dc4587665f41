/**
 * A cluster of real cores without time: every message waits until a test delivers or drops it, every write until the disk is
 * told to finish it (at once, unless held). It runs the driver's loop of cluster/raft/core.ts, nothing more.
 */
import assert from 'node:assert';
import { createRaft } from '../../cluster/raft/core.ts';
import type { InstallSnapshot, Message } from '../../cluster/raft/messages.ts';
import type {
  Index,
  InitialState,
  Input,
  Membership,
  NodeId,
  Output,
  Raft,
  RaftConfig,
  Ref,
  Write,
} from '../../cluster/raft/types.ts';
import { MemoryStore } from './memory-store.ts';

export const TEST_CONFIG: Omit<RaftConfig, 'id' | 'boot' | 'seed'> = {
  electionTicks: 10,
  heartbeatTicks: 2,
  roundTripTicks: 1,
  diskStallTicks: 20,
  entryBytesMax: 1_000,
  appendBytesMax: 4_000,
  inflightMessagesMax: 8,
  inflightBytesMax: 16_000,
  uncommittedBytesMax: 100_000,
  cacheBytesMax: 100_000,
  pendingReadsMax: 100,
};

export interface TestNode {
  readonly id: NodeId;
  readonly store: MemoryStore;
  raft: Raft;
  boot: number;
  /** Writes that are under way, each with the messages that wait for it. */
  disk: { write: Write | null; messages: readonly Message[] }[];
  diskHeld: boolean;
  applyHeld: boolean;
  toApply: { lo: Index; hi: Index }[];
  /** The state machine: texts of the commands applied. Survives restarts, like the snapshot and log it comes from. */
  state: string[];
  applied: Index;
  mayVote: boolean;
  /** Every output since the last `take`, newest last. */
  outputs: Output[];
}

export interface ClusterOptions {
  readonly config?: Partial<RaftConfig>;
  readonly learners?: number;
  /** Sees every output, and every message as it leaves. */
  readonly onOutput?: (node: TestNode, output: Output) => void;
  readonly onSend?: (message: Message) => void;
}

export class TestCluster {
  readonly nodes = new Map<NodeId, TestNode>();
  /** Sent and not delivered. */
  messages: Message[] = [];
  readonly founders: Membership;
  readonly #options: ClusterOptions;
  #nextRef = 1;

  constructor(size: number, options: ClusterOptions = {}) {
    this.#options = options;
    const ids = Array.from({ length: size + (options.learners ?? 0) }, (_, i) => String(i + 1));
    this.founders = { voters: ids.slice(0, size), learners: ids.slice(size), info: {} };
    for (const id of ids) this.addNode(id, this.founders);
  }

  /** A node with an empty disk; without a membership it waits to be added. */
  addNode(id: NodeId, membership: Membership = { voters: [], learners: [], info: {} }): TestNode {
    const store = new MemoryStore(membership);
    const node: TestNode = {
      id,
      store,
      raft: this.#start(id, 1, store, { applied: 0, mayVote: true }),
      boot: 1,
      disk: [],
      diskHeld: false,
      applyHeld: false,
      toApply: [],
      state: [],
      applied: 0,
      mayVote: true,
      outputs: [],
    };
    this.nodes.set(id, node);
    return node;
  }

  #start(id: NodeId, boot: number, store: MemoryStore, at: { applied: Index; mayVote: boolean }): Raft {
    const config: RaftConfig = { ...TEST_CONFIG, ...this.#options.config, id, boot, seed: Number(id) * 1_000 + boot };
    const initial: InitialState = { hardState: store.hardState, commit: 0, ...at };
    return createRaft(config, initial, store);
  }

  node(id: NodeId | number): TestNode {
    const node = this.nodes.get(String(id));
    assert(node !== undefined, `no node ${id}`);
    return node;
  }

  /** kill -9 and a new start from what was durable; messages under way stay under way. */
  restart(id: NodeId | number, options: { mayVote?: boolean } = {}): TestNode {
    const node = this.node(id);
    const { store } = node;
    node.disk = [];
    node.toApply = [];
    node.diskHeld = false;
    node.applyHeld = false;
    node.boot++;
    node.mayVote = options.mayVote ?? node.mayVote;
    node.state = [...store.snapshotState];
    node.applied = store.meta.index;
    node.raft = this.#start(node.id, node.boot, store, { applied: node.applied, mayVote: node.mayVote });
    return node;
  }

  step(id: NodeId | number, ...inputs: Input[]): Output {
    const node = this.node(id);
    const output = node.raft.step(inputs);
    node.outputs.push(output);
    this.#options.onOutput?.(node, output);
    this.#send(output.sendNow);
    if (output.refilled) node.mayVote = true;
    if (output.write !== null || output.sendAfterDurable.length > 0) {
      node.disk.push({ write: output.write, messages: output.sendAfterDurable });
    }
    if (output.commit !== null) node.toApply.push(output.commit);
    if (!node.diskHeld || node.disk.every(({ write }) => write === null)) this.persist(id);
    if (!node.applyHeld) this.apply(id);
    return output;
  }

  /** Finishes the oldest writes of a node, all by default. */
  persist(id: NodeId | number, count = Number.POSITIVE_INFINITY): void {
    const node = this.node(id);
    for (let done = 0; done < count && node.disk.length > 0; done++) {
      const { write, messages } = node.disk.shift()!;
      if (write !== null) {
        node.store.write(write);
        if (write.snapshot !== null) {
          node.state = [...node.store.snapshotState];
          node.applied = write.snapshot.index;
        }
      }
      this.#send(messages);
      if (write !== null) this.step(id, { type: 'persisted', writeId: write.id });
    }
  }

  apply(id: NodeId | number): void {
    const node = this.node(id);
    for (let range = node.toApply.shift(); range !== undefined; range = node.toApply.shift()) {
      let next = range.lo;
      while (next < range.hi) {
        for (const entry of node.raft.entries(next, range.hi, 1_000)) {
          assert.equal(entry.index, node.applied + 1, 'entries are applied in order, once');
          if (entry.kind === 'command') node.state.push(new TextDecoder().decode(entry.data));
          node.applied = entry.index;
          next = entry.index + 1;
        }
      }
      this.step(id, { type: 'applied', upTo: node.applied });
    }
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) this.#options.onSend?.(message);
    this.messages.push(...messages);
  }

  /** Delivers one message that is under way (or a copy of one, or a made-up one). */
  deliver(message: Message): Output | null {
    const at = this.messages.indexOf(message);
    if (at >= 0) this.messages.splice(at, 1);
    if (!this.nodes.has(message.to)) return null;
    return this.step(message.to, { type: 'message', message });
  }

  /** Delivers everything among the given nodes (all by default), in order, until nothing moves. The rest stays. */
  settle(ids: readonly (NodeId | number)[] = [...this.nodes.keys()], limit = 100_000): void {
    const among = new Set(ids.map(String));
    for (let i = 0; i < limit; i++) {
      const message = this.messages.find((m) => among.has(m.from) && among.has(m.to));
      if (message === undefined) return;
      this.deliver(message);
    }
    assert.fail(`messages never settle: ${JSON.stringify(this.messages[0])}`);
  }

  drop(matches: (message: Message) => boolean = () => true): Message[] {
    const dropped = this.messages.filter(matches);
    this.messages = this.messages.filter((message) => !matches(message));
    return dropped;
  }

  tick(id: NodeId | number, count = 1): void {
    for (let i = 0; i < count; i++) this.step(id, { type: 'tick' });
  }

  /** Ticks the given nodes in turn and settles among them after each round. */
  run(ticks: number, ids: readonly (NodeId | number)[] = [...this.nodes.keys()]): void {
    for (let i = 0; i < ticks; i++) {
      for (const id of ids) this.tick(id);
      this.settle(ids);
      const among = new Set(ids.map(String));
      this.drop((m) => among.has(m.from) !== among.has(m.to));
    }
  }

  campaign(id: NodeId | number): void {
    this.step(id, { type: 'campaign' });
  }

  /** Node `id` campaigns with the help of `ids` and must win. */
  elect(id: NodeId | number, ids: readonly (NodeId | number)[] = [...this.nodes.keys()]): TestNode {
    this.campaign(id);
    this.settle(ids);
    assert.equal(this.node(id).raft.status().role, 'leader', `${id} did not win`);
    return this.node(id);
  }

  propose(id: NodeId | number, ...texts: string[]): { output: Output; refs: Ref[] } {
    const proposals = texts.map((text) => {
      const data = new TextEncoder().encode(text);
      return { ref: this.#nextRef++, data, sizeBytes: data.length };
    });
    return { output: this.step(id, { type: 'propose', proposals }), refs: proposals.map(({ ref }) => ref) };
  }

  ref(): Ref {
    return this.#nextRef++;
  }

  /** Takes a snapshot of a node's state where it is and forgets all but the last `keep` entries before it. */
  compact(id: NodeId | number, keep = 0): void {
    const node = this.node(id);
    const { membership } = node.raft.status();
    node.store.compact(node.applied, membership, [...node.state], Math.max(0, node.applied - keep));
  }

  /** Streams the sender's newest snapshot in one go and reports it sent. */
  streamSnapshot(request: InstallSnapshot): void {
    const { meta, snapshotState } = this.node(request.from).store;
    this.node(request.to).store.received.set(meta.index, snapshotState);
    this.deliver({ ...request, snapshot: meta });
    this.step(request.from, { type: 'snapshot_sent', to: request.to, index: request.snapshot.index, ok: true });
  }

  leader(): TestNode | null {
    const leaders = [...this.nodes.values()].filter((node) => node.raft.status().role === 'leader');
    leaders.sort((a, b) => b.raft.status().term - a.raft.status().term);
    return leaders[0] ?? null;
  }

  role(id: NodeId | number): string {
    return this.node(id).raft.status().role;
  }
}
