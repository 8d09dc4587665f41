// The way of a subcommand to a running cluster: dials the trackers of the tracker file in turn, shows a certificate that the cluster key
// signs, and takes the first that answers.
import { resolve } from 'node:path';
import { ADMIN_NUMBER, type AdminApi, adminApi } from '../../codec/admin-api.ts';
import { isMtError, MtError } from '../../codec/errors.ts';
import { formatAddress } from '../../codec/ids.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import type { TrackerInfo } from '../../codec/tracker-info.ts';
import { trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import { openClusterKey } from '../cluster-key.ts';
import { dial, makeIdentity } from '../node/tls.ts';
import { defaultClusterKey } from '../paths.ts';
import { readTrackerInfo } from '../tracker-info-file.ts';

/** From the first dial to the last answer. A membership change may wait for another one. */
export const ADMIN_MS = 15_000;

/** What finds the cluster: options that these subcommands share. */
export const CLUSTER_OPTIONS = {
  'tracker-info': { type: 'string' },
  'cluster-key': { type: 'string' },
  json: { type: 'boolean' },
} as const;
export const CLUSTER_USAGE = '[--tracker-info FILE] [--cluster-key FILE] [--json]';
/** Where it is in a checkout, and beside a service. */
const INFO_DEFAULT = 'tracker_info.txt';

export interface ClusterValues {
  readonly 'tracker-info'?: string | undefined;
  readonly 'cluster-key'?: string | undefined;
}
export type AdminConnection = RpcConnection<AdminApi, Record<never, never>, typeof trackerHelloSchema>;

/** @returns what `work` returns. @throws MtError TRACKER_UNREACHABLE when no tracker answers, or why they refuse. */
export async function withCluster<T>(
  values: ClusterValues,
  env: NodeJS.ProcessEnv,
  work: (connection: AdminConnection) => Promise<T>,
): Promise<T> {
  const infoFile = values['tracker-info'] ?? (env.MT_TRACKERD_TRACKER_INFO || INFO_DEFAULT);
  const info = readTrackerInfo(infoFile, infoFile);
  const key = openClusterKey(resolve(values['cluster-key'] ?? defaultClusterKey(env)), info);
  const identity = await makeIdentity(key, ADMIN_NUMBER);
  let refusal: unknown = null;
  for (const [at, address] of info.addresses.entries()) {
    let connection: AdminConnection | null = null;
    let isAsked = false;
    try {
      const socket = await dial(address, at + 1, identity, key);
      connection = new RpcConnection(socket, {
        calls: adminApi,
        hello: { role: 'admin' },
        helloSchema: trackerHelloSchema,
      });
      await connection.ready;
      isAsked = true;
      return await work(connection);
    } catch (error) {
      // What the cluster answered is the answer; a tracker that is away, frozen or alone leaves it to the next.
      const isNextOne = isMtError(error, 'TRACKER_UNREACHABLE', 'CLOSED', 'NO_QUORUM', 'UNTRUSTED_CLUSTER');
      if (!isNextOne && (isAsked || !isMtError(error, 'TIMEOUT'))) throw error;
      if (refusal === null || isMtError(error, 'NO_QUORUM')) refusal = error;
    } finally {
      connection?.close();
    }
  }
  if (isMtError(refusal, 'NO_QUORUM', 'UNTRUSTED_CLUSTER')) throw refusal;
  throw unreachable(info);
}

function unreachable(info: TrackerInfo): MtError {
  const all = info.addresses.map(formatAddress).join(', ');
  return new MtError(
    'TRACKER_UNREACHABLE',
    `None of the trackers answers: ${all}`,
    'Is the tracker file the right one? --tracker-info FILE',
  );
}
