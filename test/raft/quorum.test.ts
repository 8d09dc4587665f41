import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { applyChange } from '../../cluster/raft/membership.ts';
import { majority, reachedByMajority, voteResult } from '../../cluster/raft/quorum.ts';
import type { Membership, MembershipChange } from '../../cluster/raft/types.ts';

const test = suite('raft quorum');

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const voters = fc.subarray(NAMES, { minLength: 1 });

/** Every subset of `ids`, the dumb way. */
function subsets(ids: readonly string[]): string[][] {
  let all: string[][] = [[]];
  for (const id of ids) all = all.concat(all.map((set) => [...set, id]));
  return all;
}
const majorities = (ids: readonly string[]) => subsets(ids).filter((set) => set.length * 2 > ids.length);

test('scenario 17: what a majority reached equals the brute force over all majorities', () => {
  fc.assert(
    fc.property(voters, fc.array(fc.nat(9), { minLength: 7, maxLength: 7 }), (ids, numbers) => {
      const reached = (id: string) => numbers[NAMES.indexOf(id)]!;
      const best = Math.max(...majorities(ids).map((set) => Math.min(...set.map(reached))));
      assert.is(reachedByMajority(ids, reached), best);
    }),
  );
  assert.is(
    reachedByMajority([], () => 9),
    0,
    'nobody agrees to nothing',
  );
});

test('scenario 17: a vote is won by a majority, and lost when no majority is left', () => {
  const vote = fc.constantFrom(true, false, undefined);
  fc.assert(
    fc.property(voters, fc.array(vote, { minLength: 7, maxLength: 7 }), (ids, votes) => {
      const cast = new Map(NAMES.flatMap((id, i) => (votes[i] === undefined ? [] : [[id, votes[i]!]])));
      const won = majorities(ids).some((set) => set.every((id) => cast.get(id) === true));
      const open = majorities(ids).some((set) => set.every((id) => cast.get(id) !== false));
      assert.is(voteResult(ids, cast), won ? 'won' : open ? 'pending' : 'lost');
    }),
  );
});

test('scenario 17: majority of 1 to 7', () => {
  assert.equal([1, 2, 3, 4, 5, 6, 7].map(majority), [1, 2, 2, 3, 3, 4, 4]);
});

test('scenario 25: after any one change, every old majority meets every new one', () => {
  const change = fc.record({
    op: fc.constantFrom('promote', 'demote', 'remove', 'add_learner'),
    node: fc.constantFrom(...NAMES),
  });
  fc.assert(
    fc.property(voters, change, (ids, { op, node }) => {
      const learners = NAMES.filter((id) => !ids.includes(id)).slice(0, 2);
      const now: Membership = { voters: ids, learners, info: {} };
      const next = applyChange(now, { op, node, info: {} } as MembershipChange);
      if (next === null) return;
      assert.ok(next.voters.length > 0);
      for (const old of majorities(now.voters)) {
        for (const fresh of majorities(next.voters)) assert.ok(old.some((id) => fresh.includes(id)));
      }
    }),
    { numRuns: 300 },
  );
});

test.run();
