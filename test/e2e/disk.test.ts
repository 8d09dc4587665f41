// Destinations that are full or read-only. Root may write anywhere, so both are real file systems, mounted for the test.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld } from '../harness/world.ts';

const MiB = 1 << 20;

/** Why nothing can be mounted here; null: it can. */
function mountRefusal(): string | null {
  const dir = mkdtempSync(join(tmpdir(), 'mt-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir], { stdio: 'pipe' });
    execFileSync('umount', [dir], { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `cannot mount a tmpfs here (${(error as Error).message.split('\n')[0]})`;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function withMount(dir: string, options: string, body: () => Promise<void>): Promise<void> {
  mkdirSync(dir, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir]);
  try {
    await body();
  } finally {
    execFileSync('umount', ['-l', dir]);
  }
}

async function row(daemon: Daemon) {
  const { downloads } = await daemon.ok<{ downloads: { state: string; reason_code: string | null }[] }>(
    'show_downloads',
  );
  return downloads[0];
}

const reason = mountRefusal();
const test = suite('disk');

testOrSkip(
  test,
  '9 DISK_FULL: pauses that download alone; it goes on by itself when there is room',
  reason,
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('lab', alice, bob);
    const { path, sha1 } = alice.file('f', 8 * MiB);
    await alice.ok('upload_file', path, 'lab');
    const small = alice.file('small', 100_000);
    await alice.ok('upload_file', small.path, 'lab');
    await withMount(bob.path('full'), 'size=6m', async () => {
      const { message } = await bob.fails('DISK_FULL', 'download_file', 'lab', 'f', 'full');
      assert.match(message, 'full');
      const stalled = await row(bob);
      if (stalled) assert.is(stalled.reason_code, 'DISK_FULL', JSON.stringify(stalled));
      await bob.ok('download_file', 'lab', 'small', '.');
      assert.is(sha1Of(bob.path('small')), small.sha1, 'others go on');
      execFileSync('mount', ['-o', 'remount,size=32m', bob.path('full')]);
      await until(
        'it went on by itself',
        async () => {
          const { downloads } = await bob.ok<{ downloads: { file_name: string; state: string }[] }>('show_downloads');
          return downloads.some(({ file_name, state }) => file_name === 'f' && state === 'complete');
        },
        { timeoutMs: 45_000, everyMs: 200 },
      );
      assert.is(sha1Of(bob.path('full', 'f')), sha1);
      await bob.program.stop();
    });
  }, 1),
);

testOrSkip(
  test,
  '9 PERMISSION: a read-only destination is refused at once, nothing is listed',
  reason,
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('lab', alice, bob);
    const { path, sha1 } = alice.file('f', MiB);
    await alice.ok('upload_file', path, 'lab');
    await withMount(bob.path('ro'), 'ro,size=8m', async () => {
      await bob.fails('PERMISSION', 'download_file', 'lab', 'f', 'ro');
      assert.equal(await bob.ok('show_downloads'), { downloads: [] }, 'a download refused at its start is not listed');
      assert.equal(readdirSync(bob.path('ro')), []);
    });
    await bob.ok('download_file', 'lab', 'f', '.');
    assert.is(sha1Of(bob.path('f')), sha1, 'nothing is lost');
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
