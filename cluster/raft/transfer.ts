/**
 * Handing leadership to another voter (thesis §3.10). New proposals are refused while the chosen one catches up and the last
 * entry commits, so that a planned hand-over leaves nobody in doubt; reads go on, each round proves leadership afresh. If the
 * new leader has not shown itself within an election timeout, this one carries on (scenario 30).
 */
import { bestHeir } from './roles.ts';
import type { RaftState } from './state.ts';
import type { NodeId, Ref } from './types.ts';

export function beginTransfer(s: RaftState, ref: Ref, wanted: NodeId | null): void {
  if (s.role !== 'leader') {
    s.out.refuse(ref, 'not_leader');
    return;
  }
  if (s.transfer !== null) {
    s.out.refuse(ref, 'transferring');
    return;
  }
  const to = wanted ?? bestHeir(s)?.id ?? null;
  if (to !== null && (to === s.id || !s.membership.voters.includes(to))) {
    s.out.refuse(ref, 'invalid_change');
    return;
  }
  const heir = to === null ? undefined : s.peers.get(to);
  if (heir === undefined || !heir.fit || !s.isActive(heir)) {
    s.out.refuse(ref, 'behind');
    return;
  }
  s.transfer = { ref, to: heir.id, startTick: s.now, told: false };
}

export function abortTransfer(s: RaftState, outcome: 'aborted' | 'timeout'): void {
  if (s.transfer === null) return;
  s.out.transfer = { ref: s.transfer.ref, to: s.transfer.to, outcome };
  s.transfer = null;
}

export function tickTransfer(s: RaftState): void {
  if (s.transfer !== null && s.now - s.transfer.startTick >= s.config.electionTicks) abortTransfer(s, 'timeout');
}

/** Tells the heir to campaign as soon as it holds the whole log and nothing is left to commit. */
export function runTransfer(s: RaftState): void {
  const transfer = s.transfer;
  if (transfer === null || transfer.told) return;
  const heir = s.peers.get(transfer.to);
  if (heir === undefined || !s.membership.voters.includes(heir.id)) {
    abortTransfer(s, 'aborted');
    return;
  }
  if (heir.match < s.log.last || s.commit < s.log.last) return;
  transfer.told = true;
  s.out.sendNow.push({ type: 'timeout_now', from: s.id, to: heir.id, term: s.term });
}
