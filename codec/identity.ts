// Keys and certificates: the cluster key (one secret is the cluster), tracker leaves signed by it, daemons' own self-signed ones.
// Computes only: reading and writing key files is the programs' business. Everything is Ed25519 under TLS 1.3.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import type * as X509 from '@peculiar/x509';
import { MtError } from './errors.ts';

/** Only who makes a certificate pays for the library (14 MB, 60 ms): a daemon does so once in its life. */
async function loadX509(): Promise<typeof X509> {
  await import('reflect-metadata'); // its injector asks for it
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as typeof globalThis.crypto);
  return x509;
}

const ALGORITHM = { name: 'Ed25519' };
const YEAR_MS = 365 * 24 * 3_600_000;
/** Certificates begin in the past, so that a clock that is behind accepts them. */
const BACKDATE_MS = 24 * 3_600_000;
const CLUSTER_NAME = 'CN=mini-torrent cluster';
/**
 * In the cluster's certificate while two keys are live: the other key, and its word for this one. The certificate itself is this key's
 * word for the other, so whoever trusts either may trust both. A number of our own: nobody else reads these certificates.
 */
const COMPANION_OID = '2.25.618853417';
const COMPANION_DOMAIN = Buffer.from('mini-torrent companion key v1\0');
const SPKI_SIZE = 44;
const SIGNATURE_SIZE = 64;
/** The value of the extension begins as a DER octet string … */
const COMPANION_HEAD = Buffer.of(0x04, SPKI_SIZE + SIGNATURE_SIZE);
/** … in another one, behind the OID: what to look for, so that nobody has to load a certificate parser to read it. */
const COMPANION_MARK = Buffer.concat([
  encodeOid(COMPANION_OID),
  Buffer.of(0x04, COMPANION_HEAD.length + SPKI_SIZE + SIGNATURE_SIZE),
  COMPANION_HEAD,
]);
const TRACKER_NAME = /^CN=tracker-(\d{1,9})$/;

/** What a TLS endpoint needs to show who it is. */
export interface TlsIdentity {
  readonly keyPem: string;
  /** The leaf, followed by the cluster's certificate for a tracker. */
  readonly certPem: string;
  /** Of the leaf's public key. */
  readonly fingerprint: string;
}

/** Who is at the other end, from its certificate alone. */
export type PeerRole = { role: 'tracker'; number: number } | { role: 'daemon'; fingerprint: string };

/** SHA-256 of the public key in SPKI DER form, in lower-case hex. */
export function fingerprintOf(key: KeyObject): string {
  return createHash('sha256').update(spkiOf(key)).digest('hex');
}

/** A new cluster key as PEM (PKCS #8). */
export function makeClusterKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/**
 * The private keys of a cluster key file: the first signs, a second one is still accepted (rotation).
 * @throws MtError INVALID_ARGUMENT when it holds none, more than two, or keys of another kind.
 */
export function parseClusterKeyPem(pem: string): KeyObject[] {
  const blocks = pem.match(/-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/g) ?? [];
  if (blocks.length < 1 || blocks.length > 2) {
    throw new MtError('INVALID_ARGUMENT', `A cluster key file holds one or two private keys, not ${blocks.length}`);
  }
  return blocks.map((block) => {
    let key: KeyObject;
    try {
      key = createPrivateKey(block);
    } catch (cause) {
      throw new MtError('INVALID_ARGUMENT', 'The cluster key file cannot be read as a key', undefined, { cause });
    }
    if (key.asymmetricKeyType !== 'ed25519') throw new MtError('INVALID_ARGUMENT', 'A cluster key is an Ed25519 key');
    return key;
  });
}

/** A daemon's identity: a new key and a self-signed certificate. */
export async function makeDaemonIdentity(nowMs: number): Promise<TlsIdentity> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const keys = await toCryptoKeys(privateKey);
  const x509 = await loadX509();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=mini-torrent daemon',
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + 50 * YEAR_MS), // pinned by key: its end means nothing
    signingAlgorithm: ALGORITHM,
    keys,
  });
  return identity(privateKey, [certificate]);
}

/**
 * A tracker's identity: a new key whose certificate the cluster key signs. Made anew at every start.
 * @param companion the cluster's other private key during a rotation.
 */
export async function makeTrackerIdentity(
  clusterKey: KeyObject,
  number: number,
  nowMs: number,
  companion: KeyObject | null = null,
): Promise<TlsIdentity> {
  const cluster = await toCryptoKeys(clusterKey);
  const validity = { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + 10 * YEAR_MS) };
  const x509 = await loadX509();
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: CLUSTER_NAME,
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys: cluster,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      ...(companion ? [new x509.Extension(COMPANION_OID, false, vouch(clusterKey, companion))] : []),
    ],
  });
  const { privateKey } = generateKeyPairSync('ed25519');
  const own = await toCryptoKeys(privateKey);
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=tracker-${number}`,
    issuer: CLUSTER_NAME,
    ...validity,
    signingAlgorithm: ALGORITHM,
    publicKey: own.publicKey,
    signingKey: cluster.privateKey,
  });
  return identity(privateKey, [leaf, authority]);
}

/**
 * Tells a tracker of this cluster from a daemon. The role comes from the certificate, never from what its holder says.
 * @param clusterKeys public keys of the cluster that are accepted.
 */
export function roleOf(leaf: X509Certificate, clusterKeys: readonly KeyObject[], nowMs: number): PeerRole {
  const number = TRACKER_NAME.exec(leaf.subject)?.[1];
  if (number && isCurrent(leaf, nowMs) && clusterKeys.some((key) => leaf.verify(key))) {
    return { role: 'tracker', number: Number(number) };
  }
  return { role: 'daemon', fingerprint: fingerprintOf(leaf.publicKey) };
}

/**
 * What a daemon checks of the tracker it dialled: the chain must end in a key that `isPinned` accepts.
 * @param chain the certificates as sent: leaf first, the cluster's second.
 * @param isPinned of the key that signed, or of its companion during a rotation.
 * @returns the cluster's public key, its companion if it shows one, and the tracker's number.
 * @throws MtError UNTRUSTED_CLUSTER, with the fingerprint that was seen.
 */
export function verifyTrackerChain(
  chain: readonly X509Certificate[],
  isPinned: (fingerprint: string, companion: string | null) => boolean,
  nowMs: number,
): { clusterKey: KeyObject; companion: KeyObject | null; number: number } {
  const [leaf, authority] = chain;
  const refuse = (why: string): never => {
    throw new MtError('UNTRUSTED_CLUSTER', why);
  };
  if (!leaf || !authority) return refuse('The tracker did not show a cluster certificate');
  const clusterKey = authority.publicKey;
  const seen = fingerprintOf(clusterKey);
  const companion = companionOf(authority);
  if (!isPinned(seen, companion && fingerprintOf(companion)))
    refuse(`The tracker belongs to the cluster with key ${seen}, which is not the one trusted here`);
  const role = roleOf(leaf, [clusterKey], nowMs);
  if (role.role !== 'tracker') return refuse('The certificate is not one of a tracker of this cluster');
  return { clusterKey, companion, number: role.number };
}

export function isCurrent(certificate: X509Certificate, nowMs: number): boolean {
  return Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo);
}

/** DER of `2.25.N`: 2 · 40 + 25, then N in base 128. */
function encodeOid(oid: string): Buffer {
  const digits: number[] = [];
  for (let rest = BigInt(oid.split('.')[2]!); rest > 0n; rest >>= 7n) {
    digits.unshift(Number(rest & 127n) | (digits.length > 0 ? 128 : 0));
  }
  return Buffer.of(0x06, digits.length + 1, 105, ...digits);
}

/** The public key in SPKI DER form, of a private one too. */
function spkiOf(key: KeyObject): Buffer {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
}

function vouch(clusterKey: KeyObject, companion: KeyObject): Buffer {
  const word = sign(null, Buffer.concat([COMPANION_DOMAIN, spkiOf(clusterKey)]), companion);
  return Buffer.concat([COMPANION_HEAD, spkiOf(companion), word]);
}

/** The other live key, if both vouch for each other. */
function companionOf(authority: X509Certificate): KeyObject | null {
  try {
    // Wherever it stands in the certificate, the key that signed all of it wrote it there.
    const at = authority.raw.indexOf(COMPANION_MARK);
    if (at < 0 || !authority.verify(authority.publicKey)) return null;
    const from = at + COMPANION_MARK.length;
    const value = authority.raw.subarray(from, from + SPKI_SIZE + SIGNATURE_SIZE);
    const companion = createPublicKey({ key: value.subarray(0, SPKI_SIZE), type: 'spki', format: 'der' });
    const signed = Buffer.concat([COMPANION_DOMAIN, spkiOf(authority.publicKey)]);
    return verify(null, signed, companion, value.subarray(SPKI_SIZE)) ? companion : null;
  } catch {
    return null; // not in our form: then it vouches for nothing
  }
}

function identity(privateKey: KeyObject, chain: X509.X509Certificate[]): TlsIdentity {
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    certPem: chain.map((certificate) => certificate.toString('pem')).join('\n'),
    fingerprint: fingerprintOf(new X509Certificate(chain[0]!.toString('pem')).publicKey),
  };
}

function serial(): string {
  const bytes = randomBytes(16);
  bytes[0]! &= 0x7f; // a positive DER integer
  return bytes.toString('hex');
}

async function toCryptoKeys(privateKey: KeyObject): Promise<webcrypto.CryptoKeyPair> {
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  const spki = spkiOf(privateKey);
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']),
    publicKey: await subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
  };
}
