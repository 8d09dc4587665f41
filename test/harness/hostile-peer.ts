// A peer that is a real member with a real key, speaks the real protocol, and lies: it announces what it likes, and alters the
// bytes of the blocks it serves. Built on codec/ alone, so that no daemon code can get in its way.
import { createServer, type Server, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { FrameParser } from '../../codec/frames.ts';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { BLOCK_SIZE, HEARTBEAT_MS } from '../../codec/limits.ts';
import { encodeManifest, type Manifest } from '../../codec/manifest.ts';
import {
  BLOCK_FRAME_HEADER_SIZE,
  decodePeerFrame,
  encodePeerFrame,
  encodePeerHello,
  type PeerFrameType,
  peerPayloadMax,
  writeBlockFrameHeader,
} from '../../codec/peer-messages.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import { type TrackerApi, trackerApi, trackerHelloSchema } from '../../codec/tracker-rpc.ts';

/** What it serves, and how it changes a block on its way out. */
export interface Lie {
  readonly manifest: Manifest;
  /** The true content; memory is fine for a test. */
  readonly content: Buffer;
  readonly alter: (block: Buffer, piece: number, offset: number) => Buffer;
}

type TrackerConnection = RpcConnection<TrackerApi, Record<string, never>, typeof trackerHelloSchema>;

export class HostilePeer {
  blocksServed = 0;
  linksTaken = 0;
  readonly #identity: TlsIdentity;
  readonly #rpc: TrackerConnection;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  readonly #clientId: string;
  #seq = 0;
  #session = '';
  #beat: NodeJS.Timeout | undefined;
  #lie: Lie | null = null;

  private constructor(identity: TlsIdentity, rpc: TrackerConnection, clientId: string) {
    this.#identity = identity;
    this.#rpc = rpc;
    this.#clientId = clientId;
    const { keyPem: key, certPem: cert } = identity;
    this.#server = createServer({ key, cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false });
    this.#server.on('secureConnection', (socket) => this.#onDialler(socket));
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Connects to a tracker, makes the user when asked to, logs in and listens. */
  static async join(options: {
    tracker: Address;
    listen: Address;
    user: string;
    isNew: boolean;
  }): Promise<HostilePeer> {
    const identity = await makeDaemonIdentity(Date.now());
    const { host, port } = options.tracker;
    const socket = tlsConnect({
      host,
      port,
      key: identity.keyPem,
      cert: identity.certPem,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: false, // in a test it trusts anyone
      checkServerIdentity: () => undefined,
    });
    const rpc: TrackerConnection = new RpcConnection(socket, {
      calls: trackerApi,
      hello: { role: 'daemon' },
      helloSchema: trackerHelloSchema,
    });
    await rpc.ready;
    const { client_id } = await rpc.call('register_client', {}, { timeoutMs: 10_000 });
    const peer = new HostilePeer(identity, rpc, client_id);
    await new Promise<void>((resolve, reject) => {
      peer.#server.once('error', reject);
      peer.#server.listen(options.listen.port, options.listen.host, resolve);
    });
    const password = `pw-${options.user}`;
    if (options.isNew) await rpc.call('create_user', { request: peer.#request(), user_id: options.user, password });
    const login = { request: peer.#request(), user_id: options.user, password, address: options.listen };
    const { session, epoch } = await rpc.call('login', login);
    peer.#session = session;
    const beat = () => rpc.call('heartbeat', { session, epoch, downloads: [] }).catch(() => {});
    peer.#beat = setInterval(beat, HEARTBEAT_MS);
    await beat();
    return peer;
  }

  get fingerprint(): string {
    return this.#identity.fingerprint;
  }

  joinGroup(group_id: string) {
    return this.#rpc.call('join_group', { request: this.#request(), session: this.#session, group_id });
  }

  /** Announces the file as its own, true or not, and serves it from now on. */
  async share(group_id: string, file_name: string, lie: Lie): Promise<{ new_file: boolean }> {
    this.#lie = lie;
    const manifest = new Uint8Array(encodeManifest(lie.manifest));
    return this.#rpc.call('share_file', {
      request: this.#request(),
      session: this.#session,
      group_id,
      file_name,
      manifest,
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#beat);
    this.#rpc.close();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #request() {
    return { client_id: this.#clientId, seq: ++this.#seq, acked: this.#seq };
  }

  /** Takes anyone, ticket or not, offers every piece once and sends what is accepted, altered. */
  #onDialler(socket: TLSSocket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const lie = this.#lie;
    if (!lie) return void socket.destroy();
    const { pieceCount } = lie.manifest;
    let helloSeen = false;
    let next = 0;
    const offerMore = (count: number) => {
      for (let i = 0; i < count && next < pieceCount; i++) socket.write(encodePeerFrame('offer', [next++, false]));
    };
    const parser = new FrameParser(
      (type) => peerPayloadMax(type, 'dialler', helloSeen),
      (type, payload) => {
        if (type === 'hello') {
          helloSeen = true;
          this.linksTaken++;
          socket.write(encodePeerHello({ versions: { min: 1, max: 1 } }));
          socket.write(encodePeerFrame('bitfield', [fullBitfield(pieceCount)]));
          offerMore(4);
          return;
        }
        const frame = decodePeerFrame(type as PeerFrameType, payload);
        if (type === 'accept') this.#sendPiece(socket, lie, (frame as [number, number])[1]);
        else if (type === 'ping' && (frame as [number])[0] > 0)
          socket.write(encodePeerFrame('pong', frame as [number]));
        else if (type === 'got' || type === 'decline') offerMore(1);
      },
    );
    socket.on('data', (chunk) => {
      try {
        parser.push(chunk);
      } catch {
        socket.destroy();
      }
    });
    const alive = setInterval(() => socket.write(encodePeerFrame('alive', [])), 500);
    socket.on('close', () => clearInterval(alive));
  }

  #sendPiece(socket: TLSSocket, { manifest, content, alter }: Lie, piece: number): void {
    const start = piece * manifest.pieceSize;
    const end = Math.min(start + manifest.pieceSize, manifest.size);
    for (let at = start; at < end; at += BLOCK_SIZE) {
      const offset = at - start;
      const block = alter(Buffer.from(content.subarray(at, Math.min(at + BLOCK_SIZE, end))), piece, offset);
      const header = Buffer.alloc(BLOCK_FRAME_HEADER_SIZE);
      writeBlockFrameHeader(header, { piece, offset, size: block.length });
      socket.write(header);
      socket.write(block);
      this.blocksServed++;
    }
  }
}

/** Every piece there; spare bits at the end are zero (BEP 3). */
function fullBitfield(pieceCount: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(pieceCount / 8)).fill(0xff);
  const spare = bytes.length * 8 - pieceCount;
  if (spare > 0) bytes[bytes.length - 1] = (0xff << spare) & 0xff;
  return bytes;
}
