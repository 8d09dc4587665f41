// What daemons ask and say about each other: whether holders of tickets still are who the tickets say, and that a source was banned.
import { requireSession } from '../../state/guards.ts';
import { isMember, isSharer, standingOfHolder } from '../../state/lookups.ts';
import { findFile } from '../../state/queries.ts';
import type { Handler, HandlerTable } from './context.ts';

const checkHolders: Handler<'check_holders'> = async (
  context,
  { fingerprint },
  { session, holders },
  { timeoutMs },
) => {
  await context.engine.readBarrier(timeoutMs);
  const state = context.state();
  const { id: asker } = requireSession(state, { fingerprint, session }).daemon.user;
  const standings = holders.map((holder) =>
    isMember(state, holder.group_id, asker) ? standingOfHolder(state, holder) : 'left',
  );
  return { standings };
};

const reportPeer: Handler<'report_peer'> = async (context, caller, params, { timeoutMs }) => {
  const { session, group_id, file_name, user_id, fingerprint, reason } = params;
  await context.engine.readBarrier(timeoutMs);
  const state = context.state();
  const reporter = requireSession(state, { fingerprint: caller.fingerprint, session }).daemon.user.id;
  const file = findFile(state, { fingerprint: caller.fingerprint, session }, { group_id, file_name });
  if (!context.reports.take(reporter, `${fingerprint} ${group_id}/${file.file_name}`, Date.now())) return {};
  /** False: it has gone meanwhile, or never was one. */
  const source = isSharer(state, { group_id, file_name, user_id, fingerprint });
  context.log.warn(
    { user: user_id, fingerprint, group: group_id, file: file_name, source, reason, reporter, from: caller.remote },
    'a daemon banned a source and reports it',
  );
  return {};
};

export const peerHandlers: HandlerTable<'check_holders' | 'report_peer'> = {
  check_holders: checkHolders,
  report_peer: reportPeer,
};
