// The checks that commands and reads share, each with its one error: who speaks, which group, may they. They change nothing.
import { MtError } from '../../codec/errors.ts';
import type { File, Group, Member, Session, User } from './records.ts';
import type { State } from './state.ts';
import type { Actor } from './types.ts';

/** The session that is named, if it is this daemon's. */
export function findSession(state: State, actor: Actor): Session | undefined {
  const session = actor.session === null ? undefined : state.sessions.get(actor.session);
  return session?.daemon.fingerprint === actor.fingerprint ? session : undefined;
}

export function requireSession(state: State, actor: Actor): Session {
  const session = findSession(state, actor);
  if (session !== undefined) return session;
  throw new MtError('NOT_LOGGED_IN', 'This daemon is not logged in', 'Run: mt login <user_id>');
}

export function requireGroup(state: State, groupId: string): Group {
  const group = state.groups.get(groupId);
  if (group !== undefined) return group;
  throw new MtError('NO_SUCH_GROUP', `There is no group "${groupId}"`, 'See which there are: mt list_groups');
}

export function requireMember(group: Group, user: User): Member {
  const member = group.members.get(user.id);
  if (member !== undefined) return member;
  throw group.requests.has(user.id)
    ? new MtError(
        'NOT_MEMBER',
        `You are not a member of "${group.id}" yet`,
        `Your request waits for its owner, ${group.owner.id}`,
      )
    : new MtError('NOT_MEMBER', `You are not a member of "${group.id}"`, `Ask to join: mt join_group ${group.id}`);
}

export function requireOwner(group: Group, user: User): void {
  if (group.owner === user) return;
  throw new MtError('NOT_OWNER', `Only the owner of "${group.id}" may do this`, `Its owner is ${group.owner.id}`);
}

export function requireFile(group: Group, name: string): File {
  const file = group.files.get(name);
  if (file !== undefined) return file;
  throw new MtError(
    'NO_SUCH_FILE',
    `There is no file "${name}" in "${group.id}"`,
    `See which there are: mt list_files ${group.id}`,
  );
}
