// TLS 1.3 at the tracker's port: mutual, with certificates that the cluster key signs. Who is at the other end comes from the
// certificate alone; names and authorities of the web mean nothing here.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { isMtError, MtError } from '../../codec/errors.ts';
import { makeTrackerIdentity, type PeerRole, roleOf, type TlsIdentity } from '../../codec/identity.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import { HANDSHAKE_MS_MAX } from '../../codec/limits.ts';
import { Admission, type AdmissionLimits } from '../../codec/service/admission.ts';

/** The cluster's secret, as this tracker uses it. */
export interface ClusterKey {
  /** Signs certificates and tickets. */
  readonly signing: KeyObject;
  /** The other one during a rotation: it vouches for the first, so that daemons which trust either trust both. */
  readonly companion: KeyObject | null;
  /** Accepted from others: one, or two during a rotation. */
  readonly accepted: readonly KeyObject[];
}

export function clusterKeyOf(privateKeys: readonly KeyObject[]): ClusterKey {
  return {
    signing: privateKeys[0]!,
    companion: privateKeys[1] ?? null,
    accepted: privateKeys.map((key) => createPublicKey(key)),
  };
}

export function makeIdentity(key: ClusterKey, number: number): Promise<TlsIdentity> {
  return makeTrackerIdentity(key.signing, number, Date.now(), key.companion);
}

/** The open port. */
export interface Listener {
  readonly port: number;
  /** Takes nobody any more, and resolves when all connections have ended; those that linger are cut. */
  close(): Promise<void>;
}

/** Every daemon of a cluster may come at once, after a tracker died. */
const BACKLOG = 4_096;
/** Connections say goodbye within half a second; what is still there has not even finished its handshake. */
const CLOSE_MS_MAX = 700;

/**
 * Listens for daemons and trackers.
 * @param onPeer gets each connection after TLS; a daemon's counts as a stranger's until `known` is called.
 * @throws MtError ADDRESS_IN_USE, PERMISSION or INVALID_ARGUMENT when the address cannot be had.
 */
export async function listen(
  address: Address,
  identity: TlsIdentity,
  key: ClusterKey,
  limits: AdmissionLimits,
  onPeer: (socket: TLSSocket, role: PeerRole, known: () => void) => void,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  const admission = new Admission(limits);
  const server = createServer({
    key: identity.keyPem,
    cert: identity.certPem,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false, // daemons sign their own; roleOf decides who is what
    handshakeTimeout: HANDSHAKE_MS_MAX,
    noDelay: true,
  });
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket);
    if (!admission.enter(name, socket.remoteAddress ?? '', () => socket.destroy())) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      admission.leave(name);
    });
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => {});
    const leaf = socket.getPeerX509Certificate();
    if (!leaf) return void socket.destroy();
    const name = nameOf(socket);
    const role = roleOf(leaf, key.accepted, Date.now());
    if (role.role === 'tracker') admission.welcome(name);
    onPeer(socket, role, () => admission.welcome(name));
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.listen({ host: address.host, port: address.port, backlog: BACKLOG });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw explainListen(error as NodeJS.ErrnoException, address);
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, CLOSE_MS_MAX).unref();
      }),
  };
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function explainListen(error: NodeJS.ErrnoException, address: Address): unknown {
  const shown = formatAddress(address);
  if (error.code === 'EADDRINUSE') {
    return new MtError(
      'ADDRESS_IN_USE',
      `${shown} is in use by another program`,
      'Stop that program, or give this tracker another address in the tracker info file.',
    );
  }
  if (error.code === 'EACCES') return new MtError('PERMISSION', `Not allowed to listen on ${shown}`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') {
    return new MtError(
      'INVALID_ARGUMENT',
      `${shown} is not an address of this machine`,
      'Check the tracker number, or listen elsewhere with --listen IP:PORT.',
    );
  }
  return error;
}

/**
 * Dials another tracker and checks that the cluster key vouches for it and for its number.
 * @throws MtError TRACKER_UNREACHABLE or UNTRUSTED_CLUSTER.
 */
export async function dial(
  address: Address,
  number: number,
  identity: TlsIdentity,
  key: ClusterKey,
): Promise<TLSSocket> {
  const socket = connect({
    host: address.host,
    port: address.port,
    key: identity.keyPem,
    cert: identity.certPem,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
  });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(HANDSHAKE_MS_MAX) });
    const leaf = socket.getPeerX509Certificate();
    const role = leaf ? roleOf(leaf, key.accepted, Date.now()) : null;
    if (role?.role !== 'tracker' || role.number !== number) {
      throw new MtError(
        'UNTRUSTED_CLUSTER',
        `Whoever answers at ${formatAddress(address)} is not tracker ${number} of this cluster key`,
      );
    }
    socket.on('error', () => {});
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    socket.destroy();
    if (isMtError(error)) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new MtError(
      'TRACKER_UNREACHABLE',
      `Tracker ${number} at ${formatAddress(address)} cannot be reached (${code})`,
    );
  }
}
