/**
 * Majority arithmetic over one set of voters. Pure functions, checked against brute force in test/raft/quorum.test.ts.
 */
import type { NodeId } from './types.ts';

/** The fewest voters that form a majority of `count`. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * The largest number that a majority of voters has reached: the commit index from match indexes, the confirmed read round
 * from acknowledged rounds. 0 without voters: nobody can agree to anything.
 */
export function reachedByMajority(voters: readonly NodeId[], reached: (voter: NodeId) => number): number {
  if (voters.length === 0) return 0;
  const descending = voters.map(reached).sort((a, b) => b - a);
  return descending[majority(voters.length) - 1]!;
}

export type VoteResult = 'won' | 'lost' | 'pending';

/** Votes of nodes that are no voters are passed over; a missing vote may still come. */
export function voteResult(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted++;
    if (vote === false) refused++;
  }
  const needed = majority(voters.length);
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}
