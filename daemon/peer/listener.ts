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
import { Admission, type AdmissionLimits } from '../../codec/service/admission.ts';
import type { Ticket } from '../../codec/ticket.ts';
import { PEER_CONNECTIONS_DEFAULT } from './connection-limits.ts';
import { PeerLink } from './link.ts';
import { fingerprintOfPeer } from './tls.ts';

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
  readonly #admission: Admission;

  constructor(tlsOptions: SecureContextOptions, gate: Gate, limits: AdmissionLimits = PEER_CONNECTIONS_DEFAULT) {
    this.#gate = gate;
    this.#admission = new Admission(limits);
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
    const name = nameOf(socket);
    if (!this.#admission.enter(name, socket.remoteAddress ?? '', () => socket.destroy())) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#admission.leave(name);
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
      if (socket.destroyed || !this.#admission.welcome(nameOf(socket))) return;
      socket.write(encodePeerHello({ versions: OWN_VERSIONS }));
      link = new PeerLink({ role: 'upload', socket, fingerprint, userId: ticket.user_id, rttMs: null, input: null });
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

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
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
