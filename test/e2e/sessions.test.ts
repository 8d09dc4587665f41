// One user on several daemons, daemons that move, and who may fetch from whom.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { Meter } from '../harness/meter.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import type { Daemon } from '../harness/world.ts';

const seeders = async (who: Daemon) =>
  (await who.ok<{ files: { file_name: string; seeders: number }[] }>('list_files', 'lab')).files.map(
    (file) => file.seeders,
  );

const test = suite('sessions');

test(
  'a user on two daemons: each shares its own files, logout of one leaves the other',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    const laptop = await world.daemon('laptop').start();
    await laptop.ok('login', 'alice', 'pw-alice');
    const one = alice.file('one', 200_000);
    const two = laptop.file('two', 200_000);
    await alice.ok('upload_file', one.path, 'lab');
    await laptop.ok('upload_file', two.path, 'lab');
    assert.equal(await seeders(bob), [1, 1]);
    await alice.ok('logout');
    assert.equal(await seeders(bob), [0, 1]);
    await bob.ok('download_file', 'lab', 'two', '.');
    assert.is(sha1Of(bob.path('two')), two.sha1);
    await alice.ok('login', 'alice', 'pw-alice');
    await until('the first one is shared again', async () => (await seeders(bob))[0] === 1);
    await bob.ok('download_file', 'lab', 'one', '.');
    assert.is(sha1Of(bob.path('one')), one.sha1);
  }),
);

test(
  'a daemon that comes back at another address is found there, logged in as before',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    const { path, sha1 } = alice.file('f', 300_000);
    await alice.ok('upload_file', path, 'lab');
    await alice.program.kill();
    const { host, port } = alice.address;
    const moved = world.spawn('mt-peerd moved', BINS.peerd, [`${host}:${port + 1}`, ...alice.args.slice(1)]);
    await moved.ready();
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });
    const result = await bob.ok('download_file', 'lab', 'f', '.');
    assert.is(result.sha1, sha1);
    assert.is(sha1Of(bob.path('f')), sha1);
  }),
);

test(
  '--peer restricts the sources; a removed member is cut off and gets nothing more',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    const { path, sha1 } = alice.file('f', 12 << 20);
    await alice.ok('upload_file', path, 'lab');
    await bob.ok('download_file', 'lab', 'f', '.', '--peer', 'alice');
    const meter = await Meter.of(alice);
    const { up: before } = await meter.moved();
    const result = await carol.ok('download_file', 'lab', 'f', '.', '--peer', 'bob');
    assert.is(result.sha1, sha1);
    assert.is((await meter.moved()).up, before, 'alice was not asked');
    meter.close();

    // It takes far longer than what is done meanwhile.
    await alice.ok('limits', '--up', '1M');
    const large = alice.file('g', 32 << 20);
    await alice.ok('upload_file', large.path, 'lab');
    await carol.ok('download_file', 'lab', 'g', '.', '--detach');
    const bytes = async () =>
      (await carol.ok<{ downloads: { file_name: string; bytes_done: number }[] }>('show_downloads')).downloads.find(
        ({ file_name }) => file_name === 'g',
      )?.bytes_done ?? 0;
    await until('some of it came', async () => (await bytes()) > 0, { timeoutMs: 20_000 });
    await alice.ok('remove_member', 'lab', 'carol');
    const removedAt = performance.now();
    await until('it stands still', async () => {
      const before = await bytes();
      const isLate = performance.now() - removedAt > 2_000;
      return isLate && before === (await bytes());
    });
    assert.ok((await bytes()) < 32 << 20, 'it never becomes whole');
    await carol.fails('NOT_MEMBER', 'list_files', 'lab');
  }),
);

test.run();
