// Accounts and sessions: who exists, which daemon speaks for whom, where it is reached, whether it is there. Passwords were hashed
// or verified by the tracker that received the request; here a verified one counts only while it is still the current one.

import { MtError } from '../../codec/errors.ts';
import type { Address } from '../../codec/ids.ts';
import { countFailure, forgiveUser, requireNoWait } from './attempts.ts';
import { toHex } from './bytes.ts';
import { SESSIONS_PER_USER_MAX } from './limits.ts';
import { Session, type StoredPassword, User } from './records.ts';
import type { Transaction } from './transaction.ts';
import type { PasswordHash, Payloads, ResultOf, SessionEnd } from './types.ts';

export function createUser(tx: Transaction, { user_id, password }: Payloads['create_user']): ResultOf<'create_user'> {
  if (tx.state.users.has(user_id)) {
    throw new MtError(
      'USER_EXISTS',
      `The user "${user_id}" exists already`,
      `Choose another user id, or run: mt login ${user_id}`,
    );
  }
  tx.by = user_id;
  tx.state.addUser(new User(user_id, tx.now, storedPassword(password, tx.index)));
  tx.emit({ type: 'user_created', user_id });
  return {};
}

export function login(tx: Transaction, payload: Payloads['login']): ResultOf<'login'> {
  const { state } = tx;
  requireNoWait(state, payload.user_id, payload.remote);
  const user = state.users.get(payload.user_id);
  if (user === undefined || user.password.version !== payload.password_version) throw badCredentials();
  if (state.sessions.has(payload.session)) throw new MtError('PROTOCOL', 'This session id is in use');
  const fingerprint = tx.actor.fingerprint!;
  const previous = state.sessionsByFingerprint.get(fingerprint);
  const renewed = previous?.daemon.user === user;
  const evicted = renewed ? null : sessionToEvict(user);

  tx.by = user.id;
  if (previous) endSession(tx, previous, renewed ? 'renewed' : 'replaced');
  if (evicted) endSession(tx, evicted, 'revoked');
  forgiveUser(state, user.id);
  const { host, port } = payload.address;
  const session = new Session(payload.session, state.daemonOf(user, fingerprint), tx.now, host, port, tx.index);
  state.addSession(session);
  tx.emit({ type: 'logged_in', user_id: user.id, fingerprint });
  tx.emit({ type: 'daemon_online', user_id: user.id, fingerprint, address: { host, port } });
  return { session: session.id, epoch: session.epoch };
}

/** Always an error: it was one. */
export function loginFailed(tx: Transaction, { user_id, remote }: Payloads['login_failed']): never {
  requireNoWait(tx.state, user_id, remote);
  countFailure(tx.state, user_id, remote);
  tx.emit({ type: 'login_failed', user_id, remote });
  throw badCredentials();
}

export function resume(tx: Transaction, { address }: Payloads['resume']): ResultOf<'resume'> {
  const session = tx.session();
  const { user, fingerprint } = session.daemon;
  const news = !session.online || session.host !== address.host || session.port !== address.port;
  tx.state.setOnline(session, address.host, address.port, tx.index);
  if (news) tx.emit({ type: 'daemon_online', user_id: user.id, fingerprint, address });
  return { user_id: user.id, epoch: session.epoch };
}

export function logout(tx: Transaction): ResultOf<'logout'> {
  endSession(tx, tx.session(), 'logout');
  return {};
}

/** A session that came back meanwhile has a newer epoch and is left alone. */
export function expire(tx: Transaction, { sessions }: Payloads['expire']): ResultOf<'expire'> {
  for (const { session: id, epoch } of sessions) {
    const session = tx.state.sessions.get(id);
    if (session === undefined || !session.online || session.epoch !== epoch) continue;
    tx.state.setOffline(session);
    const { user, fingerprint } = session.daemon;
    tx.emit({ type: 'daemon_offline', user_id: user.id, fingerprint, reason: 'expired' });
  }
  return {};
}

/** Other sessions go on: they are bound to their daemons' keys, and revoke_session ends those that should not. */
export function changePassword(tx: Transaction, payload: Payloads['change_password']): ResultOf<'change_password'> {
  const { user } = tx.session().daemon;
  if (user.password.version !== payload.password_version) throw badCredentials();
  tx.state.setPassword(user, storedPassword(payload.password, tx.index));
  tx.emit({ type: 'password_changed', user_id: user.id });
  return {};
}

export function revokeSession(tx: Transaction, { target }: Payloads['revoke_session']): ResultOf<'revoke_session'> {
  const { user } = tx.session().daemon;
  const session = tx.state.sessions.get(target);
  if (session === undefined || session.daemon.user !== user) {
    throw new MtError('INVALID_ARGUMENT', 'You have no such session', 'See which you have: mt sessions');
  }
  endSession(tx, session, 'revoked');
  return {};
}

/** The same for an unknown user and a wrong password. */
function badCredentials(): MtError {
  return new MtError(
    'BAD_CREDENTIALS',
    'Wrong user id or password',
    'A new account is made with: mt create_user <user_id>',
  );
}

function storedPassword(password: PasswordHash, version: number): StoredPassword {
  const { n, r, p, salt, hash } = password;
  return { n, r, p, salt: toHex(salt), hash: toHex(hash), version };
}

/** The one that has been offline longest, when the user has as many as one may have. */
function sessionToEvict(user: User): Session | null {
  if (user.sessionCount < SESSIONS_PER_USER_MAX) return null;
  let oldest: Session | null = null;
  for (const { session } of user.daemons.values()) {
    if (session && !session.online && (oldest === null || session.epoch < oldest.epoch)) oldest = session;
  }
  if (oldest !== null) return oldest;
  throw new MtError(
    'FORBIDDEN',
    `You are logged in on ${SESSIONS_PER_USER_MAX} daemons, which is the most`,
    'Run mt logout on one of them',
  );
}

function endSession(tx: Transaction, session: Session, reason: SessionEnd): void {
  const { user, fingerprint } = session.daemon;
  const ofDaemon = { user_id: user.id, fingerprint };
  const wasOnline = session.online;
  tx.state.removeSession(session);
  if (wasOnline && reason !== 'renewed') tx.emit({ type: 'daemon_offline', ...ofDaemon, reason });
  tx.emit({ type: 'session_ended', ...ofDaemon, reason });
}

/** Where peers reach a daemon, while it is online. */
export function addressOf(session: Session): Address {
  return { host: session.host, port: session.port };
}
