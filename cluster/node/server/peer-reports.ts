// What daemons ask and say about each other: whether holders of tickets still are who the tickets say, and that a source was banned.
// A report is written into the log for people to judge, once, and changes nothing: whoever lies in one harms nobody.
import { requireSession } from '../../state/guards.ts';
import { isMember, isSharer, standingOfHolder } from '../../state/lookups.ts';
import { findFile } from '../../state/queries.ts';
import { REPORTS_PER_USER } from '../settings.ts';
import { Budget } from './address-budgets.ts';
import type { Handler, HandlerTable } from './context.ts';

/** Remembered, so that a daemon which repeats itself is heard once; the oldest makes room. */
const REMEMBERED_MAX = 10_000;

export class PeerReports {
  readonly #budget = new Budget('reports', REPORTS_PER_USER);
  readonly #seen = new Set<string>();
  #count = 0;

  /** Reports written since this tracker started. */
  get count(): number {
    return this.#count;
  }

  /** Whether this one is new. @throws MtError OVERLOADED when its reporter has said too much. */
  take(reporter: string, about: string, nowMs: number): boolean {
    const key = `${reporter} ${about}`;
    if (this.#seen.has(key)) return false;
    this.#budget.take(reporter, nowMs);
    if (this.#seen.size >= REMEMBERED_MAX) this.#seen.delete(this.#seen.values().next().value!);
    this.#seen.add(key);
    this.#count++;
    return true;
  }
}

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

export const peerReportHandlers: HandlerTable<'check_holders' | 'report_peer'> = {
  check_holders: checkHolders,
  report_peer: reportPeer,
};
