/**
 * Becoming something else. Owns what each change of role resets, and what is told to those who waited on the old one; never
 * decides *that* a role changes (election.ts, replication.ts and core.ts do).
 */
import { invariant } from './invariant.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './state.ts';
import type { NodeId, Term } from './types.ts';

const NO_DATA = new Uint8Array(0);

/** Follows `leader`, or nobody yet, in `term`. `reason` says in words why leadership, if held, is given up. */
export function becomeFollower(s: RaftState, term: Term, leader: NodeId | null, reason: string): void {
  invariant(term >= s.term, `term would fall from ${s.term} to ${term}`);
  if (s.role === 'leader') abdicate(s, reason);
  if (term > s.term) {
    s.term = term;
    s.vote = null;
  }
  const wasFollower = s.role === 'follower';
  s.role = 'follower';
  if (leader !== s.leader) loseAskedReads(s);
  s.leader = leader;
  s.votes.clear();
  if (wasFollower && leader === null) return;
  s.silentTicks = 0;
  s.leaderSuspected = false;
  s.timeoutTicks = s.drawTimeout();
}

export function becomePreCandidate(s: RaftState): void {
  beginCampaign(s, 'pre_candidate');
  s.votes.set(s.id, true);
}

/** The own vote counts only when it is durable (`countOwnVote`). */
export function becomeCandidate(s: RaftState): void {
  s.term++;
  s.vote = s.id;
  beginCampaign(s, 'candidate');
}

function beginCampaign(s: RaftState, role: 'pre_candidate' | 'candidate'): void {
  invariant(s.role !== 'leader', 'a leader campaigns');
  invariant(s.mayStand, `${s.id} campaigns without a right to vote`);
  loseAskedReads(s);
  s.role = role;
  s.leader = null;
  s.leaderSuspected = false;
  s.silentTicks = 0;
  s.timeoutTicks = s.drawTimeout();
  s.votes.clear();
}

export function becomeLeader(s: RaftState): void {
  invariant(s.role === 'candidate', `${s.role} becomes leader`);
  s.role = 'leader';
  s.leader = s.id;
  s.votes.clear();
  s.heartbeatTicks = 0;
  s.round = 0;
  s.peers.clear();
  syncPeers(s);
  s.uncommittedBytes = 0;
  s.termStart = s.log.last + 1;
  // Commits nothing old by counting, but everything old with it (thesis §3.6.2).
  s.log.append({ index: s.termStart, term: s.term, kind: 'noop', data: NO_DATA, sizeBytes: 0 });
}

/** Makes the leader's list of peers that of the membership in force. */
export function syncPeers(s: RaftState): void {
  const members = new Set([...s.membership.voters, ...s.membership.learners]);
  members.delete(s.id);
  for (const id of s.peers.keys()) if (!members.has(id)) s.peers.delete(id);
  for (const id of members) if (!s.peers.has(id)) s.peers.set(id, s.newProgress(id));
}

/**
 * Gives up leadership of the term, asking the voter that is furthest to take over, if one is there. The term stays: nothing
 * need be written for it, so a node with a dead disk can do it.
 */
export function relinquish(s: RaftState, reason: string): void {
  const heir = bestHeir(s);
  if (heir !== null) s.out.sendNow.push({ type: 'timeout_now', from: s.id, to: heir.id, term: s.term });
  becomeFollower(s, s.term, null, reason);
}

/** The active, fit voter with the longest matching log. */
export function bestHeir(s: RaftState): Progress | null {
  let best: Progress | null = null;
  for (const peer of s.peers.values()) {
    if (!s.membership.voters.includes(peer.id) || !s.isActive(peer) || !peer.fit) continue;
    if (best === null || peer.match > best.match) best = peer;
  }
  return best;
}

function abdicate(s: RaftState, reason: string): void {
  s.out.reason = reason;
  // They are in the log and may still commit under the next leader: never "failed" (scenario 8).
  for (const { ref } of s.pending) s.out.unknown.push(ref);
  s.pending = [];
  if (s.transfer !== null) {
    const { ref, to, told } = s.transfer;
    s.out.transfer = { ref, to, outcome: told ? 'done' : 'aborted' };
    s.transfer = null;
  }
  for (const read of [...s.waitingReads, ...s.rounds.flatMap((round) => round.reads)]) {
    // A follower's read is lost with the leader it was sent to, and that follower knows.
    if ('ref' in read) s.out.refuseRead(read.ref, 'read_lost');
  }
  s.waitingReads = [];
  s.rounds = [];
  s.peers.clear();
}

function loseAskedReads(s: RaftState): void {
  for (const ref of s.unsentReads) s.out.refuseRead(ref, 'read_lost');
  for (const { refs } of s.askedReads.values()) for (const ref of refs) s.out.refuseRead(ref, 'read_lost');
  s.unsentReads = [];
  s.askedReads.clear();
}
