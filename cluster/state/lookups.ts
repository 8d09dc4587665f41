// What a tracker asks of the state for its own work: checking a login, leases, watch streams, manifests on its disk.
// Not for answers to daemons: those are in queries.ts, with their checks of who may see what.
import type { Address } from '../../codec/ids.ts';
import type { PeerInfo } from '../../codec/tracker-rpc.ts';
import { addressOf } from './accounts.ts';
import { fromHex, toHex } from './bytes.ts';
import { findSession } from './guards.ts';
import { peerInfo, type ShortfallOf } from './queries.ts';
import type { State } from './state.ts';
import type { Actor, PasswordHash } from './types.ts';

export { loginWaitMs } from './attempts.ts';

/** What a password is verified against; pass `version` on as password_version. Null for an unknown user. */
export function credentials(state: State, userId: string): (PasswordHash & { readonly version: number }) | null {
  const stored = state.users.get(userId)?.password;
  if (stored === undefined) return null;
  const { n, r, p, salt, hash, version } = stored;
  return { n, r, p, salt: fromHex(salt), hash: fromHex(hash), version };
}

export interface SessionInfo {
  readonly user_id: string;
  readonly fingerprint: string;
  readonly online: boolean;
  /** Where peers reach the daemon, as it said when it logged in or resumed. */
  readonly address: Address;
  /** Presence epoch: a heartbeat or an expiry of another one is out of date. */
  readonly epoch: number;
}

/** The session that is named, if it exists and is this daemon's. */
export function sessionInfo(state: State, actor: Actor): SessionInfo | null {
  const session = findSession(state, actor);
  if (session === undefined) return null;
  const { daemon, online, epoch } = session;
  return { user_id: daemon.user.id, fingerprint: daemon.fingerprint, online, address: addressOf(session), epoch };
}

/** Every session that a lease must keep alive: a new leader starts all of them afresh. */
export function* onlineSessions(state: State): IterableIterator<{ readonly session: string; readonly epoch: number }> {
  for (const { id, online, epoch } of state.sessions.values()) if (online) yield { session: id, epoch };
}

/** The groups of a user with their epochs, for the first event of watch_session. */
export function* groupsOf(
  state: State,
  userId: string,
): IterableIterator<{ readonly group_id: string; readonly epoch: number }> {
  for (const { id, epoch } of state.users.get(userId)?.groups ?? []) yield { group_id: id, epoch };
}

export function isMember(state: State, groupId: string, userId: string): boolean {
  return state.groups.get(groupId)?.members.has(userId) ?? false;
}

/** Whether whoever holds a ticket of this group on that daemon is still logged in there, and a member. */
export function standingOfHolder(
  state: State,
  { user_id, fingerprint, group_id }: Omit<ShareKey, 'file_name'>,
): 'valid' | 'logged_out' | 'left' {
  if (state.sessionsByFingerprint.get(fingerprint)?.daemon.user.id !== user_id) return 'logged_out';
  return isMember(state, group_id, user_id) ? 'valid' : 'left';
}

/** 0 when there is no such group. */
export function groupEpoch(state: State, groupId: string): number {
  return state.groups.get(groupId)?.epoch ?? 0;
}

/** Names one sharer of one file. */
export interface ShareKey {
  readonly group_id: string;
  readonly file_name: string;
  readonly user_id: string;
  readonly fingerprint: string;
}

export function isSharer(state: State, { group_id, file_name, user_id, fingerprint }: ShareKey): boolean {
  const file = state.groups.get(group_id)?.files.get(file_name);
  return file?.sharers.has({ user: { id: user_id }, fingerprint }) ?? false;
}

/** This daemon as a source of this file; null when it does not share it, is offline or has lost it. */
export function peerOf(
  state: State,
  { group_id, file_name, user_id, fingerprint }: ShareKey,
  shortfallOf?: ShortfallOf,
): PeerInfo | null {
  const share = state.groups
    .get(group_id)
    ?.files.get(file_name)
    ?.sharers.get({ user: { id: user_id }, fingerprint });
  return share === undefined ? null : peerInfo(share, shortfallOf);
}

/** Whether any file of any group has this manifest; when not, its bytes may go. */
export function manifestInUse(state: State, manifestHash: Uint8Array): boolean {
  return state.manifests.has(toHex(manifestHash));
}

/** Every manifest that this tracker must hold, once each. */
export function* manifestHashes(state: State): IterableIterator<Uint8Array> {
  for (const hash of state.manifests.keys()) yield fromHex(hash);
}
