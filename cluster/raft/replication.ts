/**
 * The leader's side of the log: what is sent to whom, what a reply proves, what is committed. Appends go out while the
 * leader's own write is still under way; its own copy counts like any other, when it is durable.
 */
import type { AppendReply, HeartbeatReply } from './messages.ts';
import type { Progress } from './progress.ts';
import { reachedByMajority } from './quorum.ts';
import { becomeFollower } from './roles.ts';
import { sendAppend, sendEmptyAppend, sendHeartbeats } from './sending.ts';
import { sendSnapshot, watchSnapshot } from './snapshot.ts';
import type { RaftState } from './state.ts';
import type { Entry, Index, NodeId } from './types.ts';

const NO_ENTRIES: readonly Entry[] = [];
/** Entries of one append, however small: bounds what a receiver must decode at a time. The wire schema has the same limit. */
export const APPEND_ENTRIES_MAX = 4_096;

/** One tick of a leader. */
export function tickLeader(s: RaftState): void {
  if (++s.heartbeatTicks >= s.config.heartbeatTicks) {
    sendHeartbeats(s);
    for (const peer of s.peers.values()) watchSnapshot(s, peer);
  }
  if (!hearsQuorum(s)) becomeFollower(s, s.term, null, 'heard from no majority for an election timeout');
}

/** A majority of the voters was heard within the election timeout (scenario 8). */
function hearsQuorum(s: RaftState): boolean {
  const heard = reachedByMajority(s.membership.voters, (id) => {
    if (id === s.id) return 1;
    const peer = s.peers.get(id);
    return peer !== undefined && s.isActive(peer) ? 1 : 0;
  });
  return heard === 1;
}

/** Sends everyone what the windows allow, and the commit index to those who have not been told. */
export function replicate(s: RaftState): void {
  for (const peer of s.peers.values()) {
    while (!peer.paused && (peer.state === 'probe' || peer.next <= s.log.last)) {
      if (!sendNext(s, peer)) break;
    }
    if (peer.state === 'replicate' && peer.toldCommit < s.commit) sendEmptyAppend(s, peer, peer.next - 1);
  }
}

/** False when the entries are gone, and a snapshot takes their place. */
function sendNext(s: RaftState, peer: Progress): boolean {
  const prevIndex = peer.next - 1;
  const hasEntries = peer.next <= s.log.last;
  if (s.log.term(prevIndex) === null || (hasEntries && !s.log.isReadable(peer.next))) {
    sendSnapshot(s, peer);
    return false;
  }
  const hi = Math.min(s.log.last + 1, peer.next + APPEND_ENTRIES_MAX);
  const entries = hasEntries ? s.log.entries(peer.next, hi, s.config.appendBytesMax) : NO_ENTRIES;
  sendAppend(s, peer, prevIndex, entries);
  let bytes = 0;
  for (const entry of entries) bytes += entry.sizeBytes;
  peer.sent(prevIndex + entries.length, bytes);
  return true;
}

export function onAppendReply(s: RaftState, m: AppendReply): void {
  const peer = hear(s, m);
  if (peer === null) return;
  if (m.ok) onAccepted(s, peer, m.index);
  else onRefused(s, peer, m);
}

function onAccepted(s: RaftState, peer: Progress, index: Index): void {
  if (index > s.log.last) return;
  peer.acknowledge(index);
  if (peer.state === 'probe') peer.becomeReplicate();
  if (peer.state !== 'snapshot') return;
  if (s.log.isReadable(peer.match + 1)) peer.becomeReplicate();
  // It has that snapshot, but what follows was purged meanwhile: the next one, whatever becomes of the stream.
  else if (peer.match >= peer.snapshotIndex) peer.becomeProbe(peer.match + 1);
}

function onRefused(s: RaftState, peer: Progress, m: AppendReply): void {
  if (m.index <= peer.match) return;
  if (peer.state === 'snapshot') {
    if (peer.snapshotTaken && m.index === peer.snapshotIndex) peer.becomeProbe(peer.match + 1);
    return;
  }
  if (peer.state === 'replicate') {
    peer.becomeProbe(peer.match + 1);
    return;
  }
  // In a probe only the newest question counts; an older answer was overtaken.
  if (m.index !== peer.next - 1) return;
  const floor = s.log.firstIndex() - 1;
  const from = Math.min(m.hintIndex, s.log.last);
  const meet = from < floor ? from : s.log.lastIndexUpToTerm(from, m.hintTerm, floor);
  peer.becomeProbe(Math.max(1, Math.min(meet + 1, m.index)));
}

export function onHeartbeatReply(s: RaftState, m: HeartbeatReply): void {
  const peer = hear(s, m);
  if (peer === null) return;
  peer.fit = m.fit;
  peer.round = Math.max(peer.round, Math.min(m.round, s.round));
  if (peer.state === 'probe') peer.probeSent = false;
  // Something that was sent may be lost, and the window with it: ask whether the logs meet where they should.
  if (peer.state === 'replicate' && peer.match < s.log.last) sendEmptyAppend(s, peer, peer.next - 1);
  else if (m.commit < Math.min(s.commit, peer.match)) peer.toldCommit = Math.min(peer.toldCommit, m.commit);
}

/** What is on its way to that peer is probably lost. A snapshot's stream reports by itself. */
export function onPeerUnreachable(s: RaftState, node: NodeId): void {
  const peer = s.peers.get(node);
  if (peer !== undefined && peer.state === 'replicate') peer.becomeProbe(peer.match + 1);
}

/** Notes that a peer answered; null when it is none, or when an earlier boot of it speaks (scenario 16). */
function hear(s: RaftState, m: AppendReply | HeartbeatReply): Progress | null {
  const peer = s.peers.get(m.from);
  if (peer === undefined || m.boot < peer.boot) return null;
  peer.contactTick = s.now;
  if (peer.boot === 0) peer.boot = m.boot;
  else if (m.boot > peer.boot) peer.restarted(m.boot);
  return peer;
}

/** Commits what a majority holds durably. */
export function advanceCommit(s: RaftState): void {
  const held = reachedByMajority(s.membership.voters, (id) =>
    id === s.id ? s.log.stable : (s.peers.get(id)?.match ?? 0),
  );
  // Figure 8: an entry of an older term is never committed by counting, only below one of this term (scenario 11).
  if (held <= s.commit || s.log.term(held) !== s.term) return;
  s.commitTo(held);
  let settled = 0;
  while (settled < s.pending.length && s.pending[settled]!.index <= held) {
    s.uncommittedBytes -= s.pending[settled]!.sizeBytes;
    settled++;
  }
  if (settled > 0) s.pending = s.pending.slice(settled);
}
