// What the scrub reads next and how fast, and when and in which order a lost file is looked for: decisions without disk and clock.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nextToScrub, Pacer, rateNow } from '../../daemon/shares/scrub-plan.ts';
import { CANDIDATES_MAX, isSameFileMoved, isSearchDue, likeliest } from '../../daemon/shares/search-plan.ts';

const test = suite('scrub plan');
const MiB = 1024 * 1024;
const settings = { bytesPerS: 8 * MiB, intervalMs: 1_000 };
const share = (name: string, scrubbedAtMs: number, scrubNext = 0) => ({ name, scrubbedAtMs, scrubNext });
const nobody = () => false;

test('next is what was asked for, then what was begun, then what is longest unread; and only what is due', () => {
  const [a, b, c, d] = [share('a', 100), share('b', 50), share('c', 400, 3), share('d', 9_000)];
  const next = (nowMs: number, isAsked: (s: typeof a) => boolean = nobody, of = [a, b, c, d]) =>
    nextToScrub(of, isAsked, settings, nowMs)?.name;
  assert.is(next(1_000), undefined, 'nothing is due');
  assert.is(next(1_050), 'b');
  assert.is(next(1_200), 'b', 'longest unread');
  assert.is(next(1_400), 'c', 'begun');
  assert.is(
    next(1_400, (s) => s === d),
    'd',
    'asked for, though not due',
  );
  assert.is(nextToScrub([a], nobody, { ...settings, intervalMs: 0 }, 1e15), null, 'never by itself');
  assert.is(nextToScrub([a], () => true, { ...settings, intervalMs: 0 }, 0)?.name, 'a', 'unless asked for');
});

test('it keeps its rate, steps aside for transfers, and never stops for good', () => {
  assert.is(rateNow(settings, 0), 8 * MiB);
  assert.is(rateNow(settings, 100 * MiB), MiB / 2);
  assert.is(rateNow({ ...settings, bytesPerS: 128 * 1024 }, 100 * MiB), 64 * 1024);
  assert.is(rateNow({ ...settings, bytesPerS: 1024 }, 100 * MiB), 1024, 'never more than allowed');
  assert.is(rateNow({ ...settings, bytesPerS: 0 }, 0), Number.POSITIVE_INFINITY);
  assert.is(rateNow({ ...settings, bytesPerS: 0 }, 160 * MiB), 10 * MiB);
});

test('the pace holds on average, and follows another rate within a moment', () => {
  const read = (rateAt: (nowMs: number) => number, untilMs: number) => {
    const pacer = new Pacer();
    let bytes = 0;
    for (let nowMs = 0; nowMs < untilMs; ) {
      const waitMs = pacer.waitMs(rateAt(nowMs), nowMs);
      if (waitMs === 0) {
        pacer.spend(MiB);
        bytes += MiB;
      }
      nowMs += waitMs;
      assert.ok(waitMs <= 250);
    }
    return bytes / MiB;
  };
  assert.ok(Math.abs(read(() => 8 * MiB, 10_000) - 80) <= 1);
  const slowFirst = read((nowMs) => (nowMs < 5_000 ? 1024 : 8 * MiB), 10_000);
  assert.ok(slowFirst >= 38 && slowFirst <= 41, `${slowFirst} MiB`);
  const unlimited = new Pacer();
  unlimited.waitMs(Number.POSITIVE_INFINITY, 0);
  unlimited.spend(MiB);
  assert.is(unlimited.waitMs(Number.POSITIVE_INFINITY, 1), 0);
});

test('a lost file is looked for at once, then less and less often', () => {
  assert.ok(isSearchDue(undefined, 0));
  assert.not.ok(isSearchDue({ attempts: 1, lastAtMs: 0 }, 4_999));
  assert.ok(isSearchDue({ attempts: 1, lastAtMs: 0 }, 5_000));
  assert.not.ok(isSearchDue({ attempts: 3, lastAtMs: 0 }, 19_999));
  assert.ok(isSearchDue({ attempts: 1_000, lastAtMs: 0 }, 15 * 60_000), 'but it never ends');
});

test('the likeliest candidates come first, and only so many', () => {
  const lost = { name: 'f', inode: 1n, sizeBytes: 10, mtimeNs: 5n };
  const file = (name: string, mtimeNs: bigint, sizeBytes = 10, isDirectory = false) => ({
    path: `/${name}/${mtimeNs}`,
    name,
    isDirectory,
    identity: { inode: 2n, sizeBytes, mtimeNs },
  });
  const found = [file('x', 1n), file('y', 5n), file('f', 2n), file('f', 5n), file('f', 5n, 11), file('f.part', 5n)];
  assert.equal(
    likeliest([...found, file('f', 5n, 10, true)], lost).map(({ path }) => path),
    ['/f/5', '/f/2', '/y/5', '/x/1'],
  );
  assert.is(likeliest(Array(100).fill(file('z', 1n)), lost).length, CANDIDATES_MAX);
  assert.ok(isSameFileMoved({ inode: 1n, sizeBytes: 10, mtimeNs: 5n }, lost));
  assert.not.ok(isSameFileMoved({ inode: 1n, sizeBytes: 10, mtimeNs: 6n }, lost), 'an inode that was used again');
});

test.run();
