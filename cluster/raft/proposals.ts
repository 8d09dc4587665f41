/**
 * What enters the log at a leader: commands, and changes of membership. Owns every reason to refuse one. Nothing that was
 * refused is in the log; everything accepted ends committed, or unknown when leadership is lost first.
 */
import { applyChange, encodeMembership } from './membership.ts';
import { majority } from './quorum.ts';
import { syncPeers } from './roles.ts';
import type { RaftState } from './state.ts';
import type { Entry, EntryKind, MembershipChange, NodeId, Proposal, Ref, RefusalReason } from './types.ts';

/** A learner this many entries behind the commit index would stall the first commit that needs it. */
const PROMOTE_LAG_MAX = 1_000;

export function propose(s: RaftState, proposals: readonly Proposal[]): void {
  for (const { ref, data, sizeBytes } of proposals) {
    const reason = refusal(s, sizeBytes);
    if (reason !== null) s.out.refuse(ref, reason);
    else append(s, ref, 'command', data, sizeBytes);
  }
}

function refusal(s: RaftState, sizeBytes: number): RefusalReason | null {
  if (s.diskFull) return 'disk_full';
  if (s.role !== 'leader') return 'not_leader';
  if (s.transfer !== null) return 'transferring';
  if (sizeBytes > s.config.entryBytesMax) return 'too_large';
  if (s.uncommittedBytes + sizeBytes > s.config.uncommittedBytesMax) return 'overloaded';
  return null;
}

function append(s: RaftState, ref: Ref, kind: EntryKind, data: Uint8Array, sizeBytes: number): Entry {
  const entry: Entry = { index: s.log.last + 1, term: s.term, kind, data, sizeBytes };
  s.log.append(entry);
  s.uncommittedBytes += sizeBytes;
  s.pending.push({ ref, index: entry.index, sizeBytes });
  s.out.accepted.push({ ref, index: entry.index, term: entry.term });
  return entry;
}

/** One change at a time, by a leader whose commit index is known to be the cluster's (scenarios 25, 26). */
export function changeMembership(s: RaftState, ref: Ref, change: MembershipChange): void {
  const next = applyChange(s.membership, change);
  const reason = refusal(s, 0) ?? (next === null ? 'invalid_change' : changeRefusal(s, change));
  if (reason !== null || next === null) {
    s.out.refuse(ref, reason ?? 'invalid_change');
    return;
  }
  const data = encodeMembership(next);
  s.memberships.append(append(s, ref, 'config', data, data.length));
  syncPeers(s);
}

function changeRefusal(s: RaftState, change: MembershipChange): RefusalReason | null {
  // Thesis erratum of July 2015: a change before the first commit of the term can lose a committed one.
  if (!s.committedInTerm) return 'no_commit_in_term';
  if (s.memberships.currentIndex > s.commit) return 'change_in_flight';
  if (change.op === 'remove' || change.op === 'demote') return leavesQuorum(s, change.node) ? null : 'unsafe_change';
  if (change.op !== 'promote') return null;
  const learner = s.peers.get(change.node);
  if (learner === undefined) return 'invalid_change';
  const ready = s.isActive(learner) && learner.fit && learner.match + PROMOTE_LAG_MAX >= s.commit;
  return ready ? null : 'behind';
}

/** Without `node`, would a majority of the voters be there to carry on? A silent or damaged one cannot even elect. */
function leavesQuorum(s: RaftState, node: NodeId): boolean {
  if (!s.membership.voters.includes(node)) return true;
  const left = s.membership.voters.filter((voter) => voter !== node);
  const isReady = (voter: NodeId) => {
    const peer = s.peers.get(voter);
    return voter === s.id || (peer !== undefined && s.isActive(peer) && peer.fit);
  };
  return left.filter(isReady).length >= majority(left.length);
}
