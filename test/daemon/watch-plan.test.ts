import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dueInMs, isPassedOver, lookedAt, SETTLE_MS } from '../../daemon/watch/watch-plan.ts';

const test = suite('watch plan');
const identity = (mtimeNs: bigint) => ({ inode: 1n, sizeBytes: 5, mtimeNs });

test('hidden, temporary and unfinished names are passed over, and no others', () => {
  for (const name of ['.a', 'a~', '#a#', 'a.part', 'a.PART', 'a.tmp', 'a.swp', 'x.crdownload', '.~lock.a#', 'a.lock']) {
    assert.ok(isPassedOver(name), name);
  }
  for (const name of ['a', 'part', 'a.partly', 'tmp', 'a.part.zip', '~a', '#1', 'report.template']) {
    assert.not(isPassedOver(name), name);
  }
});

test('a file is due once it has not changed for a while; each change begins that anew', () => {
  const first = lookedAt(undefined, identity(1n), 1_000);
  assert.is(dueInMs(first, 1_000), SETTLE_MS);
  const second = lookedAt(first, identity(2n), 1_000 + SETTLE_MS - 1);
  assert.is(dueInMs(second, 1_000 + SETTLE_MS - 1), SETTLE_MS);
  const third = lookedAt(second, identity(2n), 1_000 + 2 * SETTLE_MS);
  assert.is(third, second);
  assert.is(dueInMs(third, 1_000 + 2 * SETTLE_MS), 0);
  assert.is(dueInMs({ ...third, isShared: true }, 1e9), null);
});

test('what the file is to blame for is not tried again until it changes; what time may heal is', () => {
  const settled = { ...lookedAt(undefined, identity(1n), 0), triedAtMs: 50_000 };
  const exists = { ...settled, failure: { code: 'FILE_EXISTS', message: '' } as const };
  assert.is(dueInMs(exists, 1e9), null);
  assert.is(dueInMs(lookedAt(exists, identity(2n), 1e9), 1e9 + SETTLE_MS), 0);
  const quorum = { ...settled, failure: { code: 'NO_QUORUM', message: '' } as const };
  assert.ok(dueInMs(quorum, 50_000)! > 1_000);
  assert.is(dueInMs(quorum, 1e9), 0);
});

test.run();
