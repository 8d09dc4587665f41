/**
 * What consensus nodes say to each other. Owns the message shapes; never a wire format (codec/raft-messages.ts checks and
 * encodes them) nor a rule (election.ts, replication.ts, reads.ts, snapshot.ts, transfer.ts).
 *
 * Every message is a plain object with `from`, `to` and the sender's `term` (a pre-vote request and its grant carry the
 * term that *would* start). The transport may lose, repeat, delay and reorder messages: nothing here relies on order.
 *
 * `boot` counts the starts of one node. A log can only shrink behind a leader's back across a restart (a damaged file), so
 * an acknowledgement from an earlier boot says nothing about the log of the present one.
 */
import type { Entry, Index, NodeId, SnapshotMeta, Term } from './types.ts';

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: Term;
}

/** Candidate → voters. With `pre`, a question without consequences: nobody's term or vote changes (thesis §9.6). */
export interface RequestVote extends Envelope {
  readonly type: 'request_vote';
  readonly pre: boolean;
  /** The present leader asked for this election: the voter's lease on that leader does not count (thesis §4.2.3). */
  readonly transfer: boolean;
  /** The candidate's last log position, compared by term first, then by index. */
  readonly lastIndex: Index;
  readonly lastTerm: Term;
}

export interface RequestVoteReply extends Envelope {
  readonly type: 'request_vote_reply';
  readonly pre: boolean;
  readonly granted: boolean;
}

/** Leader → follower: entries that follow `prevIndex`, possibly none (a probe, or news of the commit index). */
export interface Append extends Envelope {
  readonly type: 'append';
  readonly prevIndex: Index;
  readonly prevTerm: Term;
  readonly entries: readonly Entry[];
  /** The leader's commit index; a follower commits no further than the last index this message proves equal. */
  readonly commit: Index;
  /** The receiver's boot as far as the leader knows it, 0 for unknown. Lets a refilling node judge `commit`. */
  readonly boot: number;
}

/** Follower → leader, only after everything it vouches for is durable. */
export interface AppendReply extends Envelope {
  readonly type: 'append_reply';
  readonly boot: number;
  readonly ok: boolean;
  /** ok: the last index known to equal the leader's log and to be durable. Otherwise: the refused `prevIndex`. */
  readonly index: Index;
  /** Refusal: the largest index at which the logs may still agree, and the refuser's term there (0, 0 when ok). */
  readonly hintIndex: Index;
  readonly hintTerm: Term;
}

/** Leader → everyone: "I still lead", and the number of the newest read round. Says nothing about the log. */
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat';
  /** Unique within a term, rising; 0 before the first read. */
  readonly round: number;
}

export interface HeartbeatReply extends Envelope {
  readonly type: 'heartbeat_reply';
  readonly boot: number;
  readonly round: number;
  /** False: the follower is refilling a damaged log or its disk is full or stalled; do not hand it leadership. */
  readonly fit: boolean;
  /** The follower's commit index: what it missed of the news is sent again. */
  readonly commit: Index;
}

/** Leader → follower, sent by the driver's snapshot stream when its last chunk has arrived and been verified. */
export interface InstallSnapshot extends Envelope {
  readonly type: 'install_snapshot';
  readonly snapshot: SnapshotMeta;
}

/** Leader → the voter that shall lead next: campaign at once. */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeout_now';
}

/** Follower → leader: a linearizable read waits here. (boot, id) is never used twice, so no old reply fits a new read. */
export interface ReadRequest extends Envelope {
  readonly type: 'read_request';
  readonly boot: number;
  readonly id: number;
}

/** Leader → follower: state applied through `index` answers the read; null: refused, ask again. */
export interface ReadReply extends Envelope {
  readonly type: 'read_reply';
  readonly boot: number;
  readonly id: number;
  readonly index: Index | null;
}

export type Message =
  | RequestVote
  | RequestVoteReply
  | Append
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | TimeoutNow
  | ReadRequest
  | ReadReply;
