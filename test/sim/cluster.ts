// A whole simulated cluster: nodes, network, clients, checkers, and what an operator or a real tracker would do around them
// (restart what crashed, bring wiped members back through the log, grow and shrink).
import type { InstallSnapshot, Message } from '../../cluster/raft/messages.ts';
import type { Membership, MembershipChange, NodeId, Output } from '../../cluster/raft/types.ts';
import { futureCommand, type Program } from './app.ts';
import { SimClient } from './client.ts';
import type { StoredSnapshot } from './disk.ts';
import { Invariants } from './invariants.ts';
import { CALM, Network } from './network.ts';
import { SimNode } from './node.ts';
import type { Prng } from './prng.ts';
import type { World } from './world.ts';

const CLIENTS = 5;
/** How often the leader looks whether the membership is what it should be. */
const KEEPER_MS = 200;

export class SimCluster {
  readonly world: World;
  readonly nodes: SimNode[] = [];
  readonly clients: SimClient[];
  readonly network: Network<Message>;
  readonly invariants: Invariants;
  readonly #random: Prng;
  readonly #note: (text: string) => void;
  readonly #founding: StoredSnapshot;
  readonly #sending: SimNode['sending'];
  /** Tracker numbers that the operator wants as members. */
  readonly #wanted = new Set<number>();
  /** Members whose disk lost something they may have promised, until they are whole again. */
  readonly #hurt = new Set<SimNode>();
  /** What a tracker that is added now runs. */
  #program: Program = 1;
  /** Told of each new leader before a word of it has arrived anywhere. */
  onNewLeader: ((leader: SimNode) => void) | null = null;
  /** Faults no longer end by themselves: the healing phase has begun. */
  isHealing = false;

  constructor(world: World, random: Prng, size: number, note: (text: string) => void) {
    this.world = world;
    this.#random = random;
    this.#note = note;
    this.network = new Network(world, random.fork(), (_from, to, message) => this.nodes[to - 1]!.receive(message));
    const numbers = Array.from({ length: size }, (_, i) => i + 1);
    const membership: Membership = { voters: numbers.map((n) => `${n}.0`), learners: [], info: {} };
    this.#sending = { appendBytesMax: random.pick([100, 600, 2_048]), inflightMessagesMax: random.pick([1, 2, 8]) };
    this.#founding = { meta: { index: 0, term: 0, membership }, state: new Uint8Array(0) };
    for (const number of numbers) this.#addNode(number, this.#founding);
    this.invariants = new Invariants(this.nodes);
    const users = Array.from({ length: CLIENTS }, (_, i) => `user-${i}`);
    this.clients = users.map((_, i) => new SimClient(i, world, random.fork(), this.nodes, users));
  }

  start(): void {
    for (const node of this.nodes) node.start();
    for (const client of this.clients) client.start();
    this.#keep();
  }

  /**
   * Some member's disk lost what it may have promised, and it is not whole again. An operator who removes a healthy one in the
   * very moment asks for a dead cluster: a leader learns of a loss only after an election timeout.
   */
  get isAnyHurt(): boolean {
    return this.#hurt.size > 0;
  }

  /** The leader of the highest term, if any is up. */
  get leader(): SimNode | null {
    const leaders = this.nodes.filter((node) => node.raft?.status().role === 'leader');
    return leaders.sort((a, b) => b.raft!.status().term - a.raft!.status().term)[0] ?? null;
  }

  crash(node: SimNode, downMs: number, lose = 0): string {
    if (node.isUp) node.crash(lose);
    this.#startLater(node, downMs);
    return `${node.id} crashes for ${downMs} ms${lose > 0 ? `, losing up to ${lose} durable rows` : ''}`;
  }

  /** Does it only if enough members stay whole for every committed entry to survive. */
  damage(node: SimNode, hurt: () => string | null): string | null {
    if (!this.#mayHurt(node)) return null;
    const text = hurt();
    if (text) {
      this.#hurt.add(node);
      this.invariants.damaged.add(node.id);
    }
    return text;
  }

  wipe(node: SimNode, downMs: number): string {
    const old = node.id;
    this.invariants.damaged.add(old);
    node.wipe();
    this.#startLater(node, downMs);
    return `${old} wiped: comes back as ${node.id}`;
  }

  rot(node: SimNode, downMs: number): string | null {
    const index = node.disk.rot();
    if (index === null) return null;
    this.crash(node, downMs);
    return `${node.id}: row ${index} rots; restarted`;
  }

  pause(node: SimNode, durationMs: number): string {
    node.pause();
    this.world.after(durationMs, () => node.resume());
    return `${node.id} paused for ${durationMs} ms`;
  }

  fillDisk(node: SimNode, durationMs: number): string | null {
    if (!node.isUp || node.disk.full) return null;
    node.disk.full = true;
    node.input({ type: 'disk', state: 'full' });
    this.world.after(durationMs, () => this.#emptyDisk(node));
    return `${node.id} disk full for ${durationMs} ms`;
  }

  healLater(durationMs: number, text: string): string {
    this.world.after(durationMs, () => this.network.healAll());
    return `${text} for ${durationMs} ms`;
  }

  /**
   * One tracker after the other is restarted with the next version of the program. Then a command is logged that only this one
   * knows; a careless operator does not wait for the last.
   */
  upgrade(everyMs: number, careless: boolean): string | null {
    if (this.#program === 2) return null;
    this.#program = 2;
    for (const [i, node] of this.nodes.entries()) {
      this.world.after(i * everyMs, () => {
        if (this.isHealing) return;
        node.program = 2;
        this.crash(node, everyMs / 2);
      });
    }
    const firstAt = careless ? everyMs : this.nodes.length * everyMs;
    for (const again of [0, 500, 1_500]) {
      this.world.after(firstAt + again, () => this.leader?.propose(futureCommand(), () => {}));
    }
    return `upgrade to program 2, one every ${everyMs} ms${careless ? ', and not waited for' : ''}`;
  }

  transferLeadership(): string | null {
    const { leader } = this;
    leader?.request((ref) => ({ type: 'transfer_leadership', ref, to: null }));
    return leader && `${leader.id} is asked to hand over leadership`;
  }

  grow(): string | null {
    if (this.#wanted.size >= 5) return null;
    const nobody: Membership = { voters: [], learners: [], info: {} };
    const node = this.#addNode(this.nodes.length + 1, {
      meta: { index: 0, term: 0, membership: nobody },
      state: new Uint8Array(0),
    });
    node.start();
    return `tracker ${node.number} added`;
  }

  shrink(random: Prng): string | null {
    if (this.#wanted.size <= 3 || this.isAnyHurt) return null;
    const number = random.pick([...this.#wanted]);
    this.#wanted.delete(number);
    return `tracker ${number} to be removed`;
  }

  /** Ends every fault. A random minority of the members may stay down for good. */
  heal(): void {
    this.isHealing = true;
    this.network.healAll();
    this.network.weather = CALM;
    for (const client of this.clients) client.loss = 0;
    const down = this.#chooseDead();
    for (const node of this.nodes) {
      node.clockRate = 1;
      node.program = this.#program;
      node.disk.latencyMs = 1;
      node.disk.stalledUntil = 0;
      node.applyStalledUntil = 0;
      this.#emptyDisk(node);
      node.resume();
      if (down.has(node)) node.crash();
      else if (!node.isUp) node.start();
    }
    this.#note(`all faults end; down for good: ${[...down].map((node) => node.id).join(', ') || 'nobody'}`);
  }

  /** Why the cluster is not one yet, in words; null when every living member has the same state and counts again. */
  whyNotConverged(): string | null {
    const { leader } = this;
    if (!leader) return 'nobody leads';
    const status = leader.raft!.status();
    if (status.appliedIndex !== status.lastIndex) return `${leader.id} leads but has not applied all`;
    for (const number of this.#wanted) {
      const node = this.nodes[number - 1]!;
      if (!node.isUp) continue;
      if (!status.membership.voters.includes(node.id)) return `${node.id} is no voter`;
      if (!node.raft!.status().mayVote) return `${node.id} may not vote yet`;
      if (node.appliedIndex !== status.appliedIndex) return `${node.id} lags behind`;
      if (node.app.hash() !== leader.app.hash()) return `${node.id} has another state`;
    }
    return null;
  }

  #addNode(number: number, founding: StoredSnapshot): SimNode {
    const node = new SimNode(number, this.world, this.#random.fork(), this.#surroundings(), founding);
    node.snapshotEvery = this.#random.pick([25, 60, 200]);
    node.program = this.#program;
    node.sending = this.#sending;
    this.nodes.push(node);
    this.#wanted.add(number);
    return node;
  }

  #surroundings() {
    return {
      send: (from: SimNode, message: Message) => {
        const to = numberOf(message.to);
        if (this.nodes[to - 1]) this.network.send(from.number, to, message);
      },
      sendSnapshot: (from: SimNode, message: InstallSnapshot, snapshot: StoredSnapshot) =>
        this.#sendSnapshot(from, message, snapshot),
      onStep: (node: SimNode, output: Output) => {
        if (output.roleChange) this.#noteRole(node, output);
        if (output.roleChange?.role === 'leader' && !this.isHealing) this.onNewLeader?.(node);
        this.invariants.afterStep(node, output);
      },
      onApplied: (node: SimNode, entry: Parameters<Invariants['afterApply']>[1]) =>
        this.invariants.afterApply(node, entry),
      onNote: this.#note,
    };
  }

  #noteRole(node: SimNode, { roleChange }: Output): void {
    const { role, term, reason } = roleChange!;
    if (role === 'leader' || reason) this.#note(`${node.id} is ${role} in term ${term}${reason ? `: ${reason}` : ''}`);
  }

  /** A stream of chunks over a connection: whole or not at all. */
  #sendSnapshot(from: SimNode, asked: InstallSnapshot, snapshot: StoredSnapshot): void {
    const { to } = asked;
    const target = this.nodes[numberOf(to) - 1]!;
    const { raft } = from;
    const report = (ok: boolean) =>
      from.raft === raft && from.input({ type: 'snapshot_sent', to, index: snapshot.meta.index, ok });
    this.world.after(this.#random.int(5, 300), () => {
      const connected = from.raft === raft && target.isUp && target.id === to && !target.isPaused;
      const cut = this.network.isCut(from.number, target.number) || this.network.isCut(target.number, from.number);
      if (!connected || cut || this.#random.chance(this.network.weather.loss / 2)) return report(false);
      target.receiveSnapshot({ ...asked, snapshot: snapshot.meta }, snapshot.state);
      this.world.after(this.#random.int(1, 30), () => report(true));
    });
  }

  #startLater(node: SimNode, downMs: number): void {
    this.world.after(downMs, () => {
      if (!node.isUp && !this.isHealing) node.start();
    });
  }

  #emptyDisk(node: SimNode): void {
    if (!node.disk.full) return;
    node.disk.makeRoom();
    node.input({ type: 'disk', state: 'ok' });
  }

  #keep(): void {
    this.world.after(KEEPER_MS, () => {
      const { leader } = this;
      const change = leader && this.#nextChange(leader);
      if (change) leader.request((ref) => ({ type: 'change_membership', ref, change }));
      this.#recoverHurt();
      this.#keep();
    });
  }

  /** One step towards the wanted membership: stale incarnations out, new ones in as learners, learners promoted. */
  #nextChange(leader: SimNode): MembershipChange | null {
    const { voters, learners } = leader.raft!.status().membership;
    for (const id of [...voters, ...learners]) {
      const node = this.nodes[numberOf(id) - 1]!;
      // The only voter goes when there is another; the core refuses it, and asking again would keep the learners from promotion.
      if (voters.length === 1 && voters[0] === id) continue;
      if (!this.#wanted.has(node.number) || (node.isUp && node.id !== id)) return { op: 'remove', node: id };
    }
    for (const number of this.#wanted) {
      const node = this.nodes[number - 1]!;
      if (!node.isUp) continue;
      if (learners.includes(node.id)) return { op: 'promote', node: node.id };
      if (!voters.includes(node.id)) return { op: 'add_learner', node: node.id, info: { number } };
    }
    return null;
  }

  /** While membership is in motion anywhere, or too many are hurt already, one more loss could be one too many. */
  #mayHurt(node: SimNode): boolean {
    if (!this.#wanted.has(node.number) || this.#hurt.has(node)) return false;
    const members = [...this.#wanted].map((number) => this.nodes[number - 1]!);
    const agreed = members.every((member) => {
      const voters = member.raft?.status().membership.voters;
      return voters?.length === members.length && members.every(({ id }) => voters.includes(id));
    });
    // What a paused leader was asked for, it will do when it wakes: maybe remove those that are left.
    const sleeps = members.some((member) => member.isPaused && member.raft?.status().role === 'leader');
    return agreed && !sleeps && this.#hurt.size < Math.floor((members.length - 1) / 2);
  }

  #recoverHurt(): void {
    const { leader } = this;
    if (!leader) return;
    const { voters } = leader.raft!.status().membership;
    for (const node of this.#hurt) {
      const whole = node.raft?.status().mayVote && voters.includes(node.id) && !node.disk.isRotten;
      const removed = !this.#wanted.has(node.number) && !voters.includes(node.id);
      if (whole || removed) this.#hurt.delete(node);
    }
  }

  /** As many members as a majority can do without, of those that are not needed to make others whole. */
  #chooseDead(): Set<SimNode> {
    const members = [...this.#wanted].map((number) => this.nodes[number - 1]!);
    const spare = Math.floor((members.length - 1) / 2) - this.#hurt.size;
    const status = this.leader?.raft?.status();
    const voters = status?.membership.voters ?? [];
    // A membership that is not committed yet may die with its leader: the one before it has other majorities.
    const isSettled =
      status !== undefined &&
      status.membershipIndex <= status.commitIndex &&
      voters.length === members.length &&
      members.every((node) => voters.includes(node.id));
    if (!isSettled || spare <= 0) return new Set();
    return new Set(
      this.#random.shuffle(members.filter((node) => !this.#hurt.has(node))).slice(0, this.#random.int(0, spare)),
    );
  }
}

const numbers = new Map<NodeId, number>();

function numberOf(id: NodeId): number {
  const known = numbers.get(id);
  if (known !== undefined) return known;
  const number = Number(id.slice(0, id.indexOf('.')));
  numbers.set(id, number);
  return number;
}
