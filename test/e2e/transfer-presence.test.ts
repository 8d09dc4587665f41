// How soon a download notices that a source has come, stopped, been killed or gone silent, and what it loses by it: nothing.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { Meter } from '../harness/meter.ts';
import type { Daemon } from '../harness/world.ts';

const MiB = 1 << 20;
const SOON_MS = 1_000;
const SILENCE_MS = 5_000;
const test = suite('transfer-presence');

async function seedersOf(daemon: Daemon): Promise<string[]> {
  const { seeders } = await daemon.ok<{ seeders: { user_id: string }[] }>('list_seeders', 'lab', 'f');
  return seeders.map(({ user_id }) => user_id).sort();
}

test(
  'a source that comes, stops or is killed is used or forgotten within a second, a silent one within 5 s',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    const { path, sha1 } = alice.file('f', 64 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await carol.ok('download_file', 'lab', 'f', '.');
    for (const seeder of [alice, carol]) await seeder.ok('limits', '--up', '2M');
    await carol.program.stop();
    assert.equal(await seedersOf(alice), ['alice'], 'who stops says goodbye to the trackers');

    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    const meter = await Meter.of(bob);
    const uses = (count: number) => meter.when(`${count} sources`, 'f', ({ peers }) => peers === count);
    await uses(1);
    const comes = async () => {
      await carol.start();
      const { ms } = await uses(2);
      assert.ok(ms < SOON_MS, `a source that came was used after ${ms} ms`);
    };

    await comes();
    const stopped = carol.program.stop();
    const leaves = await uses(1);
    assert.ok(leaves.ms < SOON_MS, `a source that stops was forgotten after ${leaves.ms} ms`);
    await stopped;

    await comes();
    await carol.program.kill();
    const dies = await uses(1);
    assert.ok(dies.ms < SOON_MS, `a killed source was forgotten after ${dies.ms} ms`);

    await comes();
    const before = await meter.moved();
    carol.program.freeze();
    const falls = await uses(1);
    assert.ok(falls.ms < SILENCE_MS, `a silent source was forgotten after ${falls.ms} ms`);
    await meter.rate('down', SILENCE_MS - falls.ms); // the rest of the 5 s
    const after = await meter.moved();
    const rate = ((after.down - before.down) * 1000) / (after.atMs - before.atMs);
    assert.ok(rate > 1.9 * MiB, `the other source went on meanwhile: ${rate} bytes a second`);
    carol.program.thaw();
    await uses(2);

    for (const seeder of [alice, carol]) await seeder.ok('limits', '--up', '0');
    await meter.when('it ends', 'f', ({ state }) => state === 'complete');
    assert.is(sha1Of(bob.path('f')), sha1);
    meter.close();
  }),
);

test.run();
