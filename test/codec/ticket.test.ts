import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { isMtError } from '../../codec/errors.ts';
import { TICKET_LIFE_MS } from '../../codec/limits.ts';
import { CLOCK_SKEW_MS, openTicket, signTicket, TICKET_BYTES_MAX, type Ticket } from '../../codec/ticket.ts';

const NOW = 1_800_000_000_000;
const cluster = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const keys = [cluster.publicKey];
const TICKET: Ticket = {
  user_id: 'alice',
  fingerprint: 'ab'.repeat(32),
  group_id: 'lab',
  epoch: 3,
  file_name: 'é名.bin'.normalize('NFC'),
  manifest_hash: new Uint8Array(32).fill(5),
  not_before: NOW,
  expires_at: NOW + TICKET_LIFE_MS,
};

function refused(bytes: Uint8Array, says: string, nowMs = NOW, accepted: KeyObject[] = keys): void {
  try {
    openTicket(bytes, accepted, nowMs);
  } catch (error) {
    assert.ok(isMtError(error, 'FORBIDDEN'), String(error));
    assert.match((error as Error).message, says);
    return;
  }
  throw new Error(`should be refused: ${says}`);
}

const test = suite('ticket');

test('opens to what was signed, and fits its limit with the longest names', () => {
  const longest = { ...TICKET, user_id: 'u'.repeat(64), group_id: 'g'.repeat(64), file_name: 'x'.repeat(255) };
  for (const ticket of [TICKET, longest]) {
    const bytes = signTicket(ticket, cluster.privateKey);
    assert.ok(bytes.length <= TICKET_BYTES_MAX);
    const back = openTicket(bytes, keys, NOW);
    assert.equal(
      { ...back, manifest_hash: [...back.manifest_hash] },
      { ...ticket, manifest_hash: [...ticket.manifest_hash] },
    );
  }
});

test('during a rotation both keys are accepted, and no third one', () => {
  const bytes = signTicket(TICKET, other.privateKey);
  assert.is(openTicket(bytes, [cluster.publicKey, other.publicKey], NOW).user_id, 'alice');
  refused(bytes, 'not signed by this cluster');
  refused(bytes, 'not signed by this cluster', NOW, []);
});

test('is valid from not_before, less the skew of clocks, until its expiry and not a millisecond longer', () => {
  const bytes = signTicket(TICKET, cluster.privateKey);
  openTicket(bytes, keys, NOW - CLOCK_SKEW_MS);
  refused(bytes, 'not valid yet', NOW - CLOCK_SKEW_MS - 1);
  openTicket(bytes, keys, TICKET.expires_at);
  refused(bytes, 'expired', TICKET.expires_at + 1);
});

test('a change of any byte is refused', () => {
  const bytes = Buffer.from(signTicket(TICKET, cluster.privateKey));
  for (let at = 0; at < bytes.length; at++) {
    const forged = Buffer.from(bytes);
    forged[at]! ^= 0x01;
    refused(forged, '');
  }
});

test('a signature over the body alone, or under another domain, is refused', () => {
  const body = encodeCbor(TICKET);
  for (const domain of ['', 'mini-torrent ticket v2\0', 'mini-torrent\0']) {
    const signature = sign(null, Buffer.concat([Buffer.from(domain), body]), cluster.privateKey);
    refused(encodeCbor([Buffer.from(body), signature]), 'not signed');
  }
});

test('forged envelopes are refused', () => {
  const signature = new Uint8Array(64);
  const body = Buffer.from(encodeCbor(TICKET));
  const short = sign(null, body, cluster.privateKey).subarray(0, 63);
  for (const envelope of [
    [],
    [body],
    [body, short],
    [body, signature, 1],
    { body, signature },
    null,
    'ticket',
    [signature, 'x'],
  ]) {
    refused(encodeCbor(envelope), 'cannot be read');
  }
  refused(encodeCbor([body, signature]), 'not signed');
  refused(new Uint8Array(0), 'cannot be read');
  refused(new Uint8Array(TICKET_BYTES_MAX + 1), 'too large');
});

test('a signed body of another shape is refused', () => {
  const domain = Buffer.from('mini-torrent ticket v1\0');
  for (const change of [
    { user_id: '../x' },
    { file_name: 'a/b' },
    { epoch: -1 },
    { manifest_hash: new Uint8Array(31) },
    { more: 1 },
  ]) {
    const body = Buffer.from(encodeCbor({ ...TICKET, ...change }));
    const signature = sign(null, Buffer.concat([domain, body]), cluster.privateKey);
    refused(encodeCbor([body, signature]), 'cannot be read');
  }
});

test('keys of another kind accept nothing, and throw nothing else', () => {
  const bytes = signTicket(TICKET, cluster.privateKey);
  const x25519 = createPublicKey(generateKeyPairSync('x25519').privateKey);
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  for (const key of [ec, x25519]) {
    try {
      openTicket(bytes, [key], NOW);
      assert.unreachable();
    } catch (error) {
      assert.ok(error instanceof Error && error.name !== 'Assertion');
    }
  }
});

test('random bytes give FORBIDDEN only (property)', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => refused(bytes, '')),
    { numRuns: 2_000 },
  );
});

test.run();
