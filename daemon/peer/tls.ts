// How daemons speak TLS with each other: 1.3 only, both sides show a certificate, and what counts is the key's fingerprint.
import { constants } from 'node:crypto';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { fingerprintOf } from '../../codec/identity.ts';

/** AES-128-GCM first: with AES-NI the cheapest per byte; the others for machines without it. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384';

/** For the one context of all links that a daemon dials, and for its listener. No tickets: each link proves both keys anew. */
export function peerTlsOptions(identity: { readonly keyPem: string; readonly certPem: string }): SecureContextOptions {
  return {
    key: identity.keyPem,
    cert: identity.certPem,
    minVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** The fingerprint of the key that the other side proved to hold; null when it showed none. */
export function fingerprintOfPeer(socket: TLSSocket): string | null {
  const certificate = socket.getPeerX509Certificate();
  return certificate ? fingerprintOf(certificate.publicKey) : null;
}
