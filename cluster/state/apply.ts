/**
 * The state machine: one committed entry in, its reply and events out. Deterministic: it reads nothing but the state and the
 * command, so every node that applies the same log has the same state and would give the same answers.
 */
import { MtError } from '../../codec/errors.ts';
import { changePassword, createUser, expire, login, loginFailed, logout, resume, revokeSession } from './accounts.ts';
import { invariant } from './bytes.ts';
import { admit, forgetIdleClients, registerClient, remember } from './clients.ts';
import { setLimits, upgrade } from './cluster.ts';
import { beginDownload, recordShare, removeFile, shareFile, stopShare } from './files.ts';
import {
  acceptRequest,
  createGroup,
  joinGroup,
  leaveGroup,
  rejectRequest,
  removeMember,
  transferOwnership,
} from './groups.ts';
import type { State } from './state.ts';
import { Transaction } from './transaction.ts';
import type { Applied, Command, CommandType, Payloads, Reply, ResultOf } from './types.ts';

const HANDLERS: { readonly [T in CommandType]: (tx: Transaction, payload: Payloads[T]) => ResultOf<T> } = {
  register_client: registerClient,
  create_user: createUser,
  login,
  login_failed: loginFailed,
  resume,
  logout,
  expire,
  change_password: changePassword,
  revoke_session: revokeSession,
  create_group: createGroup,
  join_group: joinGroup,
  leave_group: leaveGroup,
  accept_request: acceptRequest,
  reject_request: rejectRequest,
  remove_member: removeMember,
  transfer_ownership: transferOwnership,
  share_file: shareFile,
  begin_download: beginDownload,
  record_share: recordShare,
  stop_share: stopShare,
  remove_file: removeFile,
  set_limits: setLimits,
  upgrade,
};

/** An entry that carries no command (noop, config). */
export function advance(state: State, index: number): void {
  // Scenario 40: a state that is newer than the log must be noticed before it is made worse.
  invariant(index > state.index, `entry ${index} applied after ${state.index}`);
  state.index = index;
}

/**
 * Applies the command of the entry at `index`, which must be above all earlier ones.
 * @throws UnknownCommandError, or a plain Error for a broken invariant: the node must halt. A user's error is in the reply.
 */
export function apply(state: State, index: number, command: Command): Applied {
  advance(state, index);
  if (command.at > state.now) state.now = command.at;
  forgetIdleClients(state);
  const tx = new Transaction(state, command.actor);
  if (command.clientId === null) return result(tx, run(tx, command));
  const admission = admit(state, command);
  if (admission.client === null) return result(tx, admission.reply, admission.repeated);
  const reply = run(tx, command);
  remember(state, admission.client, command.seq, reply);
  return result(tx, reply);
}

function run(tx: Transaction, command: Command): Reply {
  try {
    const handler = HANDLERS[command.type] as (tx: Transaction, payload: Command['payload']) => ResultOf<CommandType>;
    return { ok: true, result: handler(tx, command.payload) };
  } catch (error) {
    if (error instanceof MtError) return { ok: false, error: error.toWire() };
    throw error;
  }
}

function result(tx: Transaction, reply: Reply, repeated = false): Applied {
  return { index: tx.index, at: tx.now, by: tx.by, reply, events: tx.events, repeated };
}
