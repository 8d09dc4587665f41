// Dials one tracker: TLS 1.3 with the daemon's own certificate, the cluster's certificate checked before a byte is said.
// Owns nothing afterwards: the caller has the connection.
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { MtError } from '../../codec/errors.ts';
import type { TlsIdentity } from '../../codec/identity.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import { type TrackerHello, trackerApi, trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import type { ClusterTrust } from './trust.ts';

/** A tracker that is frozen or cut off is noticed after this much silence, so that waiting commands move on. */
const KEEP_ALIVE = { probeMs: 1_000, lostMs: 3_500 };
/** TLS and hello; a later candidate is dialled long before. */
const DIAL_MS_MAX = 5_000;

export type TrackerRpc = RpcConnection<typeof trackerApi, Record<never, never>, typeof trackerHelloSchema>;

export interface TrackerLink {
  readonly address: Address;
  readonly hello: TrackerHello;
  readonly rpc: TrackerRpc;
}

export interface DialOptions {
  readonly identity: TlsIdentity;
  readonly trust: ClusterTrust;
  readonly signal: AbortSignal;
}

/**
 * Connects, checks the cluster key, exchanges hellos.
 * @throws MtError TRACKER_UNREACHABLE, UNTRUSTED_CLUSTER, PROTOCOL_VERSION, or what else the tracker answered.
 */
export async function dialTracker(address: Address, options: DialOptions): Promise<TrackerLink> {
  const { identity, trust } = options;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(DIAL_MS_MAX)]);
  const socket = connectTls({
    host: address.host,
    port: address.port,
    key: identity.keyPem,
    cert: identity.certPem,
    minVersion: 'TLSv1.3',
    // The chain is checked by key below: names and authorities of the web mean nothing here.
    rejectUnauthorized: false,
  });
  const abort = () => socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    await handshake(socket, address);
    const clusterKeys = checkCertificate(socket, address, trust);
    socket.setNoDelay(true);
    const rpc: TrackerRpc = new RpcConnection(socket, {
      calls: trackerApi,
      hello: { role: 'daemon' },
      helloSchema: trackerHelloSchema,
      keepAlive: KEEP_ALIVE,
    });
    const hello = await rpc.ready;
    trust.accept(clusterKeys);
    return { address, hello, rpc };
  } catch (error) {
    socket.destroy();
    if (error instanceof MtError && error.code !== 'CLOSED') throw error;
    throw unreachable(address, signal.aborted ? new Error('it did not answer in time') : (error as Error));
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function handshake(socket: TLSSocket, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(unreachable(address, new Error('it closed the connection')));
    const onError = (error: Error) => reject(unreachable(address, error));
    socket.once('secureConnect', () => {
      socket.off('error', onError);
      socket.off('close', onClose);
      resolve();
    });
    socket.once('error', onError);
    socket.once('close', onClose);
  });
}

function checkCertificate(socket: TLSSocket, address: Address, trust: ClusterTrust) {
  const leaf = socket.getPeerX509Certificate();
  const authority = leaf?.issuerCertificate;
  const chain = leaf && authority ? [leaf, authority] : [];
  const { clusterKey, companion } = trust.check(chain, address, Date.now());
  return companion ? [clusterKey, companion] : [clusterKey];
}

function unreachable(address: Address, cause: Error): MtError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why = code === 'ECONNREFUSED' ? 'nothing listens there' : (code ?? cause.message);
  return new MtError('TRACKER_UNREACHABLE', `The tracker at ${formatAddress(address)} cannot be reached: ${why}`);
}
