/**
 * What a node does with its leader's messages: take entries, cut what conflicts, install a snapshot, find out that a damaged
 * log is whole again. What it acknowledges it holds durably: every acknowledgement waits for the write.
 */
import { invariant } from './invariant.ts';
import { decodeMembership } from './membership.ts';
import type { Append, Heartbeat, InstallSnapshot } from './messages.ts';
import { becomeFollower } from './roles.ts';
import type { RaftState } from './state.ts';
import type { Entry, Index, NodeId, Term } from './types.ts';

/** The leader of this term speaks: follow it. */
function heedLeader(s: RaftState, leader: NodeId): void {
  invariant(s.role !== 'leader', `${leader} and ${s.id} both lead term ${s.term}`);
  invariant(s.leader === null || s.leader === leader, `${leader} and ${s.leader} both lead term ${s.term}`);
  if (s.role !== 'follower' || s.leader !== leader || s.leaderSuspected) {
    becomeFollower(s, s.term, leader, `${leader} leads`);
  }
  s.silentTicks = 0;
}

export function onHeartbeat(s: RaftState, m: Heartbeat): void {
  heedLeader(s, m.from);
  // Leaves at once: it tells of this moment only, not of anything to be kept.
  s.out.sendNow.push({
    type: 'heartbeat_reply',
    from: s.id,
    to: m.from,
    term: s.term,
    boot: s.config.boot,
    round: m.round,
    fit: s.fit,
    commit: s.commit,
  });
}

export function onAppend(s: RaftState, m: Append): void {
  heedLeader(s, m.from);
  noteRefillGoal(s, m);
  // Soon replaced by the snapshot: a refusal now would have it sent again.
  if (s.heldSnapshot !== null) return;
  if (m.prevIndex >= s.commit && s.log.term(m.prevIndex) !== m.prevTerm) {
    refuse(s, m);
    return;
  }
  const matched = m.prevIndex + m.entries.length;
  const first = firstNew(s, m.entries);
  if (first < m.entries.length) {
    const fresh = m.entries.slice(first);
    // No room to write, or a config entry that cannot be read: as if the message had been lost.
    if (s.diskFull || fresh.some((entry) => entry.kind === 'config' && decodeMembership(entry.data) === null)) return;
    take(s, fresh);
  }
  // Only what this message proves equal (scenario 14).
  s.commitTo(Math.min(m.commit, matched));
  acknowledge(s, m.from, Math.max(matched, s.commit));
}

/** Position of the first entry that this log does not hold, entries.length if it holds them all (scenario 12). */
function firstNew(s: RaftState, entries: readonly Entry[]): number {
  for (let at = 0; at < entries.length; at++) {
    const { index, term } = entries[at]!;
    const own = s.log.term(index);
    if (own === term) continue;
    if (index > s.commit) return at;
    // A purged entry cannot be compared; a committed one that differs is the end of this process (scenario 13).
    invariant(own === null, `entry ${index} of term ${term} conflicts with a committed one of term ${own}`);
  }
  return entries.length;
}

function take(s: RaftState, entries: readonly Entry[]): void {
  const from = entries[0]!.index;
  if (from <= s.log.last) {
    invariant(from > s.commit, `truncation at ${from} reaches the commit index ${s.commit}`);
    s.log.truncateFrom(from);
    s.memberships.truncateFrom(from);
  }
  for (const entry of entries) {
    s.log.append(entry);
    if (entry.kind === 'config') s.memberships.append(entry);
  }
}

/**
 * Says where the logs may still meet: the last index whose term is no later than that of the refused one. Each round then
 * skips a whole term instead of an entry (scenario 18).
 */
function refuse(s: RaftState, m: Append): void {
  const hintIndex = s.log.lastIndexUpToTerm(Math.min(m.prevIndex, s.log.last), m.prevTerm, s.commit + 1);
  s.out.sendAfterDurable.push({
    type: 'append_reply',
    from: s.id,
    to: m.from,
    term: s.term,
    boot: s.config.boot,
    ok: false,
    index: m.prevIndex,
    hintIndex,
    hintTerm: s.log.term(hintIndex) ?? 0,
  });
}

function acknowledge(s: RaftState, to: NodeId, index: Index): void {
  s.out.sendAfterDurable.push({
    type: 'append_reply',
    from: s.id,
    to,
    term: s.term,
    boot: s.config.boot,
    ok: true,
    index,
    hintIndex: 0,
    hintTerm: 0,
  });
}

/** The whole snapshot is here, verified, and held by the driver (scenarios 20 to 22). */
export function onInstallSnapshot(s: RaftState, m: InstallSnapshot): void {
  heedLeader(s, m.from);
  considerSnapshot(s, m);
}

function considerSnapshot(s: RaftState, m: InstallSnapshot): void {
  const { index, term, membership } = m.snapshot;
  if (index <= s.commit) {
    acknowledge(s, m.from, s.commit);
    return;
  }
  if (s.log.term(index) === term) {
    s.commitTo(index);
    acknowledge(s, m.from, index);
    return;
  }
  if (s.diskFull) return;
  if (s.applied < s.handedOut) {
    s.heldSnapshot = m;
    return;
  }
  s.log.installSnapshot(m.snapshot, s.commit);
  s.memberships.reset(index, membership);
  s.commit = index;
  s.handedOut = index;
  s.unwrittenSnapshot = m.snapshot;
  acknowledge(s, m.from, index);
}

/** The apply that a received snapshot waited for may have ended. */
export function retryHeldSnapshot(s: RaftState): void {
  const held = s.heldSnapshot;
  if (held === null || s.applied < s.handedOut) return;
  s.heldSnapshot = null;
  if (s.role === 'follower' && s.leader === held.from && s.term === held.term) considerSnapshot(s, held);
}

/**
 * A node with a damaged log may have promised entries that it lost. Whatever those promises committed is below the commit
 * index of a leader that knows of this boot (later acknowledgements are true ones) and has committed in its own term. So once
 * that index is here, matched and durable, nothing promised is missing, and the node may vote again (scenario 35).
 */
function noteRefillGoal(s: RaftState, m: Append): void {
  if (s.mayVote || s.refillGoal !== null || m.boot !== s.config.boot) return;
  s.refillGoal = { index: m.commit, term: m.term };
}

export function checkRefilled(s: RaftState): void {
  const goal = s.refillGoal;
  if (goal === null || Math.min(s.commit, s.log.stable) < goal.index) return;
  s.refillGoal = null;
  if (!reachesTerm(s, goal.index, goal.term)) return;
  s.mayVote = true;
  s.out.refilled = true;
}

function reachesTerm(s: RaftState, index: Index, term: Term): boolean {
  return index > 0 && s.log.term(index) === term;
}
