/** A leader's messages, as they are put together. Decides nothing about when one is due. */
import type { Progress } from './progress.ts';
import type { RaftState } from './state.ts';
import type { Entry, Index } from './types.ts';

const NO_ENTRIES: readonly Entry[] = [];

/** "I still lead", and the newest read round. */
export function sendHeartbeats(s: RaftState): void {
  s.heartbeatTicks = 0;
  for (const to of s.peers.keys()) {
    s.out.sendNow.push({ type: 'heartbeat', from: s.id, to, term: s.term, round: s.round });
  }
}

/**
 * Tells the commit index, and finds out whether the log really meets at `prevIndex`; takes no room in the window. When that
 * index is purged here there is nothing left to wait for: the member is probed where it was last known to be.
 */
export function sendEmptyAppend(s: RaftState, peer: Progress, prevIndex: Index): void {
  if (s.log.term(prevIndex) === null) peer.becomeProbe(peer.match + 1);
  else sendAppend(s, peer, prevIndex, NO_ENTRIES);
}

/** Entries that follow `prevIndex`, whose term must be known. */
export function sendAppend(s: RaftState, peer: Progress, prevIndex: Index, entries: readonly Entry[]): void {
  peer.toldCommit = s.commit;
  s.out.sendNow.push({
    type: 'append',
    from: s.id,
    to: peer.id,
    term: s.term,
    prevIndex,
    prevTerm: s.log.term(prevIndex)!,
    entries,
    commit: s.commit,
    boot: peer.boot,
  });
}
