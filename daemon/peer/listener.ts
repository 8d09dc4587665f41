// The door of the data plane: accepts TLS connections, reads the hello, and lets in whoever the gate finds entitled.
// Before that a connection costs little memory and little time; nothing about any file is said to a stranger.
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import { FrameParser } from '../../codec/frames.ts';
import { agreeOnVersion, OWN_VERSIONS } from '../../codec/hello.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import { HANDSHAKE_MS_MAX } from '../../codec/limits.ts';
import {
  decodePeerHello,
  encodePeerFrame,
  encodePeerHello,
  peerPayloadMax,
  type WantHello,
  wantHelloSchema,
} from '../../codec/peer-messages.ts';
import type { Ticket } from '../../codec/ticket.ts';
import { PeerLink } from './link.ts';
import { fingerprintOfPeer } from './tls.ts';

/** Links of all files together: room for 2,000 peers, and memory that stays bounded (about 60 KB each). */
const CONNECTIONS_MAX = 2_500;
/** Connections that have not shown a good ticket yet, in all and from one address: a stranger can fill no more than this. */
const STRANGERS_MAX = 512;
const STRANGERS_PER_ADDRESS_MAX = 128;
/** A refusal may take so long to leave. */
const REFUSAL_LINGER_MS = 1_000;

/** Decides who may come in. */
export interface Gate {
  /**
   * Checks the hello of the holder of `fingerprint`.
   * @returns the ticket, and what to do with the link once it is open.
   * @throws MtError FORBIDDEN or NO_SUCH_SHARE: told to the other side, and not a byte of content.
   */
  admit(hello: WantHello, fingerprint: string): Promise<{ ticket: Ticket; enter: (link: PeerLink) => void }>;
}

export class PeerListener {
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #sockets = new Set<Socket>();
  /** Those that showed no good ticket yet, with their addresses. */
  readonly #strangers = new Map<Socket, string>();

  constructor(tlsOptions: SecureContextOptions, gate: Gate) {
    this.#gate = gate;
    this.#server = createServer({
      ...tlsOptions,
      requestCert: true,
      // Self-signed on purpose: the fingerprint is what is checked.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS_MAX,
      noDelay: true,
    });
    this.#server.on('connection', (socket: Socket) => this.#onConnection(socket));
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket));
  }

  /** @throws MtError ADDRESS_IN_USE, PERMISSION, INVALID_ARGUMENT */
  async listen(host: string, port: number): Promise<Address> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, formatAddress({ host, port }))));
      this.#server.listen({ host, port, backlog: 1024 }, () => resolve());
    });
    const { address, port: bound } = this.#server.address() as AddressInfo;
    return { host: address, port: bound };
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #onConnection(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    let fromThere = 0;
    for (const other of this.#strangers.values()) if (other === address) fromThere++;
    const isFull = this.#sockets.size >= CONNECTIONS_MAX || this.#strangers.size >= STRANGERS_MAX;
    if (isFull || fromThere >= STRANGERS_PER_ADDRESS_MAX) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#strangers.set(socket, address);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#strangers.delete(socket);
    });
  }

  #onSecure(socket: TLSSocket): void {
    const fingerprint = fingerprintOfPeer(socket);
    socket.on('error', () => socket.destroy());
    if (fingerprint === null) {
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS_MAX);
    let link: PeerLink | null = null;
    let helloSeen = false;
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      if (link) return link.fail(error);
      const told = toMtError(error);
      if (!socket.destroyed) socket.end(encodePeerFrame('refused', told.toWire()));
      setTimeout(() => socket.destroy(), REFUSAL_LINGER_MS).unref();
      if (!isMtError(error)) throw error;
    };
    const admit = async (hello: WantHello): Promise<void> => {
      agreeOnVersion(OWN_VERSIONS, hello.versions);
      const { ticket, enter } = await this.#gate.admit(hello, fingerprint);
      clearTimeout(timer);
      if (socket.destroyed) return;
      for (const stranger of this.#strangers.keys()) {
        if (stranger.remotePort === socket.remotePort && stranger.remoteAddress === socket.remoteAddress) {
          this.#strangers.delete(stranger);
        }
      }
      socket.write(encodePeerHello({ versions: OWN_VERSIONS }));
      link = new PeerLink({ role: 'upload', socket, fingerprint, userId: ticket.user_id, rttMs: 0, input: null });
      link.ticket = { expiresAtMs: ticket.expires_at, epoch: ticket.epoch };
      enter(link);
    };
    const parser = new FrameParser(
      (type) => {
        if (link) return link.payloadMax(type);
        return helloSeen ? undefined : peerPayloadMax(type, 'dialler', false);
      },
      (type, payload) => {
        if (link) return link.onFrame(type, payload);
        helloSeen = true;
        // A copy: the gate looks at it later.
        admit(decodePeerHello(Buffer.from(payload), wantHelloSchema)).catch(fail);
      },
    );
    socket.on('data', (chunk) => {
      link?.heard();
      try {
        parser.push(chunk);
      } catch (error) {
        fail(error);
      }
    });
    socket.on('close', () => {
      clearTimeout(timer);
      link?.fail(new MtError('CLOSED', 'The peer ended the connection'));
    });
  }
}

function listenError(cause: Error, where: string): MtError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return new MtError('ADDRESS_IN_USE', `${where} is in use by another program`, 'Choose another port.');
  }
  if (code === 'EACCES')
    return new MtError('PERMISSION', `This user may not listen on ${where}`, 'Choose a port above 1023.');
  return new MtError('INVALID_ARGUMENT', `Cannot listen on ${where} (${code ?? cause.message})`);
}
