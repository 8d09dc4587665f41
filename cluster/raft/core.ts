/**
 * The consensus core: Raft as a function of its inputs. It knows no clock, randomness (beyond a seed), promise, disk or socket;
 * ticks, messages and reports of finished writes go in, and what must be written, sent, applied and answered comes out. The
 * sources are Ongaro's thesis (sections are cited where they matter) and the scars of its implementers: "scenario N", here and in
 * all of cluster/, is one of those that test/raft/README.md lists.
 *
 * THE DRIVER'S LOOP
 *
 *     raft = createRaft(config, initial, logReader)
 *     forever:
 *       collect inputs: ticks, messages, proposals, reads, finished writes and applies     (as many as are there)
 *       out = raft.step(inputs)
 *       1. send out.sendNow                              they promise nothing; a leader's appends overtake its own write
 *       2. queue out.write, if any, for the disk; queue out.sendAfterDurable behind it
 *       3. start a stream for each of out.snapshotsToSend; report snapshot_sent when it ended, well or not
 *       4. queue out.commit for the state machine: raft.entries(lo, hi, maxBytes), apply, report applied
 *       5. answer out.accepted (remember index → request), refused, unknown ("outcome unknown", never "failed"), reads
 *          (serve each once applied >= its index), transfer; note roleChange, membership, refilled
 *     the disk, one write after another in the order of their ids:
 *       one durable transaction: hardState, snapshot, truncateFrom, append; then send what is queued behind it and report
 *       persisted(id). Several queued writes may share a transaction.
 *
 * What the driver owes the core:
 * - `sendAfterDurable` leaves when every write handed out so far is durable, also when its own output has no write.
 * - A failed write is never reported persisted. An fsync error ends the process. A full disk: keep the write and all after it,
 *   input disk=full, retry in order, disk=ok when they are through.
 * - Entries of out.commit are durable here. A reply to a client waits until its entry is applied.
 * - Of an incoming snapshot, first take and verify every byte, then input the install_snapshot message, and keep the bytes
 *   until a write names that snapshot, the node's applied index passes it, or a newer one is input. Applying is then at rest.
 *   Installing is part of the write and sets the applied index; truncateFrom comes with it and removes the rest of the log.
 * - One outgoing snapshot stream per node: a new request for the same node replaces the old stream, which is not reported.
 *   Every other one is, with the index of the snapshot that was really sent, ok or not.
 * - The log may be purged through an index that a durable snapshot covers, never further. Leave some entries behind it,
 *   and what a running stream's receiver will need next, or a slow one will need snapshot after snapshot.
 * - Ticks come from a monotonic clock. After a pause, input the messages that piled up before the ticks, and few ticks.
 * - Messages come from authenticated connections (`from` is who it says), checked by codec/raft-messages.ts, with the id of
 *   this node as `to`. They may be lost, repeated and reordered.
 * - An exception out of `step` means a broken promise. Stop the process; do not step again.
 */
import {
  campaignNow,
  countOwnVote,
  onRequestVote,
  onRequestVoteReply,
  onTimeoutNow,
  suspect,
  tickElection,
} from './election.ts';
import { checkRefilled, onAppend, onHeartbeat, onInstallSnapshot, retryHeldSnapshot } from './follower.ts';
import { invariant } from './invariant.ts';
import type { Message } from './messages.ts';
import { Outbox } from './outbox.ts';
import { changeMembership, propose } from './proposals.ts';
import { majority } from './quorum.ts';
import { askLeader, onRead, onReadReply, onReadRequest, runReadRounds, tickAskedReads } from './reads.ts';
import {
  advanceCommit,
  onAppendReply,
  onHeartbeatReply,
  onPeerUnreachable,
  replicate,
  tickLeader,
} from './replication.ts';
import { becomeFollower, bestHeir, relinquish } from './roles.ts';
import { onSnapshotSent } from './snapshot.ts';
import { RaftState } from './state.ts';
import { statusOf } from './status.ts';
import { abortTransfer, beginTransfer, runTransfer, tickTransfer } from './transfer.ts';
import type {
  HardState,
  Index,
  InitialState,
  Input,
  LogReader,
  Membership,
  Output,
  Raft,
  RaftConfig,
  RoleChange,
  Write,
} from './types.ts';

/** Throws RaftConfigError for a setting that cannot work, RaftStartError for a log and state that do not fit together. */
export function createRaft(config: RaftConfig, initial: InitialState, log: LogReader): Raft {
  return new RaftCore(new RaftState(config, initial, log));
}

class RaftCore implements Raft {
  readonly #s: RaftState;
  #emittedRole: RoleChange;
  #emittedMembership: Membership;

  constructor(s: RaftState) {
    this.#s = s;
    this.#emittedRole = { role: s.role, term: s.term, leader: s.leader, reason: null };
    this.#emittedMembership = s.membership;
  }

  step(inputs: readonly Input[]): Output {
    for (const input of inputs) take(this.#s, input);
    settle(this.#s);
    return this.#output();
  }

  entries(lo: Index, hi: Index, maxBytes: number) {
    return this.#s.log.entries(lo, hi, maxBytes);
  }

  status() {
    return statusOf(this.#s);
  }

  #output(): Output {
    const s = this.#s;
    const { out } = s;
    s.out = new Outbox();
    return {
      write: takeWrite(s),
      sendNow: out.sendNow,
      sendAfterDurable: out.sendAfterDurable,
      snapshotsToSend: out.snapshotsToSend,
      commit: takeCommit(s),
      reads: out.reads,
      accepted: out.accepted,
      refused: out.refused,
      unknown: out.unknown,
      roleChange: this.#roleChange(out.reason),
      membership: this.#membershipChange(),
      transfer: out.transfer,
      refilled: out.refilled,
    };
  }

  #roleChange(reason: string | null): RoleChange | null {
    const { role, term, leader } = this.#s;
    const last = this.#emittedRole;
    if (reason === null && role === last.role && term === last.term && leader === last.leader) return null;
    this.#emittedRole = { role, term, leader, reason };
    return this.#emittedRole;
  }

  #membershipChange(): Membership | null {
    if (this.#s.membership === this.#emittedMembership) return null;
    this.#emittedMembership = this.#s.membership;
    return this.#emittedMembership;
  }
}

function take(s: RaftState, input: Input): void {
  switch (input.type) {
    case 'tick':
      return tick(s);
    case 'message':
      return onMessage(s, input.message);
    case 'propose':
      return propose(s, input.proposals);
    case 'read':
      return onRead(s, input.ref);
    case 'persisted':
      return onPersisted(s, input.writeId);
    case 'applied':
      return onApplied(s, input.upTo);
    case 'change_membership':
      return changeMembership(s, input.ref, input.change);
    case 'transfer_leadership':
      return beginTransfer(s, input.ref, input.to);
    case 'abort_transfer':
      return abortTransfer(s, 'aborted');
    case 'snapshot_sent':
      return onSnapshotSent(s, input.to, input.index, input.ok);
    case 'unreachable':
      suspect(s, input.node);
      return onPeerUnreachable(s, input.node);
    case 'disk':
      return onDisk(s, input.state === 'full');
    case 'step_down':
      if (s.role === 'leader') relinquish(s, 'asked to step down');
      return;
    case 'campaign':
      return campaignNow(s);
  }
}

function onDisk(s: RaftState, full: boolean): void {
  s.diskFull = full;
  if (!full || s.role === 'follower') return;
  if (s.role === 'leader') handOverWhenFull(s);
  else becomeFollower(s, s.term, null, 'disk full');
}

/**
 * A leader that cannot write goes on serving reads while nobody could be elected: a lone voter, or so many full disks that the
 * rest is no majority (a node that cannot write cannot vote).
 */
function handOverWhenFull(s: RaftState): void {
  const heir = bestHeir(s);
  const electors = s.membership.voters.filter((node) => {
    const peer = s.peers.get(node);
    return peer !== undefined && s.isActive(peer) && peer.fit;
  });
  const isElectable =
    heir !== null && heir.match >= s.commit && electors.length >= majority(s.membership.voters.length);
  if (isElectable) relinquish(s, 'disk full');
}

function tick(s: RaftState): void {
  s.now++;
  if (s.role !== 'leader') {
    tickAskedReads(s);
    tickElection(s);
  } else if (s.diskStalled && !s.diskFull) {
    relinquish(s, 'disk stalled');
  } else {
    tickTransfer(s);
    tickLeader(s);
    if (s.role === 'leader' && s.diskFull) handOverWhenFull(s);
  }
}

/** Compares terms before anything else: a later one ends the present, an earlier one is told so. */
function onMessage(s: RaftState, m: Message): void {
  if (m.to !== s.id) return;
  if (m.type === 'request_vote') return onRequestVote(s, m);
  const isPreGrant = m.type === 'request_vote_reply' && m.pre && m.granted;
  if (m.term > s.term && !isPreGrant) {
    const fromLeader = m.type === 'append' || m.type === 'heartbeat' || m.type === 'install_snapshot';
    becomeFollower(s, m.term, fromLeader ? m.from : null, `${m.from} is in term ${m.term}`);
  }
  if (m.term < s.term) return onStaleMessage(s, m);
  switch (m.type) {
    case 'append':
      return onAppend(s, m);
    case 'heartbeat':
      return onHeartbeat(s, m);
    case 'install_snapshot':
      return onInstallSnapshot(s, m);
    case 'timeout_now':
      return onTimeoutNow(s);
    case 'request_vote_reply':
      return onRequestVoteReply(s, m);
    case 'append_reply':
      return onAppendReply(s, m);
    case 'heartbeat_reply':
      return onHeartbeatReply(s, m);
    case 'read_request':
      return onReadRequest(s, m);
    case 'read_reply':
      return onReadReply(s, m);
  }
}

/** A leader of an earlier term must learn the later one, or a node that once went ahead could never be led again. */
function onStaleMessage(s: RaftState, m: Message): void {
  if (m.type !== 'append' && m.type !== 'heartbeat' && m.type !== 'install_snapshot') return;
  const { boot } = s.config;
  const reply = { type: 'heartbeat_reply', from: s.id, to: m.from, term: s.term, boot, round: 0 } as const;
  s.out.sendNow.push({ ...reply, fit: s.fit, commit: s.commit });
}

function onPersisted(s: RaftState, writeId: number): void {
  invariant(writeId <= s.lastWriteId, `write ${writeId} persisted, but the last one handed out is ${s.lastWriteId}`);
  let durable: HardState | null = null;
  while (s.writes.length > 0 && s.writes[0]!.id <= writeId) {
    const write = s.writes.shift()!;
    durable = write.hardState;
    s.log.persisted(write.mark);
    if (write.snapshot !== null) s.applied = Math.max(s.applied, write.snapshot.index);
  }
  if (durable !== null) countOwnVote(s, durable);
}

function onApplied(s: RaftState, upTo: Index): void {
  invariant(upTo <= s.handedOut, `applied ${upTo}, but only entries to ${s.handedOut} were handed out`);
  s.applied = Math.max(s.applied, upTo);
}

/** Everything that is done once per step, however many inputs it had. */
function settle(s: RaftState): void {
  retryHeldSnapshot(s);
  if (s.role === 'leader') {
    advanceCommit(s);
    runReadRounds(s);
    runTransfer(s);
    replicate(s);
    // Not before the change is committed, and the others have been told (thesis §4.2.2, scenario 27).
    if (!s.isVoter && s.memberships.currentIndex <= s.commit) relinquish(s, 'no longer a voter');
  } else {
    askLeader(s);
    checkRefilled(s);
  }
}

function takeWrite(s: RaftState): Write | null {
  const emitted = s.emittedHardState;
  const changed = s.term !== emitted.term || s.vote !== emitted.vote;
  const { truncateFrom, append } = s.log.takeUnwritten();
  if (!changed && truncateFrom === null && append.length === 0) return null;
  const hardState: HardState = changed ? { term: s.term, vote: s.vote } : emitted;
  const snapshot = s.unwrittenSnapshot;
  s.emittedHardState = hardState;
  s.unwrittenSnapshot = null;
  s.lastWriteId++;
  s.writes.push({ id: s.lastWriteId, atTick: s.now, mark: s.log.mark(), hardState, snapshot });
  return { id: s.lastWriteId, hardState: changed ? hardState : null, snapshot, truncateFrom, append };
}

/** Only what is durable here as well: state never runs ahead of the log that explains it (scenario 40). */
function takeCommit(s: RaftState): Output['commit'] {
  const hi = Math.min(s.commit, s.log.stable);
  if (s.heldSnapshot !== null || hi <= s.handedOut) return null;
  const lo = s.handedOut + 1;
  s.handedOut = hi;
  return { lo, hi: hi + 1 };
}
