/**
 * The vocabulary of the consensus core: what a driver hands in (`Input`, `LogReader`, `InitialState`) and what it gets back
 * (`Output`). Owns shapes only. core.ts describes the loop that a driver must run.
 *
 * All indexes, terms, sizes and counts are safe non-negative integers; index 0 and term 0 stand for "before the log".
 */
import type { InstallSnapshot, Message } from './messages.ts';

/**
 * One incarnation of one tracker, opaque here. A tracker whose disk was wiped comes back under a new id: it is a new member,
 * so nothing that the old one promised can be held against it or counted for it. Its number and address are `NodeInfo`.
 */
export type NodeId = string;
export type Index = number;
export type Term = number;

/** The driver's handle for a request; unique among its pending requests. Returned untouched. */
export type Ref = number;

/** What the driver stores about a member (tracker number, address). The core carries it and never looks inside. */
export type NodeInfo = Readonly<Record<string, string | number>>;

/** Who takes part. Written whole into a `config` entry; in force from the moment that entry is appended (thesis §4.1). */
export interface Membership {
  readonly voters: readonly NodeId[];
  /** Receive the log, never counted in a quorum. */
  readonly learners: readonly NodeId[];
  /** One record for each voter and learner that has one; others are notes about former and future members. */
  readonly info: Readonly<Record<NodeId, NodeInfo>>;
}

export type EntryKind = 'noop' | 'command' | 'config';

/** One log entry. Immutable; the same object travels through log, messages and writes. */
export interface Entry {
  readonly index: Index;
  readonly term: Term;
  readonly kind: EntryKind;
  /** command: the proposer's bytes. config: `encodeMembership`. noop: empty. */
  readonly data: Uint8Array;
  /** What limits count: data.length plus an attachment that lives outside the core (a manifest). >= data.length. */
  readonly sizeBytes: number;
}

/** Must be durable before any message of the same output's `sendAfterDurable` leaves. */
export interface HardState {
  readonly term: Term;
  /** Whom this node voted for in `term`. */
  readonly vote: NodeId | null;
}

/** A snapshot is the applied state through `index`; its bytes are the driver's. */
export interface SnapshotMeta {
  readonly index: Index;
  readonly term: Term;
  /** The membership in force at `index`. */
  readonly membership: Membership;
}

/**
 * Read-only, synchronous access to the durable log. The core asks only for what the driver has already reported `persisted`
 * (or what was there at start), and keeps everything newer itself. Damage found while reading is thrown: the throw leaves
 * `step`, after which the core must be discarded.
 */
export interface LogReader {
  /** First index whose entry can be read; `lastIndex() + 1` when none can (all purged, or a new log). */
  firstIndex(): Index;
  /** Last durable index; that of the snapshot when the log holds nothing after it; 0 for a new log. */
  lastIndex(): Index;
  /** Term at `index`, for firstIndex()-1 <= index <= lastIndex(); null outside. term(0) is 0 in a log never purged. */
  term(index: Index): Term | null;
  /**
   * Entries lo..hi-1, in order, stopping before the sum of sizeBytes exceeds maxBytes, but never with less than one.
   * Called with firstIndex() <= lo < hi <= lastIndex()+1.
   */
  entries(lo: Index, hi: Index, maxBytes: number): readonly Entry[];
  /** Every entry of kind `config` in firstIndex()..lastIndex(), ascending. Called once, at start. */
  configEntries(): readonly Entry[];
  /**
   * The newest durable snapshot. A cluster is founded by giving each node {index 0, term 0, the founding membership};
   * a node that waits to be added starts with {index 0, term 0, no voters, no learners}.
   */
  snapshot(): SnapshotMeta;
}

/** Times are in ticks: the driver decides how long one is (and uses a monotonic clock). Sizes count Entry.sizeBytes. */
export interface RaftConfig {
  readonly id: NodeId;
  /** Higher at every start of this node (a stored counter); >= 1. */
  readonly boot: number;
  /** Seed for election timeouts; draw a fresh one at each start. 32 bits are used. */
  readonly seed: number;
  /** A follower campaigns after electionTicks..2*electionTicks-1 ticks of silence. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** The slowest round trip between members that is normal. electionTicks must be >= 3 * (heartbeatTicks + this). */
  readonly roundTripTicks: number;
  /** A leader whose oldest write has waited this long steps down. */
  readonly diskStallTicks: number;
  /** Largest entry that may be proposed. */
  readonly entryBytesMax: number;
  /** Entries of one append message; a single larger entry still travels alone. */
  readonly appendBytesMax: number;
  /** Unacknowledged append messages, and their bytes, per follower. */
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Proposals of this leader that are not committed yet; beyond it proposals are refused. */
  readonly uncommittedBytesMax: number;
  /** Memory for durable entries that followers and the state machine are about to ask for. */
  readonly cacheBytesMax: number;
  /** Reads waiting for a round on this node; beyond it they are refused. */
  readonly pendingReadsMax: number;
}

/** What the driver knows at start, besides the log. */
export interface InitialState {
  readonly hardState: HardState;
  /** A stored lower bound of the commit index; 0 when unknown. Clamped to the log. */
  readonly commit: Index;
  /** How far the state machine is: never before the snapshot, nor (unless mayVote is false) after the log (scenario 40). */
  readonly applied: Index;
  /**
   * False: the log is damaged or shorter than what was promised. The node then neither votes nor leads until its log again
   * holds whatever it may have promised (`Output.refilled`); store the flag until then.
   */
  readonly mayVote: boolean;
}

export interface Proposal {
  readonly ref: Ref;
  readonly data: Uint8Array;
  /** >= data.length; see Entry.sizeBytes. */
  readonly sizeBytes: number;
}

export type MembershipChange =
  /** A new member that receives the log and does not count. Adding one that is a learner already renews its info. */
  | { readonly op: 'add_learner'; readonly node: NodeId; readonly info: NodeInfo }
  /** Learner → voter; refused while the learner is far behind. */
  | { readonly op: 'promote'; readonly node: NodeId }
  /** Voter → learner. */
  | { readonly op: 'demote'; readonly node: NodeId }
  /** A member's number or address; changes no quorum. */
  | { readonly op: 'set_info'; readonly node: NodeId; readonly info: NodeInfo }
  /** Information about someone who is no member (yet, or any more): the core carries it, nothing else follows. */
  | { readonly op: 'note'; readonly node: NodeId; readonly info: NodeInfo }
  /** Of a member, or of a note. `note`, when given, stays in its place. */
  | { readonly op: 'remove'; readonly node: NodeId; readonly note?: NodeInfo };

export type Input =
  | { readonly type: 'tick' }
  /** From an authenticated connection of `message.from`; addressed to this node. */
  | { readonly type: 'message'; readonly message: Message }
  | { readonly type: 'propose'; readonly proposals: readonly Proposal[] }
  /** A linearizable read: answered in Output.reads, on any node that knows a leader. */
  | { readonly type: 'read'; readonly ref: Ref }
  /** Every write with an id up to this one is durable. */
  | { readonly type: 'persisted'; readonly writeId: number }
  /** The state machine has applied everything through `upTo`. */
  | { readonly type: 'applied'; readonly upTo: Index }
  | { readonly type: 'change_membership'; readonly ref: Ref; readonly change: MembershipChange }
  /** Hand leadership to `to`, or to the best voter when null. Ends in Output.transfer. */
  | { readonly type: 'transfer_leadership'; readonly ref: Ref; readonly to: NodeId | null }
  | { readonly type: 'abort_transfer' }
  /** How Output.snapshotsToSend went: ok when the receiver's core was given the message. */
  | { readonly type: 'snapshot_sent'; readonly to: NodeId; readonly index: Index; readonly ok: boolean }
  /** The link to `node` broke. A lost leader is suspected at once instead of after a whole election timeout. */
  | { readonly type: 'unreachable'; readonly node: NodeId }
  /** full: no proposals, votes, campaigns or new entries; leadership is handed over as soon as someone can have it. The driver keeps unwritten writes, in order. */
  | { readonly type: 'disk'; readonly state: 'ok' | 'full' }
  /** Give up leadership (a node that finds itself unfit); the best follower is asked to campaign. */
  | { readonly type: 'step_down' }
  /** As if the election timeout had passed. For tests and for a node that knows it is alone. */
  | { readonly type: 'campaign' };

/**
 * What must become durable, in one transaction, in this order: hardState, truncateFrom, snapshot, append. Writes are made
 * in the order of their ids and reported back by `persisted`.
 */
export interface Write {
  /** 1, 2, 3 … since start. */
  readonly id: number;
  readonly hardState: HardState | null;
  /** Replace the state by this received snapshot; the log continues after its index. Comes with truncateFrom. */
  readonly snapshot: SnapshotMeta | null;
  /** Delete every entry at and after this index before appending. Never at or below the commit index. */
  readonly truncateFrom: Index | null;
  /** In order, without gaps. */
  readonly append: readonly Entry[];
}

export type RefusalReason =
  | 'not_leader'
  | 'transferring'
  /** Larger than entryBytesMax. */
  | 'too_large'
  /** uncommittedBytesMax is reached, or pendingReadsMax: try again soon. */
  | 'overloaded'
  | 'disk_full'
  /** This leader has committed nothing in its term yet (scenario 25). */
  | 'no_commit_in_term'
  | 'change_in_flight'
  /** The learner to promote, or the voter to hand over to, is too far behind or silent. */
  | 'behind'
  /** The change makes no sense: unknown member, last voter, already so. */
  | 'invalid_change'
  /** Too few of the voters that would be left are up and fit: nothing could be decided any more. */
  | 'unsafe_change'
  /** A read: the leader changed or did not answer in time. Ask again. */
  | 'read_lost';

export interface Refusal {
  readonly ref: Ref;
  readonly reason: RefusalReason;
}

export interface Accepted {
  readonly ref: Ref;
  readonly index: Index;
  readonly term: Term;
}

export type ReadResult =
  /** Serve it once the state machine has applied `index`. */
  | { readonly ref: Ref; readonly index: Index }
  | { readonly ref: Ref; readonly index: null; readonly reason: RefusalReason };

export type Role = 'follower' | 'pre_candidate' | 'candidate' | 'leader';

export interface RoleChange {
  readonly role: Role;
  readonly term: Term;
  readonly leader: NodeId | null;
  /** Why leadership was lost, in words for a log; null otherwise. */
  readonly reason: string | null;
}

/** One step's results. Every list may be empty. */
export interface Output {
  readonly write: Write | null;
  readonly sendNow: readonly Message[];
  /** Leave when every write handed out so far, this output's included, is durable; in order. */
  readonly sendAfterDurable: readonly Message[];
  /**
   * Stream that snapshot's bytes to `to`; there, when all are verified, this message is input. Then report `snapshot_sent`
   * with `snapshot.index`. A newer snapshot may be sent in its place (with its own meta in the message), the term stays.
   */
  readonly snapshotsToSend: readonly InstallSnapshot[];
  /** Newly committed and locally durable: lo..hi-1. Apply in order, then report `applied`. */
  readonly commit: { readonly lo: Index; readonly hi: Index } | null;
  readonly reads: readonly ReadResult[];
  /** Proposals and membership changes now in this leader's log. They are done when `commit` passes their index. */
  readonly accepted: readonly Accepted[];
  /** Did not and will not happen. */
  readonly refused: readonly Refusal[];
  /** Accepted earlier, but leadership was lost before they committed: they may or may not happen. */
  readonly unknown: readonly Ref[];
  readonly roleChange: RoleChange | null;
  /** The membership now in force, when it changed (also back, by truncation). */
  readonly membership: Membership | null;
  readonly transfer: {
    readonly ref: Ref;
    readonly to: NodeId;
    readonly outcome: 'done' | 'timeout' | 'aborted';
  } | null;
  /** The damaged log is whole again: forget the stored flag of InitialState.mayVote. */
  readonly refilled: boolean;
}

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface PeerStatus {
  readonly id: NodeId;
  readonly match: Index;
  readonly next: Index;
  readonly state: ProgressState;
  /** Heard from within the current check-quorum window. */
  readonly active: boolean;
  /** Neither refilling nor out of disk. */
  readonly fit: boolean;
}

/**
 * The consensus core, made by `createRaft(config, initial, log)` in core.ts. Every method is synchronous and does no I/O. A
 * throw out of `step` means a broken promise (of the disk, the driver or the core itself): stop the process.
 */
export interface Raft {
  /** Takes any number of inputs, in order, and returns everything that must happen now, once for all of them. */
  step(inputs: readonly Input[]): Output;
  /** Entries lo..hi-1 of the log, durable or not, at least one and at most maxBytes of sizeBytes; for applying `commit`. */
  entries(lo: Index, hi: Index, maxBytes: number): readonly Entry[];
  status(): Status;
}

/** A picture for people and metrics; peers are known to a leader only. */
export interface Status {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leader: NodeId | null;
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  /** Last index durable on this node. */
  readonly durableIndex: Index;
  readonly commitIndex: Index;
  readonly appliedIndex: Index;
  readonly membership: Membership;
  /** Index of the config entry in force; 0 or a snapshot's index when it came from there. */
  readonly membershipIndex: Index;
  readonly mayVote: boolean;
  readonly diskFull: boolean;
  readonly transferTo: NodeId | null;
  readonly uncommittedBytes: number;
  readonly peers: readonly PeerStatus[];
}
