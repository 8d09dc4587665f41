// How downloads share what there is: the line among them, the pieces among partial peers, the work among unequal sources.
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAP_HEADER_SIZE } from '../../daemon/disk/resume.ts';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { Meter } from '../harness/meter.ts';
import { until } from '../harness/until.ts';
import type { Daemon } from '../harness/world.ts';

const MiB = 1 << 20;
const WINDOW_MS = 2_500;
/** One of so many must be as promised: another one may have met somebody else's work on this machine. */
const TRIES = 4;
const test = suite('transfer-sharing');

/** Which pieces of its only unfinished download a daemon has verified, from the map that it keeps of them. */
function verifiedPieces({ dir }: Daemon): boolean[] {
  const maps = `${dir}/data/downloads`;
  const [map] = readdirSync(maps).map((name) => readFileSync(`${maps}/${name}`));
  return map ? [...map.subarray(MAP_HEADER_SIZE)].map((mark) => mark > 0) : [];
}

test(
  'several downloads get the same of a limited line, whatever their sources',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    const names = ['one', 'two', 'three'];
    for (const name of names) await alice.ok('upload_file', alice.file(name, 24 * MiB).path, 'lab');
    await carol.ok('download_file', 'lab', 'one', '.'); // this one has two sources
    const meter = await Meter.of(bob);
    const assertShares = async (what: string, rateMin: number) => {
      const done = async () => Promise.all(names.map(async (name) => (await meter.row(name))!.bytes_done));
      await until(`${what}: all move`, async () => (await done()).every((bytes) => bytes > 0));
      const seen: string[] = [];
      while (seen.length < TRIES) {
        const before = await done();
        const rate = await meter.rate('down', WINDOW_MS);
        const gained = (await done()).map((bytes, i) => bytes - before[i]!);
        const all = gained.reduce((sum, bytes) => sum + bytes, 0);
        if (rate > rateMin && gained.every((bytes) => Math.abs(bytes / all - 1 / 3) < 0.05)) return;
        seen.push(`${gained.join(', ')} bytes of ${all}, ${Math.round(rate)} a second`);
      }
      assert.unreachable(`${what}: ${seen.join('; ')}`);
    };
    await bob.ok('limits', '--down', '4M');
    for (const name of names) await bob.ok('download_file', 'lab', name, '.', '--detach');
    await assertShares('download limit', 0);
    await carol.program.stop();
    await alice.ok('limits', '--up', '4M');
    await bob.ok('limits', '--down', '0');
    await assertShares('upload limit of the seeder, and the line is full', 0.95 * 4 * MiB);
    meter.close();
  }),
);

test(
  'a slow, a dead and a silent source beside a good one cost nothing; --peer asks one user only',
  inLab(['alice', 'bob', 'carol', 'dave', 'erin'], async ({ alice, bob, carol, dave, erin }) => {
    const size = 20 * MiB;
    const { path, sha1 } = alice.file('f', size);
    await alice.ok('upload_file', path, 'lab');
    for (const other of [carol, dave, erin]) await other.ok('download_file', 'lab', 'f', '.');
    await alice.ok('limits', '--up', '5M');
    await carol.ok('limits', '--up', '64K');
    const bound = size / (5 * MiB);
    const take = async (...flags: string[]) => {
      const began = performance.now();
      const { sha1 } = await bob.ok('download_file', 'lab', 'f', '.', '--force', ...flags);
      return { sha1, seconds: (performance.now() - began) / 1000 };
    };
    const others = await Promise.all([carol, dave, erin].map(Meter.of));
    const given = async () => (await Promise.all(others.map((other) => other.moved()))).map(({ up }) => up);
    const before = await given();
    const alone = await take('--peer', 'alice');
    assert.equal(await given(), before, '--peer alice asked nobody else');
    for (const other of others) other.close();
    const slowed = take();
    const meter = await Meter.of(bob);
    await meter.when('two send', 'f', ({ peers, state }) => state === 'downloading' && peers >= 2);
    // In the middle of what they send.
    await dave.program.kill();
    erin.program.freeze();
    const { sha1: found } = await slowed;
    assert.equal([found, sha1Of(bob.path('f'))], [sha1, sha1]);
    // They are still listed, and nobody answers there. Nor must the slow one hold up the end.
    // A source that was waited for would cost 5 s and more; some of one second may be this machine's.
    const again = Math.min((await take()).seconds, (await take()).seconds);
    assert.ok(again < alone.seconds + 0.3 * bound, `${again} s, ${alone.seconds} s without them`);
    meter.close();
  }),
);

test(
  'partial peers give each other the rest when the seeder is gone',
  inLab(['alice', 'bob', 'carol', 'dave'], async ({ alice, bob, carol, dave }) => {
    const { path, sha1 } = alice.file('f', 8 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '6M');
    const takers = [bob, carol, dave];
    // Hardly anything passes between them until the seeder is gone.
    for (const taker of takers) await taker.ok('limits', '--up', '64K');
    await Promise.all(takers.map((taker) => taker.ok('download_file', 'lab', 'f', '.', '--detach')));
    await until('together they have every piece', () => {
      const have = takers.map(verifiedPieces);
      return have[0]!.length > 0 && have[0]!.every((_, piece) => have.some((pieces) => pieces[piece]));
    });
    await alice.program.kill();
    const had = takers.map((taker) => verifiedPieces(taker).filter(Boolean).length);
    assert.ok(
      had.every((count) => count < 128),
      `nobody has all of it yet: ${had.join(', ')} of 128`,
    );
    for (const taker of takers) await taker.ok('limits', '--up', '0');
    for (const taker of takers) {
      const meter = await Meter.of(taker);
      await meter.when('it ends', 'f', ({ state }) => state === 'complete');
      assert.is(sha1Of(taker.path('f')), sha1);
      meter.close();
    }
  }),
);

test.run();
