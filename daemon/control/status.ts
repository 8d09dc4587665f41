// Control methods that say how things are: of this daemon, its tracker link, the cluster.
import type { ControlApi } from '../../codec/control-api.ts';
import { isMtError } from '../../codec/errors.ts';
import { formatAddress } from '../../codec/ids.ts';
import type { Handlers } from '../../codec/rpc.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { COMMAND_MS_DEFAULT } from '../tracker-client.ts';
import { type ControlContext, waitOf } from './context.ts';

/** `status` is about this daemon: it does not wait for trackers that are slow to say who leads. */
const LEADER_MS_MAX = 500;
/** A living tracker answers in milliseconds, also without a quorum. */
const TRACKERS_MS_MAX = 3_000;

type StatusMethod = 'status' | 'tracker_status' | 'check_clocks' | 'check_port';

export function statusHandlers(context: ControlContext): Pick<Handlers<ControlApi>, StatusMethod> {
  const { client, session, shares, outbox, dataPlane, about } = context;
  return {
    status: async (_params, { signal }) => {
      const tracker = client.tracker;
      const rates = dataPlane.rates();
      const downloads = { downloading: 0, complete: 0, failed: 0, paused: 0 };
      for (const { state } of dataPlane.list()) downloads[state] += 1;
      return {
        version: about.version,
        pid: process.pid,
        uptime_ms: Math.round(performance.now() - about.startedAtMs),
        data_dir: about.dataDir,
        socket: about.socket,
        address: formatAddress(about.address),
        fingerprint: client.identity.fingerprint,
        user_id: session.userId,
        tracker: {
          address: tracker && formatAddress(tracker.address),
          connected: tracker !== null,
          leader: tracker && (await leaderOf(context, signal)),
          outbox: outbox.size,
          error: client.linkError?.toWire() ?? null,
        },
        shares: shares.count,
        downloads,
        upload_rate: rates.upload,
        download_rate: rates.download,
        bytes_uploaded: rates.bytesUploaded,
        bytes_downloaded: rates.bytesDownloaded,
      };
    },
    tracker_status: async ({ timeout_ms = COMMAND_MS_DEFAULT }, { signal }) => {
      const timeoutMs = Math.min(timeout_ms, TRACKERS_MS_MAX);
      return client.read('tracker_status', {}, { timeoutMs, signal }).catch((error: unknown) => {
        if (isMtError(error, 'TRACKER_UNREACHABLE', 'NO_QUORUM')) return allUnreachable(client);
        throw error;
      });
    },
    check_clocks: async (params, { signal }) => {
      await client.read('read_clocks', {}, waitOf(params, signal)); // a link that had to be made first is not measured
      const askedAtMs = performance.now();
      const { now, others } = await client.read('read_clocks', {}, waitOf(params, signal));
      const ahead_ms = now - Date.now();
      const number = client.tracker?.number ?? 0;
      return {
        within_ms: Math.ceil(performance.now() - askedAtMs),
        trackers: [
          { number, ahead_ms },
          ...others.map((other) => ({ number: other.number, ahead_ms: other.ahead_ms + ahead_ms })),
        ],
      };
    },
    check_port: async (params, { signal }) => {
      const { address, verdict, why } = await client.read('dial_back', {}, waitOf(params, signal));
      const tracker = client.tracker;
      return { address: formatAddress(address), tracker: tracker ? formatAddress(tracker.address) : '', verdict, why };
    },
  };
}

/** Nobody is there to ask, and that is the answer. */
function allUnreachable(client: ControlContext['client']): TrackerStatus {
  const nothing = { term: null, last_index: null, commit_index: null, applied_index: null, lag: null };
  const trackers = client.members().map(({ number, address }) => ({
    number,
    address: formatAddress(address),
    role: 'unreachable' as const,
    ...nothing,
    reachable: false,
  }));
  return { trackers, leader: null };
}

async function leaderOf({ client }: ControlContext, signal: AbortSignal): Promise<number | null> {
  try {
    return (await client.read('tracker_status', {}, { timeoutMs: LEADER_MS_MAX, signal })).leader;
  } catch {
    return null;
  }
}
