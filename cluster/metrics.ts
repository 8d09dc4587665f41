// What a tracker shows to Prometheus: how it stands in its cluster, how fast its disk is, who is connected. No name of a user or group.
import { createMetrics, type Metrics, single } from '../codec/service/gauges.ts';
import { type Monitor, startMonitor } from '../codec/service/monitor.ts';
import type { EngineStatus } from './node/engine.ts';
import type { Supervisor } from './supervisor.ts';
import { VERSION } from './usage.ts';

const ROLES: readonly EngineStatus['role'][] = ['leader', 'follower', 'candidate', 'learner', 'removed'];
/** Seconds, from a fast SSD to a disk in trouble. */
const COMMIT_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** Answers before the cluster has formed, too. @throws MtError ADDRESS_IN_USE */
export async function monitorTracker(port: number, supervisor: Supervisor): Promise<Monitor> {
  const metrics = await createMetrics(VERSION);
  describeTracker(metrics, supervisor);
  return startMonitor({ port, registry: metrics.registry, whyNotReady: () => whyNotReady(supervisor) });
}

/** It can serve commands and reads: it belongs to a cluster, and that has a leader. */
function whyNotReady({ tracker }: Supervisor): string | null {
  const engine = tracker?.engine;
  if (!engine) return tracker?.waitingFor || 'starting';
  const { leader, role } = engine.status();
  if (role === 'removed') return 'removed from the cluster';
  return leader === null ? 'no leader is known' : null;
}

function describeTracker({ gauge, histogram }: Metrics, supervisor: Supervisor): void {
  const status = () => supervisor.tracker?.engine?.status() ?? null;
  const number = (name: string, help: string, of: (status: EngineStatus) => number) =>
    gauge({
      name,
      help,
      rows: () => {
        const now = status();
        return now ? [[{}, of(now)]] : [];
      },
    });
  gauge({
    name: 'mt_tracker_role',
    help: '1 for the role that this tracker has',
    labels: ['role'],
    rows: () => {
      const role = status()?.role;
      return role ? ROLES.map((name) => [{ role: name }, Number(name === role)] as const) : [];
    },
  });
  number('mt_tracker_has_leader', '1 while this tracker knows who leads', ({ leader }) => Number(leader !== null));
  number('mt_tracker_term', 'Raft term', ({ term }) => term);
  number('mt_tracker_last_index', 'Last entry of the log', ({ lastIndex }) => lastIndex);
  number('mt_tracker_commit_index', 'Last entry that is decided', ({ commitIndex }) => commitIndex);
  number('mt_tracker_applied_index', 'Last entry that is in the state', ({ appliedIndex }) => appliedIndex);
  number('mt_tracker_commit_lag', 'Entries that are not decided yet', (s) => s.lastIndex - s.commitIndex);
  number(
    'mt_tracker_voters',
    'Trackers that vote',
    ({ members }) => members.filter(({ standing }) => standing === 'voter').length,
  );
  gauge({
    name: 'mt_tracker_connections',
    help: 'Connections that are up',
    labels: ['with'],
    rows: () => {
      const { daemons = 0, trackers = 0 } = supervisor.tracker?.connections ?? {};
      return [
        [{ with: 'daemon' }, daemons],
        [{ with: 'tracker' }, trackers],
      ];
    },
  });
  gauge({
    name: 'mt_tracker_pending_commands',
    help: 'Commands that have no answer yet',
    rows: single(() => supervisor.tracker?.engine?.pendingCount ?? 0),
  });
  const commits = histogram('mt_tracker_commit_seconds', 'Time until a batch is durable (fsync)', COMMIT_BUCKETS);
  supervisor.onCommit = (elapsedMs) => commits.observe(elapsedMs / 1000);
}
