import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Revocations } from '../../daemon/peer/revocations.ts';

const test = suite('revocations');
const NOW = 1_700_000_000_000;

test('a new epoch leaves the others 10 s to renew, whether or not an older one was known', () => {
  for (const first of [null, 1]) {
    const revocations = new Revocations();
    if (first !== null) revocations.noteEpoch('g', first, NOW - 60_000, true);
    revocations.noteEpoch('g', 2, NOW, false);
    assert.not.ok(revocations.isOutdated('g', 1, NOW + 9_999));
    assert.ok(revocations.isOutdated('g', 1, NOW + 10_001));
    assert.not.ok(revocations.isOutdated('g', 2, NOW + 60_000));
  }
});

test('one that grew while no tracker was heard ends old tickets within 5 s; at a start, at once', () => {
  const revocations = new Revocations();
  revocations.noteEpoch('g', 2, NOW, true);
  assert.ok(revocations.isOutdated('g', 1, NOW));
  assert.not.ok(revocations.isOutdated('g', 2, NOW));
  revocations.noteEpoch('g', 3, NOW, true);
  assert.not.ok(revocations.isOutdated('g', 2, NOW + 3_900));
  assert.ok(revocations.isOutdated('g', 2, NOW + 4_001));
});

test('a revocation holds for whom it names, and for tickets from before it', () => {
  const revocations = new Revocations();
  const holder = { userId: 'u', fingerprint: 'f', groupId: 'g' };
  const before = { epoch: 1, madeAtMs: NOW - 1 };
  revocations.revoke({ userId: 'u', fingerprint: 'f', groupId: null }, null, NOW);
  assert.ok(revocations.isRevoked(holder, before));
  assert.not.ok(revocations.isRevoked({ ...holder, fingerprint: 'other' }, before));
  assert.not.ok(revocations.isRevoked({ ...holder, userId: 'v' }, before));
  assert.not.ok(revocations.isRevoked(holder, { epoch: 1, madeAtMs: NOW + 1 }), 'logged in again');
  revocations.revoke({ userId: 'v', fingerprint: null, groupId: 'g' }, 2, NOW);
  assert.ok(revocations.isRevoked({ ...holder, userId: 'v' }, { epoch: 1, madeAtMs: NOW + 60_000 }), 'clocks differ');
  assert.not.ok(revocations.isRevoked({ ...holder, userId: 'v' }, { epoch: 2, madeAtMs: NOW }), 'a member again');
});

test.run();
