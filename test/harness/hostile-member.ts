// A user without a daemon: a real key, a real session at a tracker, and every request one likes to make. What the hostile kit is
// built on, from codec/ alone, so that no daemon code can get in its way.
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { HEARTBEAT_MS } from '../../codec/limits.ts';
import { encodeManifest, type Manifest } from '../../codec/manifest.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import { type TrackerApi, trackerApi, trackerHelloSchema } from '../../codec/tracker-rpc.ts';

export type TrackerConnection = RpcConnection<TrackerApi, Record<string, never>, typeof trackerHelloSchema>;

const CALL_MS_MAX = 15_000;

export interface JoinOptions {
  readonly tracker: Address;
  /** What it says where it listens. */
  readonly address: Address;
  readonly user: string;
  readonly isNew: boolean;
  /** Default: a new key. */
  readonly identity?: TlsIdentity;
  readonly localAddress?: string;
  readonly password?: string;
}

/** TLS to anyone with that key; in a test it trusts whoever answers. */
export function connectTls(to: Address, identity: TlsIdentity, localAddress?: string): TLSSocket {
  const { keyPem: key, certPem: cert } = identity;
  const socket = tlsConnect({
    ...to,
    key,
    cert,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(localAddress !== undefined && { localAddress }),
  });
  socket.on('error', () => {});
  return socket;
}

export async function connectTracker(
  to: Address,
  identity: TlsIdentity,
  localAddress?: string,
): Promise<TrackerConnection> {
  const rpc: TrackerConnection = new RpcConnection(connectTls(to, identity, localAddress), {
    calls: trackerApi,
    hello: { role: 'daemon' },
    helloSchema: trackerHelloSchema,
  });
  await rpc.ready;
  return rpc;
}

export class Member {
  readonly user: string;
  readonly identity: TlsIdentity;
  readonly rpc: TrackerConnection;
  readonly session: string;
  readonly #beat: NodeJS.Timeout;
  readonly #clientId: string;
  #seq: number;

  private constructor(parts: {
    user: string;
    identity: TlsIdentity;
    rpc: TrackerConnection;
    clientId: string;
    seq: number;
    session: string;
    epoch: number;
  }) {
    const { session, epoch } = parts;
    this.user = parts.user;
    this.identity = parts.identity;
    this.rpc = parts.rpc;
    this.session = session;
    this.#clientId = parts.clientId;
    this.#seq = parts.seq;
    const beat = () => this.rpc.call('heartbeat', { session, epoch, downloads: [] }).catch(() => {});
    this.#beat = setInterval(beat, HEARTBEAT_MS);
    // Whoever forgets to close it must not keep the test's process alive once its tracker is gone.
    this.rpc.closed.then(() => clearInterval(this.#beat));
    void beat();
  }

  /** Connects to a tracker, makes the user when asked to, and logs in. */
  static async join(options: JoinOptions): Promise<Member> {
    const { tracker, address, user, isNew, password = `pw-${user}` } = options;
    const identity = options.identity ?? (await makeDaemonIdentity(Date.now()));
    const rpc = await connectTracker(tracker, identity, options.localAddress);
    const { client_id } = await rpc.call('register_client', {}, { timeoutMs: CALL_MS_MAX });
    let seq = 0;
    const request = () => ({ client_id, seq: ++seq, acked: seq });
    const wait = { timeoutMs: CALL_MS_MAX };
    if (isNew) await rpc.call('create_user', { request: request(), user_id: user, password }, wait);
    const login = { request: request(), user_id: user, password, address };
    const { session, epoch } = await rpc.call('login', login, wait);
    return new Member({ user, identity, rpc, clientId: client_id, seq, session, epoch });
  }

  get fingerprint(): string {
    return this.identity.fingerprint;
  }

  /** Request id and session, for a command. */
  get speaker() {
    return {
      request: { client_id: this.#clientId, seq: ++this.#seq, acked: this.#seq },
      session: this.session,
    };
  }

  joinGroup(group_id: string) {
    return this.rpc.call('join_group', { ...this.speaker, group_id });
  }

  leaveGroup(group_id: string) {
    return this.rpc.call('leave_group', { ...this.speaker, group_id });
  }

  locate(group_id: string, file_name: string) {
    return this.rpc.call('locate_file', { session: this.session, group_id, file_name }, { timeoutMs: CALL_MS_MAX });
  }

  /** Says that it has the file, true or not. */
  share(group_id: string, file_name: string, manifest: Manifest): Promise<{ new_file: boolean }> {
    const encoded = new Uint8Array(encodeManifest(manifest));
    return this.rpc.call('share_file', { ...this.speaker, group_id, file_name, manifest: encoded });
  }

  close(): void {
    clearInterval(this.#beat);
    this.rpc.close();
  }
}
