// Groups: making them, asking to join, deciding, leaving. A member's shares in a group live and end with the membership.
import { MtError } from '../../codec/errors.ts';
import { endShare } from './files.ts';
import { requireGroup, requireMember, requireOwner } from './guards.ts';
import { Group, Member, Request, type Share, type User } from './records.ts';
import type { Transaction } from './transaction.ts';
import type { Payloads, ResultOf } from './types.ts';

export function createGroup(tx: Transaction, { group_id }: Payloads['create_group']): ResultOf<'create_group'> {
  const { state } = tx;
  const { user } = tx.session().daemon;
  if (state.groups.has(group_id)) {
    throw new MtError(
      'GROUP_EXISTS',
      `The group "${group_id}" exists already`,
      `Choose another name, or ask to join: mt join_group ${group_id}`,
    );
  }
  const { groupsPerUser } = state.limits;
  if (user.ownedGroups >= groupsPerUser) {
    throw new MtError('FORBIDDEN', `You own ${user.ownedGroups} groups; at most ${groupsPerUser} are allowed`);
  }
  const group = new Group(group_id, tx.now, user, tx.index);
  state.addGroup(group);
  state.addMember(new Member(group, user, tx.index));
  tx.emit({ type: 'group_created', group_id: group.id, user_id: user.id });
  return {};
}

export function joinGroup(tx: Transaction, { group_id }: Payloads['join_group']): ResultOf<'join_group'> {
  const { user } = tx.session().daemon;
  const group = requireGroup(tx.state, group_id);
  if (group.members.has(user.id)) {
    throw new MtError('ALREADY_MEMBER', `You are a member of "${group.id}" already`);
  }
  if (group.requests.has(user.id)) {
    throw new MtError(
      'ALREADY_REQUESTED',
      `You have asked to join "${group.id}" already`,
      `Its owner, ${group.owner.id}, decides`,
    );
  }
  tx.state.addRequest(new Request(group, user, tx.now));
  tx.emit({ type: 'join_requested', group_id: group.id, user_id: user.id });
  return {};
}

/** Also takes back one's own request. */
export function leaveGroup(tx: Transaction, { group_id }: Payloads['leave_group']): ResultOf<'leave_group'> {
  const { user } = tx.session().daemon;
  const group = requireGroup(tx.state, group_id);
  const request = group.requests.get(user.id);
  if (request !== undefined) {
    tx.state.removeRequest(request);
    tx.emit({ type: 'request_withdrawn', group_id: group.id, user_id: user.id });
    return {};
  }
  endMembership(tx, requireMember(group, user), false);
  return {};
}

export function acceptRequest(tx: Transaction, payload: Payloads['accept_request']): ResultOf<'accept_request'> {
  const request = requireRequest(tx, payload);
  const { group, user } = request;
  tx.state.removeRequest(request);
  tx.state.addMember(new Member(group, user, tx.index));
  tx.emit({ type: 'member_joined', group_id: group.id, user_id: user.id });
  return {};
}

export function rejectRequest(tx: Transaction, payload: Payloads['reject_request']): ResultOf<'reject_request'> {
  const request = requireRequest(tx, payload);
  tx.state.removeRequest(request);
  tx.emit({ type: 'request_rejected', group_id: request.group.id, user_id: request.user.id });
  return {};
}

export function removeMember(tx: Transaction, payload: Payloads['remove_member']): ResultOf<'remove_member'> {
  const { group, member } = ownersTarget(tx, payload);
  if (member.user === group.owner) {
    throw new MtError(
      'INVALID_ARGUMENT',
      'The owner cannot remove themselves',
      `To leave the group to its longest-standing member: mt leave_group ${group.id}`,
    );
  }
  endMembership(tx, member, true);
  return {};
}

export function transferOwnership(
  tx: Transaction,
  payload: Payloads['transfer_ownership'],
): ResultOf<'transfer_ownership'> {
  const { group, member } = ownersTarget(tx, payload);
  const previous = group.owner;
  if (member.user === previous) {
    throw new MtError(
      'INVALID_ARGUMENT',
      `You own "${group.id}" already`,
      `See its members: mt list_members ${group.id}`,
    );
  }
  const { groupsPerUser } = tx.state.limits;
  if (member.user.ownedGroups >= groupsPerUser) {
    throw new MtError('FORBIDDEN', `${member.user.id} owns ${groupsPerUser} groups, which is the most`);
  }
  tx.state.setOwner(group, member.user);
  tx.emit({ type: 'owner_changed', group_id: group.id, user_id: member.user.id, previous: previous.id });
  return {};
}

interface OfMember {
  readonly group_id: string;
  readonly user_id: string;
}

/** The pending request that the owner decides on. */
function requireRequest(tx: Transaction, { group_id, user_id }: OfMember): Request {
  const { user } = tx.session().daemon;
  const group = requireGroup(tx.state, group_id);
  requireOwner(group, user);
  const request = group.requests.get(user_id);
  if (request !== undefined) return request;
  throw new MtError(
    'NO_SUCH_REQUEST',
    group.members.has(user_id)
      ? `${user_id} is a member of "${group.id}" already`
      : `${user_id} has not asked to join "${group.id}"`,
    `See who has: mt list_requests ${group.id}`,
  );
}

/** The member that the owner acts on. */
function ownersTarget(tx: Transaction, { group_id, user_id }: OfMember): { group: Group; member: Member } {
  const { user } = tx.session().daemon;
  const group = requireGroup(tx.state, group_id);
  requireOwner(group, user);
  const member = group.members.get(user_id);
  if (member !== undefined) return { group, member };
  throw new MtError(
    'NO_SUCH_MEMBER',
    `${user_id} is not a member of "${group.id}"`,
    group.requests.has(user_id)
      ? `Decide on the request: mt accept_request ${group.id} ${user_id}, or mt reject_request ${group.id} ${user_id}`
      : `See its members: mt list_members ${group.id}`,
  );
}

function endMembership(tx: Transaction, member: Member, removed: boolean): void {
  const { state } = tx;
  const { group, user } = member;
  const shares = [...user.daemons.values()].flatMap((daemon) =>
    sharesIn(daemon.shares.values({ group, name: '' }), group),
  );
  state.removeMember(member);
  state.setEpoch(group, tx.index);
  tx.emit({ type: 'member_left', group_id: group.id, user_id: user.id, removed, epoch: group.epoch });
  for (const share of shares) endShare(tx, share);
  if (group.members.size === 0) {
    for (const request of [...group.requests.values()]) state.removeRequest(request);
    state.removeGroup(group);
    tx.emit({ type: 'group_ended', group_id: group.id });
  } else if (group.owner === user) {
    const heir = longestStanding(group);
    state.setOwner(group, heir);
    tx.emit({ type: 'owner_changed', group_id: group.id, user_id: heir.id, previous: user.id });
  }
}

/** The run of this group's shares at the start of a list by group and name. */
function sharesIn(shares: Iterable<Share>, group: Group): Share[] {
  const found: Share[] = [];
  for (const share of shares) {
    if (share.file.group !== group) break;
    found.push(share);
  }
  return found;
}

/** Looks at every member, but only when an owner leaves: 100,000 members take about a millisecond. */
function longestStanding(group: Group): User {
  let heir: Member | undefined;
  for (const member of group.members.values()) if (heir === undefined || member.joined < heir.joined) heir = member;
  return heir!.user;
}
