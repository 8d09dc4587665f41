// The membership by tracker numbers: who is a member, who is awaited, who was removed. Pure. The consensus core knows members by
// incarnation and carries a record of each; records of others are notes: of a tracker that was added and has not come yet, or
// whose disk is gone, and of one that was removed. So a removed number is never given again.
import type { Address } from '../../codec/ids.ts';
import type { Membership, NodeId, NodeInfo } from '../raft/types.ts';

export type Standing = 'voter' | 'learner' | 'awaited' | 'removed';

export interface RosterEntry extends Address {
  readonly number: number;
  readonly node: NodeId;
  readonly standing: Standing;
}

const RANK: Readonly<Record<Standing, number>> = { voter: 0, learner: 1, awaited: 2, removed: 3 };

/** One entry a number, in order. A number that two incarnations have for a moment is that of the voter. */
export function rosterOf({ voters, learners, info }: Membership): RosterEntry[] {
  const byNumber = new Map<number, RosterEntry>();
  for (const [node, { number, host, port, removed }] of Object.entries(info)) {
    const standing = voters.includes(node)
      ? 'voter'
      : learners.includes(node)
        ? 'learner'
        : removed
          ? 'removed'
          : 'awaited';
    const entry = { number: Number(number), host: String(host), port: Number(port), node, standing } as const;
    const other = byNumber.get(entry.number);
    if (!other || RANK[standing] < RANK[other.standing]) byNumber.set(entry.number, entry);
  }
  return [...byNumber.values()].sort((a, b) => a.number - b.number);
}

/** Trackers that belong to the cluster: also those that are awaited. */
export function currentMembers(membership: Membership): RosterEntry[] {
  return rosterOf(membership).filter(({ standing }) => standing !== 'removed');
}

/** The number of the next tracker. */
export function nextNumber(membership: Membership): number {
  return Math.max(0, ...Object.values(membership.info).map(({ number }) => Number(number))) + 1;
}

/** Keeps the number of a removed tracker taken. */
export function removedNote(info: NodeInfo): NodeInfo {
  return { ...info, removed: 1 };
}
