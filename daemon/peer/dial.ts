// Dials a peer that the trackers named, proves that it is the one, shows the ticket, and gives a link that content comes on.
// The socket reads straight into memory that the frame reader names (`onread`), which only a dialler's socket can do.
import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { isMtError, MtError } from '../../codec/errors.ts';
import { agreeOnVersion, OWN_VERSIONS } from '../../codec/hello.ts';
import { formatAddress } from '../../codec/ids.ts';
import {
  decodePeerFrame,
  decodePeerHello,
  encodePeerHello,
  peerPayloadMax,
  welcomeSchema,
} from '../../codec/peer-messages.ts';
import type { PeerInfo } from '../../codec/tracker-rpc.ts';
import { FrameReader } from './frame-reader.ts';
import { type LinkInput, PeerLink } from './link.ts';
import { fingerprintOfPeer } from './tls.ts';

/** TCP, TLS and hello together; a host that is there needs milliseconds. */
const DIAL_MS_MAX = 5_000;
/**
 * A TLS record brings at most 16 KiB, and each is a call: what is told of content is gathered to so many bytes, or for so long, or to
 * the end of its block.
 */
const CONTENT_BYTES_TOLD = 64 * 1024;
const CONTENT_TOLD_MS = 20;

export interface DialOptions {
  readonly peer: PeerInfo;
  readonly context: SecureContext;
  readonly groupId: string;
  readonly fileName: string;
  readonly manifestHash: Uint8Array;
  readonly ticket: Uint8Array;
}

/**
 * @param onLink called once, in the turn in which the other side agreed: set the link's owner there, no message is lost.
 * @param onFailed called once instead: MtError FORBIDDEN when refused, PROTOCOL…, else CLOSED or TIMEOUT (unreachable).
 * @returns a function that gives the attempt up.
 */
export function dial(
  options: DialOptions,
  onLink: (link: PeerLink) => void,
  onFailed: (error: MtError) => void,
): () => void {
  const attempt = new Dial(options, onLink, onFailed);
  return () => attempt.fail(new MtError('CANCELLED', 'The dial was given up'));
}

class Dial {
  readonly #options: DialOptions;
  readonly #onLink: (link: PeerLink) => void;
  readonly #onFailed: (error: MtError) => void;
  readonly #where: string;
  readonly #reader: FrameReader;
  readonly #socket: TLSSocket;
  readonly #timer: NodeJS.Timeout;
  #link: PeerLink | null = null;
  #isOver = false;
  #helloSentAtMs = 0;
  /** Content that the link's owner has not been told of, and when it was told last. */
  #untoldBytes = 0;
  #toldAtMs = 0;

  constructor(options: DialOptions, onLink: (link: PeerLink) => void, onFailed: (error: MtError) => void) {
    this.#options = options;
    this.#onLink = onLink;
    this.#onFailed = onFailed;
    this.#where = formatAddress(options.peer.address);
    this.#reader = new FrameReader({
      payloadMax: (type) => (this.#link ? this.#link.payloadMax(type) : peerPayloadMax(type, 'acceptor', false)),
      onFrame: (type, payload) => (this.#link ? this.#link.onFrame(type, payload) : this.#onWelcome(type, payload)),
      onBlock: (header) => (this.#link?.isOpen && this.#link.owner?.onBlock(this.#link, header)) || null,
      onBlockEnd: (header, kept) => {
        if (this.#link?.isOpen) this.#link.owner?.onBlockEnd(this.#link, header, kept);
      },
    });
    this.#timer = setTimeout(
      () => this.fail(new MtError('TIMEOUT', `No answer from the peer at ${this.#where}`)),
      DIAL_MS_MAX,
    );
    this.#socket = this.#connect();
  }

  fail(error: MtError): void {
    if (this.#link) return this.#link.fail(error);
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#onFailed(error);
  }

  #connect(): TLSSocket {
    const { peer, context } = this.#options;
    const connectOptions: ConnectionOptions & { onread: OnReadOpts } = {
      host: peer.address.host,
      port: peer.address.port,
      secureContext: context,
      // Certificates are self-signed: the key's fingerprint is compared instead.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      onread: { buffer: () => this.#reader.buffer(), callback: (count) => this.#onRead(count) },
    };
    const socket = tlsConnect(connectOptions);
    socket.setNoDelay(true);
    socket.on('secureConnect', () => this.#onSecure());
    socket.on('error', (cause) => {
      this.fail(new MtError('CLOSED', `The peer at ${this.#where} cannot be reached`, undefined, { cause }));
    });
    const onEnd = (): void => this.fail(new MtError('CLOSED', `The peer at ${this.#where} ended the connection`));
    socket.on('close', onEnd);
    socket.on('end', onEnd);
    return socket;
  }

  #onSecure(): void {
    if (this.#isOver) return;
    const { peer, groupId, fileName, manifestHash, ticket } = this.#options;
    if (fingerprintOfPeer(this.#socket) !== peer.fingerprint) {
      return this.fail(new MtError('FORBIDDEN', `The peer at ${this.#where} is not the one that the trackers named`));
    }
    this.#helloSentAtMs = performance.now();
    const wanted = { group_id: groupId, file_name: fileName, manifest_hash: manifestHash, ticket };
    this.#socket.write(encodePeerHello({ versions: OWN_VERSIONS, ...wanted }));
  }

  /** The first frame: a welcome, or a refusal. */
  #onWelcome(type: string, payload: Buffer): void {
    if (type === 'refused') return this.fail(MtError.fromWire(decodePeerFrame('refused', payload)));
    const { versions } = decodePeerHello(payload, welcomeSchema);
    agreeOnVersion(OWN_VERSIONS, versions);
    clearTimeout(this.#timer);
    const { peer } = this.#options;
    this.#link = new PeerLink({
      role: 'download',
      socket: this.#socket,
      fingerprint: peer.fingerprint,
      userId: peer.user_id,
      rttMs: performance.now() - this.#helloSentAtMs,
      input: this.#makeInput(),
    });
    this.#onLink(this.#link);
  }

  /** Called for each record: what the other side did wrong ends the link, as in `#guarded`. */
  #onRead(count: number): boolean {
    try {
      return this.#onBytes(count);
    } catch (error) {
      return this.#onBroken(error);
    }
  }

  /** Answers whether the socket should read on. */
  #onBytes(count: number): boolean {
    if (this.#isOver) return false;
    const nowMs = performance.now();
    this.#link?.heard(nowMs);
    this.#untoldBytes += this.#reader.taken(count);
    const link = this.#link;
    if (!link?.isOpen) return true;
    if (this.#untoldBytes > 0 && this.#isTellingDue(link, nowMs)) {
      const bytes = this.#untoldBytes;
      this.#untoldBytes = 0;
      this.#toldAtMs = nowMs;
      link.owner?.onContent(link, bytes);
    }
    if (this.#reader.isWaiting) link.pause('memory');
    return !link.isPaused;
  }

  #isTellingDue(link: PeerLink, nowMs: number): boolean {
    return (
      this.#untoldBytes >= CONTENT_BYTES_TOLD ||
      nowMs - this.#toldAtMs >= CONTENT_TOLD_MS ||
      this.#reader.block === null ||
      link.owner?.isContentLimited === true
    );
  }

  #makeInput(): LinkInput {
    return {
      pause: () => this.#socket.pause(),
      resume: () => this.#socket.resume(),
      place: (body) => {
        this.#guarded(() => {
          this.#reader.place(body);
          if (!this.#reader.isWaiting) this.#link?.resume('memory');
          return true;
        });
      },
      drop: (released) => this.#reader.drop(released),
      end: () => this.#reader.end(),
    };
  }

  /** What the other side did wrong ends the link; what we did wrong ends the process. */
  #guarded(work: () => boolean): boolean {
    try {
      return work();
    } catch (error) {
      return this.#onBroken(error);
    }
  }

  #onBroken(error: unknown): false {
    if (!isMtError(error)) throw error;
    this.fail(error);
    return false;
  }
}
