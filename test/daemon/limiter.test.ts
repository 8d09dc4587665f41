import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Limiter } from '../../daemon/limiter.ts';
import { Prng } from '../sim/prng.ts';

const KiB = 1024;
const test = suite('limiter');

/** Takes `size` again and again for `key` until `stop()`; counts what was granted, and when the last was. */
function consume(
  limiter: Limiter,
  size: number,
  key: string,
): { bytes: number; grantedAtMs: number; stop: () => void } {
  const consumer = {
    bytes: 0,
    grantedAtMs: performance.now(),
    isOver: false,
    stop: () => {
      consumer.isOver = true;
    },
  };
  const next = (): void => {
    while (!consumer.isOver) {
      consumer.bytes += size;
      consumer.grantedAtMs = performance.now();
      if (!limiter.take(size, key, next)) return;
    }
  };
  if (limiter.take(size, key, next)) next();
  return consumer;
}

/** Time passes only when `elapse` says so, and at once: whatever should have happened meanwhile happens late. */
function withClock(body: (elapse: (ms: number) => void) => void): () => void {
  return () => {
    let nowMs = 1_000;
    mock.timers.enable({ apis: ['setTimeout'] });
    mock.method(performance, 'now', () => nowMs);
    try {
      body((ms) => {
        nowMs += ms;
        mock.timers.tick(ms);
      });
    } finally {
      mock.timers.reset();
      mock.restoreAll();
    }
  };
}

test('without a limit everything is granted at once', () => {
  const limiter = new Limiter();
  for (let i = 0; i < 1_000; i++) assert.ok(limiter.take(1e9, 'a', () => {}));
  assert.is(limiter.releaseSize(256 * KiB), 256 * KiB);
});

test(
  'the average holds within 3 % over 5 s, however late the timers are',
  withClock((elapse) => {
    const random = new Prng(7);
    for (const lateMsMax of [1, 20, 95]) {
      const limiter = new Limiter(20 * 1024 * KiB);
      const beganMs = performance.now();
      const consumer = consume(limiter, 256 * KiB, 'a');
      while (performance.now() - beganMs < 5_000) elapse(random.int(1, lateMsMax));
      const seconds = (consumer.grantedAtMs - beganMs) / 1000;
      consumer.stop();
      limiter.close();
      // The last grant is paid for later.
      const rate = (consumer.bytes - 256 * KiB) / seconds;
      assert.ok(Math.abs(rate / (20 * 1024 * KiB) - 1) < 0.03, `${lateMsMax} ms late: ${rate} bytes a second`);
    }
  }),
);

test(
  'users take turns, however much each of them asks for',
  withClock((elapse) => {
    const limiter = new Limiter(4 * 1024 * KiB);
    const many = Array.from({ length: 5 }, () => consume(limiter, 16 * KiB, 'greedy'));
    const one = consume(limiter, 16 * KiB, 'modest');
    for (let turn = 0; turn < 50; turn++) elapse(10);
    const greedy = many.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const consumer of [...many, one]) consumer.stop();
    limiter.close();
    const share = one.bytes / (greedy + one.bytes);
    assert.ok(share > 0.45 && share < 0.55, `the modest one got ${share}`);
  }),
);

test('a new rate holds for those who wait already', async () => {
  const limiter = new Limiter(1);
  limiter.take(10 * KiB, 'a', () => {});
  const granted = new Promise<void>((resolve) => {
    assert.not.ok(limiter.take(KiB, 'a', resolve));
  });
  limiter.setRate(0);
  await granted;
});

test('what was granted beyond the tokens is earned before more is granted', async () => {
  const limiter = new Limiter(1024 * KiB);
  const beganMs = performance.now();
  for (let asked = 0; asked < 2; asked++) {
    await new Promise<void>((resolve) => {
      if (limiter.take(200 * KiB, 'a', resolve)) resolve();
    });
  }
  assert.ok(performance.now() - beganMs >= 150, `${performance.now() - beganMs} ms`);
});

test(
  'a debt is time, not bytes: a lowered limit does not pay for what a higher one let through',
  withClock((elapse) => {
    const limiter = new Limiter(1024 * KiB);
    elapse(100);
    assert.ok(limiter.take(200 * KiB, 'a', () => {}));
    limiter.setRate(KiB);
    let isGranted = limiter.take(1, 'b', () => {
      isGranted = true;
    });
    elapse(300);
    assert.ok(isGranted);
    limiter.close();
  }),
);

test('what is given back can be had again', () => {
  const limiter = new Limiter(KiB);
  assert.ok(limiter.take(10 * KiB, 'a', () => {}));
  limiter.refund(10 * KiB);
  assert.ok(limiter.take(1, 'a', () => {}));
  limiter.close();
});

test('a limited sender releases little at a time', () => {
  assert.is(new Limiter(64 * KiB).releaseSize(256 * KiB), 4 * KiB);
  assert.is(new Limiter(2_000 * KiB).releaseSize(256 * KiB), 100 * KiB);
  assert.is(new Limiter(1e9).releaseSize(256 * KiB), 256 * KiB);
});

test.run();
