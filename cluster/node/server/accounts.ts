// Methods with a password: hashed or verified here, off the event loop; the log gets the hash, or only that it was right or wrong.
import { MtError } from '../../../codec/errors.ts';
import { credentials, loginWaitMs, sessionInfo } from '../../state/lookups.ts';
import { proposeAs, type Speaker } from './commands.ts';
import type { Caller, Handler, ServerContext } from './context.ts';
import { randomToken } from './tokens.ts';

const createUser: Handler<'create_user'> = async (context, caller, { request, user_id, password }, { timeoutMs }) => {
  const speaker = { request, session: null, fingerprint: caller.fingerprint };
  context.budgets.accounts.take(caller.remote, Date.now());
  const stored = await context.passwords.hash(password, caller.remote);
  return proposeAs(context.engine, speaker, 'create_user', { user_id, password: stored }, { timeoutMs });
};

const login: Handler<'login'> = async (context, caller, params, { timeoutMs }) => {
  const { request, user_id, password, address } = params;
  const speaker = { request, session: null, fingerprint: caller.fingerprint };
  const passwordVersion = await verify(context, caller, speaker, user_id, password, timeoutMs);
  const payload = {
    user_id,
    password_version: passwordVersion,
    session: randomToken(),
    address,
    remote: caller.remote,
  };
  return proposeAs(context.engine, speaker, 'login', payload, { timeoutMs });
};

const changePassword: Handler<'change_password'> = async (context, caller, params, { timeoutMs }) => {
  const { request, session, old_password, new_password } = params;
  const speaker = { request, session, fingerprint: caller.fingerprint };
  await context.engine.readBarrier(timeoutMs);
  const info = sessionInfo(context.state(), { fingerprint: caller.fingerprint, session });
  if (!info) throw new MtError('NOT_LOGGED_IN', 'This daemon is not logged in', 'Run: mt login <user_id>');
  const passwordVersion = await verify(context, caller, speaker, info.user_id, old_password, timeoutMs);
  const password = await context.passwords.hash(new_password, caller.remote);
  const payload = { password_version: passwordVersion, password };
  return proposeAs(context.engine, speaker, 'change_password', payload, { timeoutMs });
};

/**
 * The version of the password that was verified.
 * @throws MtError BAD_CREDENTIALS, the same and after the same time for an unknown user; TOO_MANY_ATTEMPTS.
 */
async function verify(
  { engine, state, passwords }: ServerContext,
  { remote }: Caller,
  speaker: Speaker,
  userId: string,
  password: string,
  timeoutMs: number,
): Promise<number> {
  await engine.readBarrier(timeoutMs); // the account may have been made a moment ago, on another tracker
  const waitMs = loginWaitMs(state(), userId, remote, Date.now());
  if (waitMs > 0) throw tooManyAttempts(waitMs);
  const stored = credentials(state(), userId);
  if (await passwords.verify(password, stored, remote)) return stored!.version;
  // Logged, so that the count survives a failover; the state machine answers with the right error.
  await proposeAs(engine, speaker, 'login_failed', { user_id: userId, remote }, { timeoutMs });
  throw new MtError('INTERNAL', 'A failed login was accepted');
}

/** Refused before any work, and before the log: a flood of guesses must cost us little. */
function tooManyAttempts(waitMs: number): MtError {
  const seconds = Math.ceil(waitMs / 1000);
  const wait = `${seconds} ${seconds === 1 ? 'second' : 'seconds'}`;
  return new MtError('TOO_MANY_ATTEMPTS', `Too many failed logins: wait ${wait}`, `Try again in ${seconds} s`);
}

export const accountHandlers = { create_user: createUser, login, change_password: changePassword };
