// Destinations that are full or read-only. Root may write anywhere, so both are real file systems, mounted for the test.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { mountRefusal, withMount } from '../harness/mount.ts';
import { Relay } from '../harness/relay.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld } from '../harness/world.ts';

const MiB = 1 << 20;

const reason = mountRefusal();
const test = suite('disk');

interface Row {
  file_name: string;
  state: string;
  reason_code: string | null;
  bytes_done: number;
}

async function rowOf(daemon: Daemon, name: string): Promise<Row> {
  const { downloads } = await daemon.ok<{ downloads: Row[] }>('show_downloads');
  return downloads.find(({ file_name }) => file_name === name)!;
}

testOrSkip(
  test,
  '9 DISK_FULL: refused by its caller at once, goes on by itself when there is room',
  reason,
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', 8 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await withMount(bob.path('full'), 'size=6m', async () => {
      const { message } = await bob.fails('DISK_FULL', 'download_file', 'lab', 'f', 'full');
      assert.match(message, 'full');
      assert.is((await rowOf(bob, 'f')).reason_code, 'DISK_FULL');
      execFileSync('mount', ['-o', 'remount,size=32m', bob.path('full')]);
      await until('it went on by itself', async () => (await rowOf(bob, 'f')).state === 'complete', {
        timeoutMs: 45_000,
        everyMs: 200,
      });
      assert.is(sha1Of(bob.path('full', 'f')), sha1);
      await bob.program.stop();
    });
  }),
);

testOrSkip(
  test,
  'a disk that fills up on the way pauses that download alone; another one goes on meanwhile',
  reason,
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const f = alice.file('f', 6 * MiB);
    const other = alice.file('other', 9 * MiB);
    for (const { path } of [f, other]) await alice.ok('upload_file', path, 'lab');
    await withMount(bob.path('full'), 'size=24m', async () => {
      const filler = bob.path('full', 'filler');
      await bob.ok('limits', '--down', '512K');
      await bob.ok('download_file', 'lab', 'f', 'full', '--detach');
      await bob.ok('download_file', 'lab', 'other', '.', '--detach');
      await until(
        'both move',
        async () => (await rowOf(bob, 'f')).bytes_done * (await rowOf(bob, 'other')).bytes_done > 0,
      );
      assert.throws(() => writeFileSync(filler, Buffer.alloc(24 * MiB)), /ENOSPC/);
      await until('it pauses', async () => (await rowOf(bob, 'f')).state === 'paused');
      const paused = await rowOf(bob, 'f');
      assert.is(paused.reason_code, 'DISK_FULL');
      assert.ok(paused.bytes_done < 6 * MiB);
      const { stdout } = await bob.mt('show_downloads');
      assert.match(stdout, /^\[P\] \[lab\] f .*There is no room/m);
      const before = await rowOf(bob, 'other');
      assert.is(before.state, 'downloading');
      await until('the other one goes on', async () => (await rowOf(bob, 'other')).bytes_done > before.bytes_done);
      assert.is((await rowOf(bob, 'f')).state, 'paused', 'still no room');
      await bob.ok('limits', '--down', '0');
      rmSync(filler);
      await until('it goes on by itself', async () => (await rowOf(bob, 'f')).state === 'complete', { everyMs: 200 });
      await until('so is the other', async () => (await rowOf(bob, 'other')).state === 'complete', { everyMs: 200 });
      assert.is(sha1Of(bob.path('full', 'f')), f.sha1);
      assert.is(sha1Of(bob.path('other')), other.sha1);
      await bob.program.stop();
    });
  }),
);

testOrSkip(
  test,
  '9 PERMISSION: a read-only destination is refused at once, nothing is listed',
  reason,
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', MiB);
    await alice.ok('upload_file', path, 'lab');
    await withMount(bob.path('ro'), 'ro,size=8m', async () => {
      await bob.fails('PERMISSION', 'download_file', 'lab', 'f', 'ro');
      assert.equal(await bob.ok('show_downloads'), { downloads: [] }, 'a download refused at its start is not listed');
      assert.equal(readdirSync(bob.path('ro')), []);
    });
    await bob.ok('download_file', 'lab', 'f', '.');
    assert.is(sha1Of(bob.path('f')), sha1, 'nothing is lost');
  }),
);

testOrSkip(
  test,
  'a daemon whose own state finds no room goes on, and says to the trackers what waits when there is some',
  reason,
  inWorld(async (world) => {
    // Behind a wire that can be cut: a tracker that starts again may take as long as a command waits.
    const near = world.trackerAddress(1);
    const real = { host: near.host, port: near.port + 1 };
    const relay = await Relay.open(near, real);
    await world.launchTracker(1, '--listen', `${real.host}:${real.port}`).ready();
    const carol = world.daemon('carol');
    await withMount(carol.path('data'), 'size=8m,mode=0700', async () => {
      await (await carol.start()).enter();
      await carol.ok('create_group', 'lab');
      const { path } = carol.file('f', MiB);
      await carol.ok('upload_file', path, 'lab');
      relay.cut();
      const stopping = carol.mt('stop_share', 'lab', 'f');
      const waiting = async () => (await carol.ok<{ tracker: { outbox: number } }>('status')).tracker.outbox;
      await until('it waits to be told', async () => (await waiting()) === 1);
      assert.throws(() => writeFileSync(carol.path('data', 'filler'), Buffer.alloc(8 * MiB)), /ENOSPC/);
      relay.mend();
      await until('it was told', () => carol.program.stderr.includes('the outbox cannot be written'), {
        timeoutMs: 20_000,
      });
      assert.equal(await carol.ok('whoami'), { user_id: 'carol' });
      assert.is((await stopping).code, 9, 'told, and not noted here');
      await carol.fails('DISK_FULL', 'upload_file', path, 'lab');
      rmSync(carol.path('data', 'filler'));
      await until('it is noted', async () => (await waiting()) === 0, { timeoutMs: 20_000 });
      assert.is((await carol.ok<{ files: unknown[] }>('list_files', 'lab')).files.length, 0);
      await carol.program.stop();
    });
    relay.close();
  }, 1),
);

testOrSkip(
  test,
  'a share whose file changed on disk is noticed and not served',
  null,
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    await alice.ok('create_group', 'lab');
    const { path } = alice.file('f', MiB);
    await alice.ok('upload_file', path, 'lab');
    writeFileSync(path, 'something else');
    const shareState = async () => (await alice.ok<{ shares: { state: string }[] }>('show_shares')).shares[0]!.state;
    await until('it shows as changed', async () => (await shareState()) === 'changed');
    rmSync(path);
    await until('it shows as missing', async () => (await shareState()) === 'missing');
  }, 1),
);

test.run();
