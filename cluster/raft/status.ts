/** The core's picture for people and metrics. Reads everything, changes nothing. */
import type { RaftState } from './state.ts';
import type { Status } from './types.ts';

export function statusOf(s: RaftState): Status {
  return {
    id: s.id,
    role: s.role,
    term: s.term,
    vote: s.vote,
    leader: s.leader,
    firstIndex: s.log.firstIndex(),
    lastIndex: s.log.last,
    durableIndex: s.log.stable,
    commitIndex: s.commit,
    appliedIndex: s.applied,
    membership: s.membership,
    membershipIndex: s.memberships.currentIndex,
    mayVote: s.mayVote,
    diskFull: s.diskFull,
    transferTo: s.transfer?.to ?? null,
    uncommittedBytes: s.uncommittedBytes,
    peers: [...s.peers.values()].map((peer) => ({
      id: peer.id,
      match: peer.match,
      next: peer.next,
      state: peer.state,
      active: s.isActive(peer),
      fit: peer.fit,
    })),
  };
}
