// What is left of a download when either side is killed, when it is paused, and when it is given up.
import { existsSync, readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { Meter } from '../harness/meter.ts';
import { until } from '../harness/until.ts';

const MiB = 1 << 20;
/** What may be on its way to a leecher when it is killed: a window of pieces of 64 KiB, some of them offered twice. */
const ON_THE_WAY = 8 * 65_536;
const test = suite('transfer-resume');

test(
  'kill -9 of the seeder, then of the leecher: at least 95 % of the verified bytes are not fetched again',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const size = 16 * MiB;
    const { path, sha1 } = alice.file('f', size);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '3M');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    let meter = await Meter.of(bob);
    await meter.when('a part is there', 'f', ({ bytes_done }) => bytes_done > 4 * MiB);
    await alice.program.kill();
    const { bytes_done: first } = await meter.when('it stands still', 'f', ({ peers }) => peers === 0);
    await alice.start();
    const goesOn = await meter.when('it goes on', 'f', ({ bytes_done }) => bytes_done > first);
    assert.ok(goesOn.ms < 3_000, `after ${goesOn.ms} ms`);
    await meter.when('another part is there', 'f', ({ bytes_done }) => bytes_done > 8 * MiB);
    await meter.ask('limits', { up: null, down: 64 * 1024 }); // nearly nothing may come between the two looks
    const { bytes_done: before } = (await meter.row('f'))!;
    await bob.program.kill();
    assert.not.ok(existsSync(bob.path('f')), 'an unfinished file does not have its final name');
    await bob.start('--download-limit', '0');
    meter = await Meter.of(bob);
    const { bytes_done: after } = (await meter.row('f'))!;
    assert.ok(after >= 0.95 * before, `${after} of ${before} bytes were kept`);
    await alice.ok('limits', '--up', '0');
    await meter.when('it ends', 'f', ({ state }) => state === 'complete');
    assert.is(sha1Of(bob.path('f')), sha1);
    const { down } = await meter.moved();
    assert.ok(down <= size - 0.95 * before, `${down} bytes came after the restart, ${before} were there before`);
    const { up } = await (await Meter.of(alice)).moved();
    assert.ok(
      up <= size - 0.95 * first + ON_THE_WAY,
      `${up} bytes left the second life of the seeder, ${first} were there before`,
    );
  }),
);

test(
  'pause stops the line and serves on; cancel leaves nothing of an unfinished download and everything of a finished one',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    const { path, sha1 } = alice.file('f', 12 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '3M');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    const meter = await Meter.of(bob);
    await meter.when('a part is there', 'f', ({ bytes_done }) => bytes_done > 2 * MiB);
    await meter.ask('pause_download', { group_id: 'lab', file_name: 'f' });
    const paused = await meter.moved();
    const seeders = async () => {
      const { seeders } = await carol.ok<{ seeders: { user_id: string }[] }>('list_seeders', 'lab', 'f');
      return seeders.map(({ user_id }) => user_id).sort();
    };
    await alice.ok('limits', '--up', '1');
    await carol.ok('download_file', 'lab', 'f', '.', '--detach');
    const other = await Meter.of(carol);
    await other.when('a paused one serves', 'f', ({ bytes_done }) => bytes_done >= 2 * MiB);
    const still = await meter.moved();
    assert.is(still.down, paused.down, 'and nothing came to it');
    assert.ok(still.up >= 2 * MiB);

    await until('all three are named', async () => (await seeders()).join() === 'alice,bob,carol');
    await carol.ok('cancel_download', 'lab', 'f');
    assert.equal(
      readdirSync(carol.dir).filter((name) => name.startsWith('f')),
      [],
      'neither file nor .part',
    );
    assert.equal(readdirSync(carol.path('data', 'downloads')), [], 'nor a map of its pieces');
    assert.equal(await carol.ok('show_downloads'), { downloads: [] });
    await until('the trackers know', async () => !(await seeders()).includes('carol'));
    await carol.program.kill();
    await carol.start();
    assert.equal(await carol.ok('show_downloads'), { downloads: [] }, 'not after a restart either');

    await alice.ok('limits', '--up', '0');
    await bob.ok('resume_download', 'lab', 'f');
    await meter.when('it ends', 'f', ({ state }) => state === 'complete');
    await bob.ok('pause_download', 'lab', 'f');
    assert.is((await meter.row('f'))!.state, 'complete', 'there is nothing to pause');
    await bob.ok('cancel_download', 'lab', 'f');
    assert.equal(await bob.ok('show_downloads'), { downloads: [] }, 'off the list');
    assert.is(sha1Of(bob.path('f')), sha1, 'the file stays');
    assert.equal(await seeders(), ['alice', 'bob'], 'and is shared');
    await bob.fails('NO_SUCH_DOWNLOAD', 'cancel_download', 'lab', 'f');
  }),
);

test.run();
