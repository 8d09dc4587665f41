// What one group must look like from outside, written a second time and plainly: the sequential specification that
// histories are checked against. Knows nothing of the real state machine.
import type { Model } from './linearizability.ts';

export type GroupInput =
  | { readonly op: 'create' | 'join' | 'leave' | 'look'; readonly group: string; readonly user: string }
  | { readonly op: 'accept' | 'reject'; readonly group: string; readonly user: string; readonly whom: string };

/** `ok`, an error code, or for `look` what the caller sees: "owner/members/standing". */
export type GroupOutput = string;

interface Group {
  readonly owner: string;
  /** In joining order. */
  readonly members: readonly string[];
  readonly requests: readonly string[];
}

function answer(group: Group | null, input: GroupInput): { readonly next: Group | null; readonly output: GroupOutput } {
  const same = (output: string) => ({ next: group, output });
  const { user } = input;
  if (input.op === 'create') {
    return group ? same('GROUP_EXISTS') : { next: { owner: user, members: [user], requests: [] }, output: 'ok' };
  }
  if (!group) return same(input.op === 'look' ? 'none' : 'NO_SUCH_GROUP');
  const isMember = group.members.includes(user);
  const hasAsked = group.requests.includes(user);
  switch (input.op) {
    case 'look': {
      const standing = group.owner === user ? 'owner' : isMember ? 'member' : hasAsked ? 'requested' : 'none';
      return same(`${group.owner}/${group.members.length}/${standing}`);
    }
    case 'join':
      if (isMember) return same('ALREADY_MEMBER');
      if (hasAsked) return same('ALREADY_REQUESTED');
      return { next: { ...group, requests: [...group.requests, user] }, output: 'ok' };
    case 'leave':
      if (isMember) return { next: without(group, user), output: 'ok' };
      if (hasAsked) return { next: { ...group, requests: group.requests.filter((u) => u !== user) }, output: 'ok' };
      return same('NOT_MEMBER');
    case 'accept':
    case 'reject': {
      if (group.owner !== user) return same(isMember ? 'NOT_OWNER' : 'NOT_MEMBER');
      if (!group.requests.includes(input.whom)) return same('NO_SUCH_REQUEST');
      const requests = group.requests.filter((u) => u !== input.whom);
      const members = input.op === 'accept' ? [...group.members, input.whom] : group.members;
      return { next: { ...group, members, requests }, output: 'ok' };
    }
  }
}

function without(group: Group, user: string): Group | null {
  const members = group.members.filter((u) => u !== user);
  if (members.length === 0) return null;
  return { ...group, members, owner: group.owner === user ? members[0]! : group.owner };
}

/** Codes that say the same to a user: which of two truths is told first is not ours to fix here. */
const SAME: Readonly<Record<string, string>> = { NOT_OWNER: 'NOT_ALLOWED', NOT_MEMBER: 'NOT_ALLOWED' };
const plain = (output: string) => SAME[output] ?? output;

/** Boxed, because the checker's null means "does not fit". */
interface Box {
  readonly group: Group | null;
}

export const groupsModel: Model<Box, GroupInput, GroupOutput> = {
  initial: { group: null },
  step: ({ group }, input, output) => {
    const { next, output: expected } = answer(group, input);
    return output === undefined || plain(output) === plain(expected) ? { group: next } : null;
  },
  hash: ({ group }) => JSON.stringify(group),
  key: (input) => input.group,
};
