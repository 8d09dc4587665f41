// The one row of the exit table that takes half a minute whatever the machine: a download without any source. Alone, because it only
// waits: the gate runs it beside everything else.
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inLab } from '../harness/lab.ts';
import { until } from '../harness/until.ts';

const MiB = 1 << 20;
const test = suite('no source');

test(
  '7 NO_SEEDERS after 30 s without any source; the download stays in the daemon, and goes on by itself',
  inLab(['alice', 'carol'], async ({ alice, carol }) => {
    const { path } = alice.file('f', 4 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.program.kill();
    const startedAt = performance.now();
    await carol.fails('NO_SEEDERS', 'download_file', 'lab', 'f', '.');
    const elapsedMs = performance.now() - startedAt;
    assert.ok(elapsedMs > 25_000 && elapsedMs < 45_000, `${elapsedMs} ms`);
    await alice.start();
    const state = async () =>
      (await carol.ok<{ downloads: { state: string }[] }>('show_downloads')).downloads[0]?.state;
    await until('it went on by itself', async () => (await state()) === 'complete', { timeoutMs: 30_000 });
    assert.ok(existsSync(carol.path('f')));
  }),
);

test.run();
