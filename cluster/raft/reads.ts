/**
 * Linearizable reads without a log entry (thesis §6.4, ReadIndex). The leader notes its commit index, then makes sure by a
 * round of heartbeats that it still led afterwards. Owns the rounds; takes no clock's word for leadership (no lease).
 *
 * Rounds are numbered within a term, and a node is leader of a term at most once, so a late reply can only confirm a round
 * that it answers (scenario 32). Reads that come while rounds are under way share the next one.
 */
import type { ReadReply, ReadRequest } from './messages.ts';
import { reachedByMajority } from './quorum.ts';
import { sendHeartbeats } from './sending.ts';
import type { RaftState, WaitingRead } from './state.ts';
import type { Index, NodeId, Ref } from './types.ts';

/** Rounds under way at once: enough to hide a round trip, few enough that many reads share one. */
const ROUNDS_MAX = 4;

export function onRead(s: RaftState, ref: Ref): void {
  if (s.role === 'leader') {
    if (isFull(s)) s.out.refuseRead(ref, 'overloaded');
    else s.waitingReads.push({ ref });
  } else if (s.leader === null) {
    s.out.refuseRead(ref, 'not_leader');
  } else if (s.unsentReads.length >= s.config.pendingReadsMax || s.askedReads.size >= s.config.pendingReadsMax) {
    s.out.refuseRead(ref, 'overloaded');
  } else {
    s.unsentReads.push(ref);
  }
}

function isFull(s: RaftState): boolean {
  return s.waitingReads.length >= s.config.pendingReadsMax;
}

/** A follower asks on behalf of its own clients. */
export function onReadRequest(s: RaftState, m: ReadRequest): void {
  if (s.role === 'leader' && !isFull(s)) s.waitingReads.push({ from: m.from, boot: m.boot, id: m.id });
  else sendReadReply(s, m, null);
}

function sendReadReply(s: RaftState, read: { from: NodeId; boot: number; id: number }, index: Index | null): void {
  const { from: to, boot, id } = read;
  s.out.sendNow.push({ type: 'read_reply', from: s.id, to, term: s.term, boot, id, index });
}

export function onReadReply(s: RaftState, m: ReadReply): void {
  if (m.boot !== s.config.boot) return;
  const asked = s.askedReads.get(m.id);
  if (asked === undefined) return;
  s.askedReads.delete(m.id);
  for (const ref of asked.refs) {
    if (m.index === null) s.out.refuseRead(ref, 'read_lost');
    else s.out.reads.push({ ref, index: m.index });
  }
}

/** One tick of anyone but a leader: a request or its answer may be lost. */
export function tickAskedReads(s: RaftState): void {
  for (const [id, { refs, atTick }] of s.askedReads) {
    if (s.now - atTick < s.config.electionTicks) break;
    s.askedReads.delete(id);
    for (const ref of refs) s.out.refuseRead(ref, 'read_lost');
  }
}

/** All reads of one step go to the leader as one request. */
export function askLeader(s: RaftState): void {
  if (s.unsentReads.length === 0 || s.leader === null || s.role === 'leader') return;
  const id = ++s.lastReadId;
  s.askedReads.set(id, { refs: s.unsentReads, atTick: s.now });
  s.unsentReads = [];
  s.out.sendNow.push({ type: 'read_request', from: s.id, to: s.leader, term: s.term, boot: s.config.boot, id });
}

/** Starts a round for the waiting reads, and answers those whose round a majority has confirmed. */
export function runReadRounds(s: RaftState): void {
  // Before the no-op commits, this commit index may be older than what the last leader acknowledged (scenario 31).
  if (s.waitingReads.length > 0 && s.committedInTerm && s.rounds.length < ROUNDS_MAX) {
    s.round++;
    s.rounds.push({ round: s.round, index: s.commit, reads: s.waitingReads });
    s.waitingReads = [];
    sendHeartbeats(s);
  }
  if (s.rounds.length === 0) return;
  const confirmed = reachedByMajority(s.membership.voters, (id) =>
    id === s.id ? s.round : (s.peers.get(id)?.round ?? 0),
  );
  while (s.rounds.length > 0 && s.rounds[0]!.round <= confirmed) {
    const { index, reads } = s.rounds.shift()!;
    for (const read of reads) answer(s, read, index);
  }
}

function answer(s: RaftState, read: WaitingRead, index: Index): void {
  if ('ref' in read) s.out.reads.push({ ref: read.ref, index });
  else sendReadReply(s, read, index);
}
