/**
 * The leader's side of snapshots: when a member needs one, and what becomes of it. The bytes travel outside the core; while
 * they do, only that member waits, the log flows on to all others.
 */
import { invariant } from './invariant.ts';
import type { Progress } from './progress.ts';
import { sendEmptyAppend } from './sending.ts';
import type { RaftState } from './state.ts';
import type { Index, NodeId } from './types.ts';

/** The entries that `peer` needs are purged (scenario 24: this holds for an empty log too). */
export function sendSnapshot(s: RaftState, peer: Progress): void {
  // A dead member would hold the stream, and the snapshot, for nothing: it is asked again when it answers.
  if (!s.isActive(peer)) return;
  const snapshot = s.reader.snapshot();
  const { index } = snapshot;
  invariant(index >= s.log.firstIndex() - 1, `entries to ${s.log.firstIndex()} purged, snapshot only at ${index}`);
  peer.becomeSnapshot(index);
  s.out.snapshotsToSend.push({ type: 'install_snapshot', from: s.id, to: peer.id, term: s.term, snapshot });
}

/** The driver's stream ended: taken by the receiver, or broken. The index may be that of a newer snapshot sent instead. */
export function onSnapshotSent(s: RaftState, to: NodeId, index: Index, ok: boolean): void {
  const peer = s.peers.get(to);
  if (peer === undefined || peer.state !== 'snapshot' || index < peer.snapshotIndex) return;
  if (ok) {
    peer.snapshotTaken = true;
    return;
  }
  peer.becomeProbe(peer.match + 1);
  // Its next heartbeat reply, not this failure, says that it can be tried again.
  peer.probeSent = true;
}

/**
 * With every heartbeat, once the stream has ended: does the log meet at the snapshot's index? The receiver's acknowledgement
 * may be lost, or the receiver may have restarted or had no room (scenario 23); a refusal then starts afresh.
 */
export function watchSnapshot(s: RaftState, peer: Progress): void {
  if (peer.state === 'snapshot' && peer.snapshotTaken) sendEmptyAppend(s, peer, peer.snapshotIndex);
}
