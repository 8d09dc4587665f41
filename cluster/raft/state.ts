/**
 * Everything one consensus node knows, in one place; the role files (election.ts, replication.ts, follower.ts, reads.ts …)
 * are the functions over it. Owns the data and the questions that several roles ask of it; changes roles nowhere (roles.ts).
 */
import { checkConfig } from './config.ts';
import { invariant } from './invariant.ts';
import { RaftLog, type WriteMark } from './log.ts';
import { MembershipHistory } from './membership.ts';
import type { InstallSnapshot } from './messages.ts';
import { Outbox } from './outbox.ts';
import { Progress } from './progress.ts';
import { Random } from './random.ts';
import type {
  HardState,
  Index,
  InitialState,
  LogReader,
  Membership,
  NodeId,
  RaftConfig,
  Ref,
  Role,
  SnapshotMeta,
  Term,
} from './types.ts';

/** The log at start does not fit what the state machine or the hard state says (scenario 40). */
export class RaftStartError extends Error {
  override readonly name = 'RaftStartError';
}

/** A write that was handed out and is not durable yet. */
interface PendingWrite {
  readonly id: number;
  readonly atTick: number;
  readonly mark: WriteMark;
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta | null;
}

/** A proposal of this leader that has not committed. */
interface PendingProposal {
  readonly ref: Ref;
  readonly index: Index;
  readonly sizeBytes: number;
}

/** A read that waits on the leader: its own, or one that a follower asked for. */
export type WaitingRead = { readonly ref: Ref } | { readonly from: NodeId; readonly boot: number; readonly id: number };

export interface Transfer {
  readonly ref: Ref;
  readonly to: NodeId;
  readonly startTick: number;
  told: boolean;
}

export class RaftState {
  readonly config: RaftConfig;
  readonly id: NodeId;
  readonly random: Random;
  readonly log: RaftLog;
  readonly reader: LogReader;
  readonly memberships: MembershipHistory;
  out = new Outbox();
  /** Ticks since start. */
  now = 0;

  term: Term;
  vote: NodeId | null;
  role: Role = 'follower';
  leader: NodeId | null = null;
  mayVote: boolean;
  diskFull = false;

  /** Invariant: applied <= handedOut <= commit <= last. */
  commit: Index;
  /** Last index of a commit range handed to the driver. */
  handedOut: Index;
  applied: Index;

  /** Ticks since the leader was heard, or since the last campaign. */
  silentTicks = 0;
  timeoutTicks: number;
  /** The link to the leader broke: its lease on this node's vote is void. */
  leaderSuspected = false;
  votes = new Map<NodeId, boolean>();
  /** A received snapshot that waits for the running apply to end (scenario 21). */
  heldSnapshot: InstallSnapshot | null = null;
  /** Refilling: once the leader's commit index as of this message is here and durable, the log is whole. */
  refillGoal: { readonly index: Index; readonly term: Term } | null = null;

  /** Leader only: the other members. */
  readonly peers = new Map<NodeId, Progress>();
  heartbeatTicks = 0;
  /** Index of this leader's no-op. */
  termStart: Index = 0;
  pending: PendingProposal[] = [];
  uncommittedBytes = 0;
  transfer: Transfer | null = null;
  /** Newest read round of this term; 0: none yet. */
  round = 0;
  waitingReads: WaitingRead[] = [];
  rounds: { readonly round: number; readonly index: Index; readonly reads: readonly WaitingRead[] }[] = [];

  /** Any other node: reads that are sent to the leader with the next output, and those that it has not answered. */
  unsentReads: Ref[] = [];
  readonly askedReads = new Map<number, { readonly refs: readonly Ref[]; readonly atTick: number }>();
  lastReadId = 0;

  writes: PendingWrite[] = [];
  lastWriteId = 0;
  emittedHardState: HardState;
  /** A snapshot was accepted in this step. */
  unwrittenSnapshot: SnapshotMeta | null = null;

  constructor(config: RaftConfig, initial: InitialState, reader: LogReader) {
    checkConfig(config);
    this.config = config;
    this.id = config.id;
    this.random = new Random(config.seed);
    this.reader = reader;
    this.log = new RaftLog(reader, config.cacheBytesMax);
    const snapshot = reader.snapshot();
    checkStart(initial, snapshot, this.log);
    this.term = initial.hardState.term;
    this.vote = initial.hardState.vote;
    this.emittedHardState = initial.hardState;
    this.mayVote = initial.mayVote;
    this.applied = initial.applied;
    this.commit = Math.min(Math.max(snapshot.index, initial.commit, initial.applied), this.log.last);
    this.handedOut = this.applied;
    this.memberships = new MembershipHistory(snapshot.index, snapshot.membership);
    for (const entry of reader.configEntries()) {
      if (entry.index > snapshot.index) this.memberships.append(entry);
    }
    this.memberships.commitTo(this.commit);
    this.timeoutTicks = this.drawTimeout();
  }

  get membership(): Membership {
    return this.memberships.current;
  }

  get isVoter(): boolean {
    return this.membership.voters.includes(this.id);
  }

  /**
   * May stand for election: also while its removal is in the log and not committed. Maybe it alone has that entry, and the
   * others, whose logs are shorter, can elect nobody without it (thesis §4.2.2).
   */
  get mayStand(): boolean {
    return this.mayVote && this.memberships.hasVoter(this.id);
  }

  /** This leader has committed an entry of its own term: its commit index is now the cluster's (scenarios 25, 31). */
  get committedInTerm(): boolean {
    return this.role === 'leader' && this.commit >= this.termStart;
  }

  /** The oldest write has waited too long (scenario 9). */
  get diskStalled(): boolean {
    const oldest = this.writes[0];
    return oldest !== undefined && this.now - oldest.atTick >= this.config.diskStallTicks;
  }

  /** Able to vote and to lead. */
  get fit(): boolean {
    return this.mayVote && !this.diskFull && !this.diskStalled;
  }

  drawTimeout(): number {
    return this.config.electionTicks + this.random.below(this.config.electionTicks);
  }

  isActive(peer: Progress): boolean {
    return this.now - peer.contactTick < this.config.electionTicks;
  }

  newProgress(id: NodeId): Progress {
    return new Progress(id, this.log.last + 1, this.now, this.config);
  }

  commitTo(index: Index): void {
    if (index <= this.commit) return;
    invariant(index <= this.log.last, `commit ${index} beyond the log's end ${this.log.last}`);
    this.commit = index;
    this.memberships.commitTo(index);
  }
}

function checkStart(initial: InitialState, snapshot: SnapshotMeta, log: RaftLog): void {
  if (log.last < snapshot.index) {
    throw new RaftStartError(`the log ends at ${log.last}, before its snapshot at ${snapshot.index}`);
  }
  if (initial.hardState.term < log.lastTerm) {
    throw new RaftStartError(`the stored term ${initial.hardState.term} is older than the log's ${log.lastTerm}`);
  }
  if (initial.applied < snapshot.index) {
    throw new RaftStartError(
      `the state is applied through ${initial.applied}, before its snapshot at ${snapshot.index}`,
    );
  }
  if (initial.mayVote && initial.applied > log.last) {
    throw new RaftStartError(`the state is applied through ${initial.applied}, but the log ends at ${log.last}`);
  }
}
