// What a daemon shows to Prometheus: transfers, rates, peers, what waits. No name of a user, group or file.
import { createMetrics, type Metrics, single } from '../codec/service/gauges.ts';
import { type Monitor, startMonitor } from '../codec/service/monitor.ts';
import type { ControlContext } from './control/context.ts';

/** @throws MtError ADDRESS_IN_USE */
export async function monitorDaemon(port: number, context: ControlContext): Promise<Monitor> {
  const metrics = await createMetrics(context.about.version);
  describeDaemon(metrics, context);
  return startMonitor({
    port,
    registry: metrics.registry,
    whyNotReady: () => (context.client.tracker ? null : (context.client.linkError?.message ?? 'no tracker answers')),
  });
}

function describeDaemon(
  { gauge }: Metrics,
  { client, session, shares, outbox, uploads, keeper, dataPlane }: ControlContext,
): void {
  gauge({
    name: 'mt_peer_tracker_connected',
    help: '1 while the daemon has a link to a tracker',
    rows: single(() => Number(client.tracker !== null)),
  });
  gauge({
    name: 'mt_peer_logged_in',
    help: '1 while somebody is logged in',
    rows: single(() => Number(session.userId !== null)),
  });
  gauge({ name: 'mt_peer_shares', help: 'Files that are shared', rows: single(() => shares.count) });
  gauge({
    name: 'mt_peer_downloads',
    help: 'Downloads by state',
    labels: ['state'],
    rows: () => {
      const counts = { downloading: 0, complete: 0, failed: 0, paused: 0 };
      for (const { state } of dataPlane.list()) counts[state] += 1;
      return Object.entries(counts).map(([state, count]) => [{ state }, count]);
    },
  });
  gauge({
    name: 'mt_peer_sources',
    help: 'Peers that pieces come from now, over all downloads',
    rows: single(() => dataPlane.list().reduce((sum, { peers }) => sum + peers, 0)),
  });
  gauge({
    name: 'mt_peer_transfer_bytes_per_second',
    help: 'Content moving now',
    labels: ['direction'],
    rows: () => {
      const { upload, download } = dataPlane.rates();
      return [
        [{ direction: 'up' }, upload],
        [{ direction: 'down' }, download],
      ];
    },
  });
  gauge({
    name: 'mt_peer_transfer_bytes_total',
    help: 'Content moved since the daemon started',
    labels: ['direction'],
    isCounter: true,
    rows: () => {
      const { bytesUploaded, bytesDownloaded } = dataPlane.rates();
      return [
        [{ direction: 'up' }, bytesUploaded],
        [{ direction: 'down' }, bytesDownloaded],
      ];
    },
  });
  gauge({
    name: 'mt_peer_limit_bytes_per_second',
    help: 'Transfer limits; 0: none',
    labels: ['direction'],
    rows: () => {
      const { up, down } = dataPlane.limits({ up: null, down: null });
      return [
        [{ direction: 'up' }, up],
        [{ direction: 'down' }, down],
      ];
    },
  });
  describeShares(gauge, keeper, shares);
  gauge({
    name: 'mt_peer_queue_depth',
    help: 'What waits: commands for the trackers, files to be hashed and told',
    labels: ['queue'],
    rows: () => [
      [{ queue: 'outbox' }, outbox.size],
      [{ queue: 'uploads' }, uploads.underWay],
    ],
  });
}

function describeShares(
  gauge: Metrics['gauge'],
  keeper: ControlContext['keeper'],
  shares: ControlContext['shares'],
): void {
  gauge({
    name: 'mt_peer_shares_lost',
    help: 'Shares that cannot be had whole from here: missing, changed or damaged',
    rows: single(() => shares.shortfalls().length),
  });
  gauge({
    name: 'mt_peer_scrub_bytes_total',
    help: 'Content read again and compared',
    isCounter: true,
    rows: single(() => keeper.status().bytes_checked),
  });
  gauge({
    name: 'mt_peer_scrub_pieces_total',
    help: 'Pieces that the scrub found damaged, and that were repaired from the group',
    labels: ['what'],
    isCounter: true,
    rows: () => {
      const { pieces_damaged, pieces_repaired } = keeper.status();
      return [
        [{ what: 'damaged' }, pieces_damaged],
        [{ what: 'repaired' }, pieces_repaired],
      ];
    },
  });
}
