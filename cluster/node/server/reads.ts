// Reads by a session: behind a read barrier, so that they see everything acknowledged before, on any tracker. What they answer and who
// may see it is the state's business (cluster/state/queries.ts); tickets are signed here.
import { MtError } from '../../../codec/errors.ts';
import { TICKET_LIFE_MS } from '../../../codec/limits.ts';
import type { CallContext } from '../../../codec/rpc.ts';
import { CLOCK_SKEW_MS, signTicket } from '../../../codec/ticket.ts';
import { sessionInfo } from '../../state/lookups.ts';
import {
  findFile,
  listFiles,
  listGroups,
  listMembers,
  listRequests,
  listSeeders,
  listSessions,
  locateFile,
} from '../../state/queries.ts';
import type { State } from '../../state/state.ts';
import type { Actor } from '../../state/types.ts';
import type { Caller, Handler, HandlerTable, ServerContext } from './context.ts';

/** A handler that answers from the state as `query` does. */
function reading<P, R>(query: (state: State, actor: Actor, params: P) => R) {
  return async (
    context: ServerContext,
    caller: Caller,
    params: P & { session: string },
    call: Pick<CallContext, 'timeoutMs'>,
  ): Promise<R> => {
    await context.engine.readBarrier(call.timeoutMs);
    return query(context.state(), actorOf(caller, params), params);
  };
}

function actorOf({ fingerprint }: Caller, { session }: { session: string }): Actor {
  return { fingerprint, session };
}

const seeders: Handler<'list_seeders'> = async (context, caller, params, { timeoutMs }) => {
  await context.engine.readBarrier(timeoutMs);
  const state = context.state();
  const piecesOf = (fingerprint: string) => {
    const session = state.sessionsByFingerprint.get(fingerprint);
    return session ? context.leases.piecesOf(session.id, params.group_id, params.file_name) : 0;
  };
  return listSeeders(state, actorOf(caller, params), params, piecesOf, context.leases.shortfallOf);
};

const files: Handler<'list_files'> = async (context, caller, params, { timeoutMs }) => {
  await context.engine.readBarrier(timeoutMs);
  const treeSizeOf = (hash: Uint8Array) => context.manifests.treeSize(hash);
  return listFiles(context.state(), actorOf(caller, params), params, context.leases.shortfallOf, treeSizeOf);
};

const locate: Handler<'locate_file'> = async (context, caller, params, { timeoutMs }) => {
  await context.engine.readBarrier(timeoutMs);
  const state = context.state();
  const { file, peers, user_id, epoch } = locateFile(
    state,
    actorOf(caller, params),
    params,
    context.leases.shortfallOf,
  );
  const nowMs = Date.now();
  const ticket = {
    user_id,
    fingerprint: caller.fingerprint,
    group_id: params.group_id,
    epoch,
    file_name: params.file_name,
    manifest_hash: file.manifest_hash,
    not_before: nowMs - CLOCK_SKEW_MS,
    expires_at: nowMs + TICKET_LIFE_MS,
  };
  return {
    file,
    peers,
    ticket: Uint8Array.from(signTicket(ticket, context.key.signing)),
    ticket_expires_at: ticket.expires_at,
    index: state.index,
  };
};

const manifest: Handler<'get_manifest'> = async (context, caller, params, { timeoutMs }) => {
  await context.engine.readBarrier(timeoutMs);
  const file = findFile(context.state(), actorOf(caller, params), params);
  return { manifest: Uint8Array.from(context.manifests.require(file.manifest_hash)) };
};

/**
 * Answered by what this tracker knows: a lease needs no barrier. That there is no such session does: a tracker that has just
 * started knows an old state, and its word would log the daemon out for good.
 */
const heartbeat: Handler<'heartbeat'> = async (context, caller, params, { timeoutMs }) => {
  const { session, epoch, downloads, shortfalls = [] } = params;
  const look = () => sessionInfo(context.state(), { fingerprint: caller.fingerprint, session });
  let info = look();
  if (!info) {
    await context.engine.readBarrier(timeoutMs);
    info = look();
  }
  // This tracker may be behind by a moment: a session of a later epoch than it knows is kept alive as well.
  if (!info) throw new MtError('NOT_LOGGED_IN', 'This daemon is not logged in', 'Run: mt login <user_id>');
  const online = epoch > info.epoch || (info.online && epoch === info.epoch);
  if (online) context.leases.heartbeat(session, epoch, { downloads, shortfalls }, performance.now());
  return { online };
};

type ReadMethod =
  | `list_${'groups' | 'members' | 'requests' | 'files' | 'seeders' | 'sessions'}`
  | 'locate_file'
  | 'get_manifest'
  | 'heartbeat'
  | 'tracker_status';

export const readHandlers: HandlerTable<ReadMethod> = {
  list_groups: reading(listGroups),
  list_members: reading(listMembers),
  list_requests: reading(listRequests),
  list_files: files,
  list_seeders: seeders,
  list_sessions: reading(listSessions),
  locate_file: locate,
  get_manifest: manifest,
  heartbeat,
  tracker_status: (context) => context.clusterStatus(),
};
