// The embedded engine: our Raft behind the Engine interface. Joins driver, pending commands, read barriers and links; a follower
// passes commands to the leader, which stamps their time. Knows no method of the rpc-server.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import {
  encodeOutcomes,
  encodeProposals,
  type ForwardedProposal,
  type Outcome,
  PROPOSE_FRAME,
  PROPOSED_FRAME,
} from '../../codec/tracker-link.ts';
import type { InstallSnapshot, Message } from '../raft/messages.ts';
import type {
  Input,
  Membership,
  MembershipChange,
  NodeId,
  Output,
  Proposal,
  Ref,
  RefusalReason,
  Role,
  RoleChange,
} from '../raft/types.ts';
import { encodeCommand, stampCommand } from '../state/commands.ts';
import type { State } from '../state/state.ts';
import type { Applied, Command, Reply } from '../state/types.ts';
import type { Store } from '../store/store.ts';
import { Changes, type TransferOutcome } from './changes.ts';
import { Driver, type DriverHost } from './driver.ts';
import type { Engine, EngineStatus, Proposed, ProposeOptions } from './engine.ts';
import { inFrames, receive } from './forwarding.ts';
import type { AcceptedLink, Links } from './links.ts';
import { PendingCommands, sizeOf } from './pending-commands.ts';
import { ReadBarriers } from './read-barriers.ts';
import { rosterOf } from './roster.ts';
import { RAFT_SETTINGS, SWEEP_TICKS } from './settings.ts';

const DRAIN_LOOK_MS = 5;

export interface RaftEngineOptions {
  readonly store: Store;
  /** Restored from the newest snapshot. */
  readonly state: State;
  readonly links: Links;
  readonly log: Logger;
  readonly onRoleChange: (change: RoleChange) => void;
  readonly onMembership: (membership: Membership) => void;
  readonly onSnapshotToSend: (message: InstallSnapshot) => void;
  readonly onTick: () => void;
  readonly onFatal: (error: unknown) => void;
}

export class RaftEngine implements Engine, DriverHost {
  readonly driver: Driver;
  /** This incarnation of this tracker, as the consensus core knows it. */
  readonly id: NodeId;
  readonly #options: RaftEngineOptions;
  readonly #commands = new PendingCommands();
  readonly #reads = new ReadBarriers();
  readonly #watchers = new Set<(applied: Applied | null) => void>();
  /** Commands of this leader's log that somebody waits for, by index. */
  readonly #refAtIndex = new Map<number, Ref>();
  readonly #indexOfRef = new Map<Ref, number>();
  /** Forwarded to us in this turn. */
  #forwarded: Proposal[] = [];
  readonly #changes = new Changes();
  #role: Role = 'follower';
  #leader: NodeId | null = null;
  #membership: Membership;
  #ticks = 0;

  constructor(options: RaftEngineOptions) {
    const { store, state } = options;
    this.#options = options;
    this.id = store.identity.incarnation;
    const config = { ...RAFT_SETTINGS, id: this.id, boot: store.identity.boot, seed: randomInt(2 ** 32) };
    this.driver = new Driver(store, state, config, this);
    this.#membership = this.driver.status().membership;
  }

  get state(): State {
    return this.driver.state;
  }

  get isLeader(): boolean {
    return this.#role === 'leader';
  }

  /** Commands of anyone that have no answer yet. */
  get pendingCount(): number {
    return this.#commands.size;
  }

  /** A full disk keeps entries from being taken, while another tracker leads on. */
  get isStale(): boolean {
    return this.driver.isDiskFull && this.#leader !== null && !this.isLeader;
  }

  get membership(): Membership {
    return this.#membership;
  }

  start(): void {
    this.#options.onMembership(this.#membership);
    this.driver.start();
  }

  stop(): void {
    this.driver.stop();
  }

  propose(command: Proposed, { timeoutMs, manifest }: ProposeOptions): Promise<Reply> {
    const data = encodeCommand({ ...command, at: 0 } as Command);
    const reply = this.#commands.add(data, manifest ?? null, timeoutMs);
    this.driver.wake();
    return reply;
  }

  readBarrier(timeoutMs: number): Promise<void> {
    const passed = this.#reads.add(timeoutMs);
    this.driver.wake();
    return passed;
  }

  watch(listener: (applied: Applied | null) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  status(): EngineStatus {
    const { role, term, lastIndex, commitIndex, membership } = this.driver.status();
    return {
      role: this.#shownRole(role),
      leader: this.#leader === null ? null : this.#numberOf(this.#leader),
      term,
      lastIndex,
      commitIndex,
      appliedIndex: this.state.index,
      members: rosterOf(membership),
    };
  }

  /** Asks the core for a membership change; resolves with null once it is committed, or with why not. */
  change(change: MembershipChange): Promise<RefusalReason | null> {
    const ref = this.#commands.nextRef();
    return this.#changes.change(ref, () => this.driver.input({ type: 'change_membership', ref, change }));
  }

  /** Another voter leads: `to`, or whoever is best fit. */
  transfer(to: NodeId | null): Promise<TransferOutcome> {
    return this.#changes.transfer(this.#commands.nextRef(), to, (input) => this.driver.input(input));
  }

  /**
   * Before a planned stop: another voter leads, heard to do so, and what waits for an answer here gets it. Takes no longer than
   * `maxMs`.
   */
  async handOver(maxMs: number): Promise<void> {
    const deadlineMs = performance.now() + maxMs;
    const handsOver = this.isLeader && this.#membership.voters.length > 1;
    if (handsOver) await Promise.race([this.transfer(null), sleep(maxMs, undefined, { ref: false })]);
    // A word in the heir's term ends ours, maybe before its request for our vote is here: that vote may be the one it needs.
    const isOver = () => this.#commands.size === 0 && !(handsOver && this.#leader === null);
    while (!isOver() && performance.now() < deadlineMs) await sleep(DRAIN_LOOK_MS);
  }

  // What links bring.

  onMessage(message: Message): void {
    this.driver.input({ type: 'message', message });
  }

  onProposals(from: AcceptedLink, proposals: ForwardedProposal[]): void {
    for (const [remoteRef, data, manifest] of proposals) {
      const ref = this.#commands.addForwarded(from, remoteRef);
      if (receive(data, manifest)) this.#forwarded.push({ ref, data, sizeBytes: sizeOf(data) });
      else this.#commands.refused(ref, 'malformed');
    }
    this.driver.wake();
  }

  onOutcomes(outcomes: Outcome[]): void {
    for (const outcome of outcomes) this.#commands.outcome(outcome);
  }

  onLinkDown(node: NodeId): void {
    if (node === this.#leader) this.#commands.lostLeader();
    this.driver.input({ type: 'unreachable', node });
  }

  onLinkUp(): void {
    this.driver.wake();
  }

  // What the driver asks and tells.

  send(message: Message): void {
    this.#options.links.send(message);
  }

  flush(): void {
    this.#options.links.flush();
  }

  collect(): readonly Input[] {
    const inputs: Input[] = [];
    const proposals = this.#forwarded;
    this.#forwarded = [];
    if (this.#commands.hasWaiting) {
      if (this.isLeader) {
        for (const { ref, data } of this.#commands.takeWaiting(false))
          proposals.push({ ref, data, sizeBytes: sizeOf(data) });
      } else {
        this.#forward();
      }
    }
    if (proposals.length > 0) {
      const nowMs = Date.now();
      for (const { data } of proposals) stampCommand(data, nowMs);
      inputs.push({ type: 'propose', proposals });
    }
    if (this.#reads.hasWaiting) {
      const ref = this.#commands.nextRef();
      this.#reads.take(ref);
      inputs.push({ type: 'read', ref });
    }
    return inputs;
  }

  onOutput(output: Output): void {
    for (const { ref, index } of output.accepted) {
      if (this.#changes.accepted(ref, index)) continue;
      this.#refAtIndex.set(index, ref);
      this.#indexOfRef.set(ref, index);
    }
    for (const { ref, reason } of output.refused) {
      if (!this.#changes.refused(ref, reason)) this.#commands.refused(ref, reason);
    }
    for (const ref of output.unknown) this.#forget(ref);
    for (const read of output.reads) this.#reads.answered(read.ref, read.index, this.state.index);
    if (output.roleChange) this.#onRoleChange(output.roleChange);
    if (output.membership) {
      this.#membership = output.membership;
      this.#options.onMembership(output.membership);
    }
    if (output.transfer) this.#changes.transferred(output.transfer);
    if (output.commit) this.#changes.committed(output.commit.hi - 1);
    for (const message of output.snapshotsToSend) this.#options.onSnapshotToSend(message);
  }

  onApplied(applied: Applied): void {
    const ref = this.#refAtIndex.get(applied.index);
    if (ref !== undefined) {
      this.#refAtIndex.delete(applied.index);
      this.#indexOfRef.delete(ref);
      this.#commands.applied(ref, applied.reply);
    }
    for (const watcher of this.#watchers) watcher(applied);
  }

  onStateReplaced(): void {
    for (const watcher of this.#watchers) watcher(null);
  }

  onTurnEnd(): void {
    this.#reads.appliedTo(this.state.index);
    for (const [from, outcomes] of this.#commands.takeAnswers()) {
      for (const payload of encodeOutcomes(outcomes)) from.send(PROPOSED_FRAME, payload);
    }
  }

  onTick(ticks: number): void {
    this.#ticks += ticks;
    this.#reads.retry();
    if (this.#ticks >= SWEEP_TICKS) {
      this.#ticks = 0;
      const nowMs = performance.now();
      this.#commands.sweep(nowMs, this.driver.isDiskFull);
      this.#reads.sweep(nowMs);
    }
    this.#options.onTick();
  }

  onFatal(error: unknown): void {
    this.#options.onFatal(error);
  }

  /** To the leader, when we know one and have a link to it; otherwise they go on waiting. */
  #forward(): void {
    const rpc = this.#leader === null ? null : this.#options.links.byNode(this.#leader)?.rpc;
    if (!rpc) return;
    for (const batch of inFrames(this.#commands.takeWaiting(true))) rpc.send(PROPOSE_FRAME, encodeProposals(batch));
  }

  /** Accepted earlier, and leadership was lost since. */
  #forget(ref: Ref): void {
    if (this.#changes.lost(ref)) return;
    const index = this.#indexOfRef.get(ref);
    this.#indexOfRef.delete(ref);
    if (index !== undefined) this.#refAtIndex.delete(index);
    this.#commands.unknown(ref);
  }

  #onRoleChange(change: RoleChange): void {
    const { role, leader, term, reason } = change;
    if (leader !== this.#leader) this.#commands.lostLeader();
    this.#role = role;
    this.#leader = leader;
    const shown = { role, term, leader: leader === null ? null : this.#numberOf(leader), reason: reason ?? undefined };
    this.#options.log.info(shown, role === 'leader' ? 'leads now' : 'role changed');
    this.#reads.retry();
    this.driver.wake();
    this.#options.onRoleChange(change);
  }

  #numberOf(node: NodeId): number | null {
    const number = this.#membership.info[node]?.number;
    return typeof number === 'number' ? number : null;
  }

  #shownRole(role: Role): EngineStatus['role'] {
    const { voters, info } = this.#membership;
    if (!voters.includes(this.id)) return info[this.id]?.removed ? 'removed' : 'learner';
    return role === 'pre_candidate' ? 'candidate' : role;
  }
}
