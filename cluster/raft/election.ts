/**
 * Elections: when to campaign, whom to vote for, when a campaign is won. Every campaign but one that the leader itself asked
 * for begins with a pre-vote, so a node that was cut off disturbs nobody when it comes back (scenario 4). Owns no timer: ticks
 * are counted here, their length is the driver's.
 *
 * A vote, and the request for one, leave only when term, vote and log are durable: a candidate that forgot its own request
 * could otherwise repeat it in the same term with a shorter log and collect the rest of a majority.
 */
import type { RequestVote, RequestVoteReply } from './messages.ts';
import { voteResult } from './quorum.ts';
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from './roles.ts';
import type { RaftState } from './state.ts';
import type { HardState, NodeId } from './types.ts';

/** How soon, in heartbeats, the followers of a lost leader campaign: drawn at random, so that they rarely collide. */
const SUSPECT_HEARTBEATS = 2;

/** One tick of anyone but a leader. */
export function tickElection(s: RaftState): void {
  s.silentTicks++;
  if (s.silentTicks < s.timeoutTicks) return;
  if (isElectable(s)) campaign(s, false);
  else if (s.role !== 'follower' || s.leader !== null) becomeFollower(s, s.term, null, 'unable to campaign');
}

/** As if the election timeout had passed; nothing if this node may not lead. */
export function campaignNow(s: RaftState): void {
  if (s.role !== 'leader' && isElectable(s)) campaign(s, false);
}

/** The leader hands over: no pre-vote, and no lease stands against it (thesis §3.10). */
export function onTimeoutNow(s: RaftState): void {
  if (s.role !== 'leader' && isElectable(s)) campaign(s, true);
}

/**
 * The link to `node` broke. A follower does not wait out its timeout for a leader that is probably dead; its pre-vote fails
 * while the others still hear that leader, so one bad link changes nothing (scenario 5).
 */
export function suspect(s: RaftState, node: NodeId): void {
  if (s.role !== 'follower' || s.leader !== node || s.leaderSuspected) return;
  s.leaderSuspected = true;
  const soon = s.silentTicks + 1 + s.random.below(SUSPECT_HEARTBEATS * s.config.heartbeatTicks);
  s.timeoutTicks = Math.min(s.timeoutTicks, soon);
}

function isElectable(s: RaftState): boolean {
  return s.mayStand && s.fit && s.heldSnapshot === null;
}

function campaign(s: RaftState, transfer: boolean): void {
  if (transfer) becomeCandidate(s);
  else becomePreCandidate(s);
  requestVotes(s, transfer);
  countVotes(s);
}

function requestVotes(s: RaftState, transfer: boolean): void {
  const pre = s.role === 'pre_candidate';
  for (const to of s.membership.voters) {
    if (to === s.id) continue;
    (pre ? s.out.sendNow : s.out.sendAfterDurable).push({
      type: 'request_vote',
      from: s.id,
      to,
      term: pre ? s.term + 1 : s.term,
      pre,
      transfer,
      lastIndex: s.log.last,
      lastTerm: s.log.lastTerm,
    });
  }
}

/** Called before terms are compared: a request alone never makes a node leave a leader that it hears. */
export function onRequestVote(s: RaftState, m: RequestVote): void {
  if (m.pre) {
    answerPreVote(s, m);
    return;
  }
  if (m.term > s.term) {
    if (hasLease(s) && !m.transfer) return;
    becomeFollower(s, m.term, null, `${m.from} campaigns in term ${m.term}`);
  }
  const free = s.vote === m.from || (s.vote === null && s.leader === null);
  const granted = m.term === s.term && free && s.fit && isUpToDate(s, m);
  if (granted) {
    s.vote = m.from;
    s.silentTicks = 0;
  }
  s.out.sendAfterDurable.push(voteReply(s, m, granted));
}

function answerPreVote(s: RaftState, m: RequestVote): void {
  let granted = m.term > s.term && s.fit && !hasLease(s) && isUpToDate(s, m);
  if (granted && s.role === 'pre_candidate') {
    // Two that ask at the same time would both go on and split the votes: with equal logs the greater id goes first.
    const isEqual = m.lastTerm === s.log.lastTerm && m.lastIndex === s.log.last;
    if (isEqual && s.id > m.from && s.silentTicks < s.config.heartbeatTicks) granted = false;
    else becomeFollower(s, s.term, null, '');
  }
  s.out.sendNow.push(voteReply(s, m, granted));
}

function voteReply(s: RaftState, m: RequestVote, granted: boolean): RequestVoteReply {
  const term = m.pre && granted ? m.term : s.term;
  return { type: 'request_vote_reply', from: s.id, to: m.from, term, pre: m.pre, granted };
}

/** A leader was heard within the shortest election timeout: nobody else can have a reason to lead. */
function hasLease(s: RaftState): boolean {
  if (s.role === 'leader') return true;
  return s.leader !== null && s.silentTicks < s.config.electionTicks && !s.leaderSuspected;
}

/** Raft §5.4.1: the later last term wins, then the longer log (scenario 3). */
function isUpToDate(s: RaftState, m: RequestVote): boolean {
  if (m.lastTerm !== s.log.lastTerm) return m.lastTerm > s.log.lastTerm;
  return m.lastIndex >= s.log.last;
}

/** Terms have been compared: the reply belongs to this term, or to a pre-vote. */
export function onRequestVoteReply(s: RaftState, m: RequestVoteReply): void {
  const asked = m.pre ? s.role === 'pre_candidate' : s.role === 'candidate';
  if (!asked || s.votes.has(m.from)) return;
  if (m.pre && m.granted && m.term !== s.term + 1) return;
  s.votes.set(m.from, m.granted);
  countVotes(s);
}

/** The candidate's vote for itself counts like every other: when it is durable (scenario 19). */
export function countOwnVote(s: RaftState, durable: HardState): void {
  if (s.role !== 'candidate' || durable.term !== s.term || durable.vote !== s.id) return;
  s.votes.set(s.id, true);
  countVotes(s);
}

function countVotes(s: RaftState): void {
  const result = voteResult(s.membership.voters, s.votes);
  if (result === 'lost') becomeFollower(s, s.term, null, 'campaign lost');
  if (result !== 'won') return;
  if (s.role === 'candidate') {
    becomeLeader(s);
    return;
  }
  becomeCandidate(s);
  requestVotes(s, false);
}
