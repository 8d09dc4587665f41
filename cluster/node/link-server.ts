// What other trackers may call (codec/tracker-link.ts). They hold the cluster key, so they are believed; but a tracker of another
// cluster, or one that is not a member yet, has no say in ours.
import { MtError } from '../../codec/errors.ts';
import type { Handlers } from '../../codec/rpc.ts';
import type { LinkApi, TrackerAt } from '../../codec/tracker-link.ts';
import type { TrackerHello } from '../../codec/tracker-rpc.ts';
import type { History } from '../store/history.ts';
import type { ManifestTable } from '../store/manifest-table.ts';
import { ownRow, type StatusRow, waitingRow } from './cluster-status.ts';
import type { Formation } from './formation.ts';
import type { Member } from './member.ts';

export interface LinkServerContext {
  readonly own: () => TrackerHello;
  readonly formation: () => Formation | null;
  readonly member: () => Member | null;
  readonly manifests: ManifestTable;
  readonly history: History;
  readonly join: (clusterId: string) => void;
  /** Whom to be connected to until the log tells. */
  readonly meet: (members: readonly TrackerAt[]) => void;
  readonly onRemoved: () => void;
  /** What is out of the ordinary with this tracker; null when nothing is. */
  readonly note: () => string | null;
}

export function makeLinkHandlers(from: TrackerHello, context: LinkServerContext): Handlers<LinkApi> {
  const requireForming = (): Formation => {
    const formation = context.formation();
    if (formation) return formation;
    throw new MtError('FORBIDDEN', `Tracker ${context.own().number} belongs to a cluster already`);
  };
  const requireMember = (): Member => {
    const member = context.member();
    if (member && from.cluster_id === context.own().cluster_id) return member;
    throw new MtError('FORBIDDEN', `Tracker ${context.own().number} is not in your cluster`);
  };
  return {
    confirm_founding: ({ founders }) => {
      requireForming().confirm(founders);
      return {};
    },
    founded: ({ cluster_id, founders }) => {
      // Told twice is as good as once.
      if (context.own().cluster_id !== cluster_id) requireForming().founded(cluster_id, founders);
      return {};
    },
    join: ({ cluster_id, members }) => {
      if (context.own().cluster_id !== cluster_id) {
        requireForming();
        context.join(cluster_id);
      }
      context.meet(members);
      return {};
    },
    removed: ({ cluster_id }) => {
      if (from.cluster_id === cluster_id) context.onRemoved();
      return {};
    },
    administer: ({ action }) => requireMember().administrator.actAsLeader(action),
    status: () => statusRow(context, requireMember),
    clock: () => ({ now: Date.now() }),
    report_leases: ({ sessions, downloads, shortfalls }) => {
      requireMember().leases.reported(sessions, { progress: downloads, shortfalls }, performance.now());
      return {};
    },
    snapshot_begin: (header) => {
      requireMember().receiver.begin(header);
      return {};
    },
    snapshot_chunk: ({ index, position, data }) => {
      requireMember().receiver.chunk(index, position, data);
      return {};
    },
    snapshot_end: async ({ index, term }) => {
      const member = requireMember();
      const received = await member.receiver.end(index, from.incarnation);
      const message = {
        type: 'install_snapshot',
        from: from.incarnation,
        to: context.own().incarnation,
        term,
        snapshot: received.snapshot.meta,
      } as const;
      member.engine.driver.offerSnapshot(received, message);
      return {};
    },
    get_manifest: ({ hash }) => {
      requireMember();
      return { manifest: context.manifests.get(hash) };
    },
    state_hash_at: ({ index }) => ({ hash: requireMember().stateCheck.hashAt(index) }),
    majority_hash: ({ index, hash }) => {
      requireMember().stateCheck.onMajority(index, hash);
      return {};
    },
    get_history: ({ from, to }) => {
      requireMember();
      return { rows: context.history.read({ from, to }) };
    },
  };
}

function statusRow(context: LinkServerContext, requireMember: () => Member): StatusRow {
  const { number } = context.own();
  const formation = context.formation();
  if (!formation) return ownRow(number, requireMember().engine, context.note());
  return waitingRow(number, context.note() ?? formation.waitingFor);
}
