// Methods that become commands of the log as they are: who calls and what they say, nothing decided here.
import { MtError } from '../../../codec/errors.ts';
import { decodeManifest, manifestHash } from '../../../codec/manifest.ts';
import type { RequestId } from '../../../codec/tracker-rpc.ts';
import { isMember, sessionInfo } from '../../state/lookups.ts';
import type { CommandType, Payloads, Reply, ResultOf } from '../../state/types.ts';
import type { Engine, Proposed, ProposeOptions } from '../engine.ts';
import type { Caller, Handler, HandlerTable, ServerContext } from './context.ts';
import { randomToken } from './tokens.ts';

/** Methods whose payload is their parameters without request and session. */
const PLAIN = [
  'resume',
  'logout',
  'revoke_session',
  'create_group',
  'join_group',
  'leave_group',
  'accept_request',
  'reject_request',
  'remove_member',
  'transfer_ownership',
  'begin_download',
  'record_share',
  'stop_share',
  'remove_file',
] as const;
type Plain = (typeof PLAIN)[number];

export interface Speaker {
  readonly request: RequestId;
  readonly session: string | null;
  readonly fingerprint: string;
}

/**
 * Logs one command and gives its result.
 * @throws MtError as the state machine decided, or as the engine failed.
 */
export async function proposeAs<T extends CommandType>(
  engine: Engine,
  speaker: Speaker,
  type: T,
  payload: Payloads[T],
  options: ProposeOptions,
): Promise<ResultOf<T>> {
  const { request, session, fingerprint } = speaker;
  const command = {
    type,
    clientId: request.client_id,
    seq: request.seq,
    acked: request.acked,
    actor: { fingerprint, session },
    payload,
  } as unknown as Proposed;
  return resultOf(await engine.propose(command, options)) as ResultOf<T>;
}

export function resultOf(reply: Reply): ResultOf<CommandType> {
  if (reply.ok) return reply.result;
  throw MtError.fromWire(reply.error);
}

const plain = Object.fromEntries(
  PLAIN.map((type) => {
    const handler: Handler<Plain> = (context, caller, params, { timeoutMs }) => {
      const { request, session, ...payload } = params;
      const speaker = { request, session, fingerprint: caller.fingerprint };
      return proposeAs(context.engine, speaker, type, payload as Payloads[Plain], { timeoutMs });
    };
    return [type, handler];
  }),
) as HandlerTable<Plain>;

const registerClient: Handler<'register_client'> = async (
  { engine, budgets },
  { fingerprint, remote },
  _params,
  { timeoutMs },
) => {
  budgets.clients.take(remote, Date.now());
  const command = {
    type: 'register_client',
    clientId: null,
    seq: 0,
    acked: 0,
    actor: { fingerprint, session: null },
    payload: { client_id: randomToken() },
  } as const;
  return resultOf(await engine.propose(command, { timeoutMs })) as ResultOf<'register_client'>;
};

/** The end of a lease, brought forward by its holder. */
const goodbye: Handler<'goodbye'> = async ({ engine, state }, { fingerprint }, { session, epoch }, { timeoutMs }) => {
  const info = sessionInfo(state(), { fingerprint, session });
  const isOver = !info || (!info.online && info.epoch >= epoch);
  if (isOver) return {};
  const nobody = { fingerprint: null, session: null };
  const payload = { sessions: [{ session, epoch }] };
  const command = { type: 'expire', clientId: null, seq: 0, acked: 0, actor: nobody, payload } as const;
  return resultOf(await engine.propose(command, { timeoutMs })) as ResultOf<'expire'>;
};

/** The manifest is read here, once: the command says what it says, and carries it as an attachment. */
const shareFile: Handler<'share_file'> = async (context, caller, params, { timeoutMs }) => {
  const { request, session, group_id, file_name, manifest: bytes } = params;
  const { size, sha1, pieceSize, pieceCount } = decodeManifest(bytes);
  await requireMember(context, caller, session, group_id, timeoutMs);
  const hash = manifestHash(bytes);
  const payload = {
    group_id,
    file_name,
    manifest_hash: Uint8Array.from(hash),
    size,
    sha1: Uint8Array.from(sha1),
    piece_size: pieceSize,
    piece_count: pieceCount,
  };
  const speaker = { request, session, fingerprint: caller.fingerprint };
  return proposeAs(context.engine, speaker, 'share_file', payload, { timeoutMs, manifest: { hash, bytes } });
};

/**
 * Keeps strangers from filling the log with manifests. The state machine decides anyway; here a refusal only needs to be right, so
 * it is checked again behind a read barrier before it is given.
 */
async function requireMember(
  { engine, state }: ServerContext,
  { fingerprint }: Caller,
  session: string,
  groupId: string,
  timeoutMs: number,
): Promise<void> {
  const isIn = () => {
    const info = sessionInfo(state(), { fingerprint, session });
    return info !== null && isMember(state(), groupId, info.user_id);
  };
  if (isIn()) return;
  await engine.readBarrier(timeoutMs);
  if (isIn()) return;
  if (!sessionInfo(state(), { fingerprint, session })) {
    throw new MtError('NOT_LOGGED_IN', 'This daemon is not logged in', 'Run: mt login <user_id>');
  }
  if (!state().groups.has(groupId)) {
    throw new MtError('NO_SUCH_GROUP', `There is no group "${groupId}"`, 'See which there are: mt list_groups');
  }
  throw new MtError('NOT_MEMBER', `You are not a member of "${groupId}"`, `Ask to join: mt join_group ${groupId}`);
}

export const commandHandlers = { ...plain, register_client: registerClient, goodbye, share_file: shareFile };
