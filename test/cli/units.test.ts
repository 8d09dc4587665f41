// Sizes and times, as shown and as typed; and words that were mistyped.
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { didYouMean, editDistance } from '../../cli/did-you-mean.ts';
import { downloadLine } from '../../cli/render/downloads.ts';
import {
  formatDuration,
  formatLimit,
  formatRate,
  formatSize,
  parseSize,
  parseTimeout,
  percentOf,
  timeLeftMs,
} from '../../cli/render/units.ts';
import { isMtError } from '../../codec/errors.ts';

const test = suite('units');

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isMtError(error)) return error.code;
    throw error;
  }
  return 'no error';
}

test('sizes count in powers of two', () => {
  const shown = [0, 1, 1023, 1024, 1536, 1024 ** 2 - 1, 1024 ** 2, 18.1 * 1024 ** 2, 1024 ** 3, 2 ** 53].map(
    formatSize,
  );
  assert.equal(shown, ['0 B', '1 B', '1023 B', '1.0 KB', '1.5 KB', '1.0 MB', '1.0 MB', '18.1 MB', '1.0 GB', '8.0 PB']);
  assert.is(formatRate(0), '0 B/s');
  assert.is(formatLimit(0), 'no limit');
});

test('sizes as typed', () => {
  const typed = ['0', '100', '64K', '20M', '20m', '1.5G', '2T', '64KB', '64KiB', '20M/s', '20 MB/s'].map(parseSize);
  const K = 1024;
  assert.equal(typed, [
    0,
    100,
    64 * K,
    20 * K ** 2,
    20 * K ** 2,
    1.5 * K ** 3,
    2 * K ** 4,
    64 * K,
    64 * K,
    20 * K ** 2,
    20 * K ** 2,
  ]);
  assert.equal(['0.0', '0.1', '0.0001K'].map(parseSize), [0, 1, 1], 'only 0 means no limit');
  for (const bad of ['', '-1', 'K', '1X', '1e3', '0x10', '20M20', '99999999T', 'NaN', '１']) {
    assert.is(
      codeOf(() => parseSize(bad)),
      'INVALID_ARGUMENT',
      bad,
    );
  }
});

test('what is shown as a size reads back within its rounding', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 49 }), (bytes) => {
      const back = parseSize(formatSize(bytes));
      assert.ok(Math.abs(back - bytes) <= Math.max(1, bytes * 0.06));
    }),
  );
});

test('durations', () => {
  assert.equal([0, 999, 59_400, 60_000, 185_000, 7_800_000, 273_600_000].map(formatDuration), [
    '0 s',
    '1 s',
    '59 s',
    '1 min 00 s',
    '3 min 05 s',
    '2 h 10 min',
    '3 d 4 h',
  ]);
  assert.is(timeLeftMs(50, 100, 0), null);
  assert.is(timeLeftMs(50, 100, 25), 2000);
});

test('100 % only when all of it is there', () => {
  assert.equal([percentOf(999, 1000), percentOf(1000, 1000), percentOf(0, 0), percentOf(0, 5)], [99, 100, 100, 0]);
});

test('a download is named in full, and without tricks', () => {
  const file_name = `${'long'.repeat(50)}\u202egpj.exe`;
  const row = { group_id: 'lab', file_name, state: 'complete', bytes_done: 1, size: 1, rate: 0, peers: 0 } as const;
  const line = downloadLine({ ...row, destination: '/tmp/x', reason: null, reason_code: null });
  assert.is(line, `[C] [lab] ${'long'.repeat(50)}?gpj.exe`);
});

test('--timeout takes seconds', () => {
  assert.equal(['10', '0.5', '86400', '0.0001'].map(parseTimeout), [10_000, 500, 86_400_000, 1]);
  for (const bad of ['0', '-1', '', 'x', '1s', '86401', 'Infinity'])
    assert.is(
      codeOf(() => parseTimeout(bad)),
      'USAGE',
    );
});

test('the nearest word, or none', () => {
  const commands = ['list_files', 'list_groups', 'login', 'logout', 'limits'];
  assert.is(didYouMean('list_flies', commands), 'list_files');
  assert.is(didYouMean('LIST-GROUPS', commands), 'list_groups');
  assert.is(didYouMean('loguot', commands), 'logout');
  assert.is(didYouMean('xyzzy', commands), undefined);
  assert.is(didYouMean('', commands), undefined);
  assert.is(editDistance('ab', 'ba'), 1);
  assert.is(editDistance('kitten', 'sitting'), 3);
});

test.run();
