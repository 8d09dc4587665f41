import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { type AddressInfo, connect as netConnect } from 'node:net';
import { connect, createServer } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import {
  fingerprintOf,
  isCurrent,
  makeClusterKeyPem,
  makeDaemonIdentity,
  makeTrackerIdentity,
  parseClusterKeyPem,
  roleOf,
  type TlsIdentity,
  verifyTrackerChain,
} from '../../codec/identity.ts';

const NOW = Date.now();
const YEAR_MS = 365 * 24 * 3_600_000;

function newCluster() {
  const [privateKey] = parseClusterKeyPem(makeClusterKeyPem()) as [KeyObject];
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, fingerprint: fingerprintOf(privateKey) };
}
const chainOf = ({ certPem }: TlsIdentity) =>
  certPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)!.map((pem) => new X509Certificate(pem));

function untrusted(run: () => unknown, says = ''): void {
  try {
    run();
  } catch (error) {
    assert.ok(isMtError(error, 'UNTRUSTED_CLUSTER'), String(error));
    assert.match((error as Error).message, says);
    return;
  }
  throw new Error('should not be trusted');
}

const ours = newCluster();
const foreign = newCluster();
const tracker = await makeTrackerIdentity(ours.privateKey, 2, NOW);
const foreignTracker = await makeTrackerIdentity(foreign.privateKey, 2, NOW);
const daemon = await makeDaemonIdentity(NOW);
const pinOurs = (fingerprint: string) => fingerprint === ours.fingerprint;

const test = suite('identity');

test('a tracker of this cluster is known by number, whatever key it made today', async () => {
  assert.equal(roleOf(chainOf(tracker)[0]!, [ours.publicKey], NOW), { role: 'tracker', number: 2 });
  const { clusterKey, number } = verifyTrackerChain(chainOf(tracker), pinOurs, NOW);
  assert.is(number, 2);
  assert.is(fingerprintOf(clusterKey), ours.fingerprint);
  const again = await makeTrackerIdentity(ours.privateKey, 2, NOW);
  assert.is.not(again.fingerprint, tracker.fingerprint);
  assert.is(verifyTrackerChain(chainOf(again), pinOurs, NOW).number, 2);
});

test('a daemon is known by its key', () => {
  const [leaf] = chainOf(daemon);
  assert.equal(roleOf(leaf!, [ours.publicKey], NOW), { role: 'daemon', fingerprint: daemon.fingerprint });
  assert.match(daemon.fingerprint, /^[0-9a-f]{64}$/);
  assert.is(fingerprintOf(leaf!.publicKey), daemon.fingerprint);
});

test('a tracker of another cluster is a mere daemon to trackers, and untrusted to daemons', () => {
  assert.is(roleOf(chainOf(foreignTracker)[0]!, [ours.publicKey], NOW).role, 'daemon');
  untrusted(() => verifyTrackerChain(chainOf(foreignTracker), pinOurs, NOW), foreign.fingerprint);
});

test('a foreign leaf with our cluster certificate copied behind it is refused', () => {
  const forged = [chainOf(foreignTracker)[0]!, chainOf(tracker)[1]!];
  untrusted(() => verifyTrackerChain(forged, pinOurs, NOW), 'not one of a tracker');
});

test('a daemon that pretends to be a tracker is refused', async () => {
  untrusted(() => verifyTrackerChain([chainOf(daemon)[0]!, chainOf(tracker)[1]!], pinOurs, NOW));
  untrusted(() => verifyTrackerChain(chainOf(daemon), pinOurs, NOW), 'did not show');
  untrusted(() => verifyTrackerChain([], pinOurs, NOW), 'did not show');
  // Named like a tracker, signed by itself: its own key as "the cluster".
  const own = newCluster();
  const pretender = await makeTrackerIdentity(own.privateKey, 1, NOW);
  assert.is(roleOf(chainOf(pretender)[0]!, [ours.publicKey], NOW).role, 'daemon');
  untrusted(() => verifyTrackerChain(chainOf(pretender), pinOurs, NOW), 'not the one trusted');
});

test('the certificate of the cluster itself is no tracker', () => {
  const [, authority] = chainOf(tracker);
  assert.is(roleOf(authority!, [ours.publicKey], NOW).role, 'daemon');
  untrusted(() => verifyTrackerChain([authority!, authority!], pinOurs, NOW), 'not one of a tracker');
});

test('during a rotation trackers under either key are trackers', () => {
  const both = [foreign.publicKey, ours.publicKey];
  assert.is(roleOf(chainOf(tracker)[0]!, both, NOW).role, 'tracker');
  assert.is(roleOf(chainOf(foreignTracker)[0]!, both, NOW).role, 'tracker');
});

test('two live keys vouch for each other: whoever trusts either meets both', async () => {
  const other = parseClusterKeyPem(makeClusterKeyPem())[0]!;
  const rotating = await makeTrackerIdentity(ours.privateKey, 2, NOW, other);
  const fingerprint = fingerprintOf(other);
  const { clusterKey, companion } = verifyTrackerChain(
    chainOf(rotating),
    (_seen, second) => second === fingerprint,
    NOW,
  );
  assert.is(fingerprintOf(clusterKey), ours.fingerprint);
  assert.is(companion && fingerprintOf(companion), fingerprint);
  assert.is(verifyTrackerChain(chainOf(tracker), pinOurs, NOW).companion, null);
});

test('nobody vouches for himself with a key that he does not hold', async () => {
  const thief = parseClusterKeyPem(makeClusterKeyPem())[0]!;
  // A real companion's word is for another key: copied into one's own certificate it says nothing.
  const real = chainOf(await makeTrackerIdentity(ours.privateKey, 2, NOW, thief))[1]!.raw;
  const own = await makeTrackerIdentity(foreign.privateKey, 2, NOW, thief);
  const authority = Buffer.from(chainOf(own)[1]!.raw);
  const mark = Buffer.from('302a300506032b6570032100', 'hex').subarray(2);
  const [from, to] = [real.lastIndexOf(mark), authority.lastIndexOf(mark)];
  real.copy(authority, to, from, from + 106);
  untrusted(
    () => verifyTrackerChain([chainOf(own)[0]!, new X509Certificate(authority)], pinOurs, NOW),
    foreign.fingerprint,
  );
});

test('a certificate has its time; a clock that is a day behind accepts it', () => {
  const [leaf] = chainOf(tracker);
  assert.ok(isCurrent(leaf!, NOW - 23 * 3_600_000));
  assert.not.ok(isCurrent(leaf!, NOW - 48 * 3_600_000));
  assert.not.ok(isCurrent(leaf!, NOW + 11 * YEAR_MS));
  assert.is(roleOf(leaf!, [ours.publicKey], NOW + 11 * YEAR_MS).role, 'daemon');
  untrusted(() => verifyTrackerChain(chainOf(tracker), pinOurs, NOW + 11 * YEAR_MS));
});

test('a cluster key file holds one or two Ed25519 keys', () => {
  const [first, second] = [makeClusterKeyPem(), makeClusterKeyPem()];
  assert.is(parseClusterKeyPem(first).length, 1);
  assert.equal(
    parseClusterKeyPem(`# old and new\n${first}\n${second}`).map(fingerprintOf),
    [first, second].map((pem) => fingerprintOf(parseClusterKeyPem(pem)[0]!)),
  );
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
  const broken = first.replace(/\n.{8}/, '\nAAAAAAAA');
  const publicPem = createPublicKey(first).export({ type: 'spki', format: 'pem' }) as string;
  for (const pem of ['', 'x', ec, broken, publicPem, first + second + first]) {
    try {
      parseClusterKeyPem(pem);
      assert.unreachable(`should be refused: ${pem.slice(0, 40)}`);
    } catch (error) {
      assert.ok(isMtError(error, 'INVALID_ARGUMENT'), String(error));
      assert.not.match((error as Error).message, pem.split('\n')[1] || 'BEGIN');
    }
  }
});

test('over real TLS 1.3 both sides see the other’s leaf and chain', async () => {
  const seenByServer: unknown[] = [];
  const server = createServer(
    { key: tracker.keyPem, cert: tracker.certPem, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3' },
    (socket) => {
      seenByServer.push(roleOf(socket.getPeerX509Certificate()!, [ours.publicKey], NOW));
      socket.end();
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const socket = connect({
      host: '127.0.0.1',
      port,
      key: daemon.keyPem,
      cert: daemon.certPem,
      rejectUnauthorized: false,
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    const leaf = socket.getPeerX509Certificate()!;
    const chain = [leaf, ...(leaf.issuerCertificate ? [leaf.issuerCertificate] : [])];
    assert.is(verifyTrackerChain(chain, pinOurs, NOW).number, 2);
    assert.is(socket.getProtocol(), 'TLSv1.3');
    await new Promise((resolve) => socket.once('close', resolve).resume());
    assert.equal(seenByServer, [{ role: 'daemon', fingerprint: daemon.fingerprint }]);
    // Plain TCP on the port gets nothing but an end.
    const plain = netConnect({ host: '127.0.0.1', port });
    plain.on('error', () => {});
    plain.write('hello?\r\n\r\n');
    await new Promise((resolve) => plain.once('close', resolve).resume());
    assert.is(seenByServer.length, 1);
  } finally {
    server.close();
  }
});

test.run();
