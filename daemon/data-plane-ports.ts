// What the data plane asks of the control plane (download/types.ts), answered from the tracker client, the session and the shares.
import type { Logger } from 'pino';
import { isMtError, toMtError } from '../codec/errors.ts';
import type { DataPlanePorts, FileRef, TrackerPort } from './download/types.ts';
import type { Session } from './session.ts';
import type { Shares } from './share.ts';
import type { TrackerClient } from './tracker-client.ts';
import type { ClusterTrust } from './trackers/trust.ts';

export interface PortsParts {
  readonly client: TrackerClient;
  readonly trust: ClusterTrust;
  readonly shares: Shares;
  /** The session begins after the data plane listens: its address is part of the login. */
  readonly session: () => Session | null;
  readonly log: Logger;
}

export function makeDataPlanePorts(parts: PortsParts): DataPlanePorts {
  const { client, trust, shares, session } = parts;
  const { keyPem, certPem, fingerprint } = client.identity;
  return {
    trackers: makeTrackerPort(parts),
    shares,
    identity: {
      keyPem,
      certPem,
      fingerprint,
      userId: () => session()?.userId ?? null,
      clusterKeys: () => trust.keys,
      groupEpoch: (groupId) => session()?.groupEpoch(groupId) ?? null,
    },
  };
}

function makeTrackerPort({ client, log }: PortsParts): TrackerPort {
  return {
    locateFile: (file, options) => client.read('locate_file', ofFile(file), options),
    getManifest: async (file, options) => (await client.read('get_manifest', ofFile(file), options)).manifest,
    beginDownload: async (file, manifestHash, options) => {
      const manifest_hash = manifestHash as Uint8Array<ArrayBuffer>;
      await client.command('begin_download', { ...ofFile(file), manifest_hash }, options);
    },
    checkHolders: async (holders, options) => {
      const rows = holders.map(({ userId, fingerprint, groupId }) => ({
        user_id: userId,
        fingerprint,
        group_id: groupId,
      }));
      return (await client.read('check_holders', { holders: rows }, options)).standings;
    },
    reportPeer: (file, { userId, fingerprint }, reason) => {
      const report = { ...ofFile(file), user_id: userId, fingerprint, reason };
      client.read('report_peer', report).catch((error: unknown) => {
        log.debug({ code: toMtError(error).code, user: userId }, 'a banned source could not be reported');
      });
    },
    watchFile: (file, onEvent, signal) => {
      client.watch('watch_file', ofFile(file), onEvent, signal).catch((error: unknown) => {
        const { code } = toMtError(error);
        log.debug({ code, group: file.groupId, file: file.fileName }, 'the news of a file have ended');
        if (!signal.aborted && isMtError(error, 'NO_SUCH_FILE', 'NO_SUCH_GROUP')) {
          onEvent({ index: 0, reset: false, up: [], down: [], removed: true });
        }
      });
    },
    linkError: () => {
      const error = client.linkError;
      return error && { code: error.code, message: error.message };
    },
  };
}

function ofFile({ groupId, fileName }: FileRef): { group_id: string; file_name: string } {
  return { group_id: groupId, file_name: fileName };
}
