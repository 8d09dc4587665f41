// Dials a peer that the trackers named, proves that it is the one, shows the ticket, and gives a link that content comes on.
// The socket reads straight into memory that the frame reader names (`onread`), which only a dialler's socket can do.
import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, type SecureContext, connect as tlsConnect } from 'node:tls';
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
  const { peer, context } = options;
  const where = formatAddress(peer.address);
  let link: PeerLink | null = null;
  let over = false;
  let helloSentAtMs = 0;

  const fail = (error: MtError): void => {
    if (link) return link.fail(error);
    if (over) return;
    over = true;
    clearTimeout(timer);
    socket.destroy();
    onFailed(error);
  };
  const timer = setTimeout(() => fail(new MtError('TIMEOUT', `No answer from the peer at ${where}`)), DIAL_MS_MAX);

  const onFrame = (type: string, payload: Buffer): void => {
    if (link) return link.onFrame(type, payload);
    if (type === 'refused') return fail(MtError.fromWire(decodePeerFrame('refused', payload)));
    const { versions } = decodePeerHello(payload, welcomeSchema);
    agreeOnVersion(OWN_VERSIONS, versions);
    clearTimeout(timer);
    link = new PeerLink({
      role: 'download',
      socket,
      fingerprint: peer.fingerprint,
      userId: peer.user_id,
      rttMs: performance.now() - helloSentAtMs,
      input,
    });
    onLink(link);
  };
  const reader = new FrameReader({
    payloadMax: (type) => (link ? link.payloadMax(type) : peerPayloadMax(type, 'acceptor', false)),
    onFrame,
    onBlock: (header) => (link?.isOpen && link.owner ? link.owner.onBlock(link, header) : null),
    onBlockEnd: (header, kept) => {
      if (link?.isOpen) link.owner?.onBlockEnd(link, header, kept);
    },
  });
  const guarded = (work: () => boolean): boolean => {
    try {
      return work();
    } catch (error) {
      fail(
        isMtError(error) ? error : new MtError('INTERNAL', 'A frame could not be handled', undefined, { cause: error }),
      );
      if (!isMtError(error)) throw error;
      return false;
    }
  };

  const connectOptions: ConnectionOptions & { onread: OnReadOpts } = {
    host: peer.address.host,
    port: peer.address.port,
    secureContext: context,
    // Certificates are self-signed: the key's fingerprint is compared instead.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    onread: {
      buffer: () => reader.buffer(),
      callback: (count) =>
        guarded(() => {
          if (over) return false;
          link?.heard();
          const content = reader.taken(count);
          if (!link?.isOpen) return true;
          if (content > 0) link.owner?.onContent(link, content);
          if (reader.isWaiting) link.pause('memory');
          return !link.isPaused;
        }),
    },
  };
  const socket = tlsConnect(connectOptions);
  const input: LinkInput = {
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    place: (body) => {
      guarded(() => {
        reader.place(body);
        if (!reader.isWaiting) link?.resume('memory');
        return true;
      });
    },
    drop: (released) => reader.drop(released),
    end: () => reader.end(),
  };
  socket.setNoDelay(true);
  socket.on('secureConnect', () => {
    if (over) return;
    if (fingerprintOfPeer(socket) !== peer.fingerprint) {
      return fail(new MtError('FORBIDDEN', `The peer at ${where} is not the one that the trackers named`));
    }
    helloSentAtMs = performance.now();
    const { groupId, fileName, manifestHash, ticket } = options;
    const names = { group_id: groupId, file_name: fileName, manifest_hash: manifestHash, ticket };
    socket.write(encodePeerHello({ versions: OWN_VERSIONS, ...names }));
  });
  socket.on('error', (cause) => {
    fail(new MtError('CLOSED', `The peer at ${where} cannot be reached`, undefined, { cause }));
  });
  socket.on('close', () => fail(new MtError('CLOSED', `The peer at ${where} ended the connection`)));
  socket.on('end', () => fail(new MtError('CLOSED', `The peer at ${where} ended the connection`)));
  return () => fail(new MtError('CANCELLED', 'The dial was given up'));
}
