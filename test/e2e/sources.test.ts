// What happens to a download when its sources, or its own daemon, fail: they die, they lie, it is killed.
import { createCipheriv } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { manifestOf, sha1Of } from '../harness/files.ts';
import { HostilePeer } from '../harness/hostile-peer.ts';
import { inLab } from '../harness/lab.ts';
import { Meter } from '../harness/meter.ts';
import { until } from '../harness/until.ts';
import type { Daemon, World } from '../harness/world.ts';

const MiB = 1 << 20;
interface Row {
  state: string;
  bytes_done: number;
  size: number;
  peers: number;
  reason_code: string | null;
}

async function row(daemon: Daemon): Promise<Row> {
  const { downloads } = await daemon.ok<{ downloads: Row[] }>('show_downloads');
  return downloads[0]!;
}

/** Somebody of the group whose daemon is not ours. */
async function withMallory(world: World, owner: Daemon, use: (mallory: HostilePeer) => Promise<void>): Promise<void> {
  const listen = world.daemon('mallory').address;
  const mallory = await HostilePeer.join({ tracker: world.trackerAddress(1), listen, user: 'mallory', isNew: true });
  try {
    await mallory.joinGroup('lab');
    await owner.ok('accept_request', 'lab', 'mallory');
    await use(mallory);
  } finally {
    await mallory.close();
  }
}

const test = suite('sources');

test(
  'a seeder that is killed midway: the rest comes from the other one',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    const { path, sha1 } = alice.file('f', 24 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await bob.ok('download_file', 'lab', 'f', '.');
    await alice.ok('limits', '--up', '1M');
    await bob.ok('limits', '--up', '1M');
    const download = carol.ok('download_file', 'lab', 'f', '.');
    download.catch(() => {}); // awaited at the end: what fails before that is what is to be seen
    await until('both are used', async () => {
      const { peers, bytes_done } = (await row(carol)) ?? { peers: 0, bytes_done: 0 };
      return peers === 2 && bytes_done > MiB;
    });
    await alice.program.kill();
    await bob.ok('limits', '--up', '0');
    assert.is((await download).sha1, sha1);
    assert.is(sha1Of(carol.path('f')), sha1);
  }),
);

test(
  'the only seeder dies and comes back: the download waits with a reason, then ends',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', 16 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '1M');
    const download = bob.ok('download_file', 'lab', 'f', '.');
    download.catch(() => {});
    await until('some of it is there', async () => ((await row(bob))?.bytes_done ?? 0) > MiB);
    await alice.program.kill();
    await until('the stall has a reason', async () => (await row(bob)).reason_code !== null, { timeoutMs: 20_000 });
    const before = (await row(bob)).bytes_done;
    await alice.start();
    await alice.ok('limits', '--up', '0');
    assert.is((await download).sha1, sha1);
    assert.ok(before > MiB);
    assert.is(sha1Of(bob.path('f')), sha1);
  }),
);

test(
  'a corrupting peer: its pieces are refused, it is dropped, the download ends from others',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    const { path, sha1 } = alice.file('f', 8 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '2M'); // slow, so that the liar is asked too
    await withMallory(world, alice, async (mallory) => {
      const content = readFileSync(path);
      const flip = (block: Buffer) => {
        block[block.length >> 1]! ^= 0x80;
        return block;
      };
      await mallory.share('lab', 'f', { manifest: manifestOf(content), content, alter: flip });
      const result = await bob.ok('download_file', 'lab', 'f', '.');
      assert.is(result.sha1, sha1);
      assert.is(sha1Of(bob.path('f')), sha1);
      assert.ok(mallory.blocksServed > 0, 'the liar was asked');
      assert.ok(mallory.blocksServed < 64, `and soon no more: ${mallory.blocksServed} blocks`);
      assert.is(mallory.linksTaken, 1, 'once banned it is not dialled again');
    });
  }),
);

test(
  'only a corrupting peer: nothing of it is kept, and an honest one that comes later is enough',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    const { path, sha1 } = alice.file('f', 2 * MiB);
    await withMallory(world, alice, async (mallory) => {
      const content = readFileSync(path);
      const noise = (block: Buffer) => createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(block);
      await mallory.share('lab', 'f', { manifest: manifestOf(content), content, alter: noise });
      const download = bob.ok('download_file', 'lab', 'f', '.');
      download.catch(() => {});
      await until('the liar was asked', () => mallory.blocksServed > 0);
      await until('it is dropped', async () => (await row(bob)).peers === 0);
      assert.is((await row(bob)).bytes_done, 0);
      assert.not.ok(existsSync(bob.path('f')));
      await alice.ok('upload_file', path, 'lab');
      assert.is((await download).sha1, sha1);
    });
  }),
);

test(
  'all pieces match but the whole SHA-1 does not: INTEGRITY, the publisher is named, nothing is left',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    await withMallory(world, alice, async (mallory) => {
      const content = readFileSync(alice.file('x', MiB).path);
      const manifest = { ...manifestOf(content), sha1: new Uint8Array(20).fill(1) };
      await mallory.share('lab', 'forged', { manifest, content, alter: (block) => block });
      const error = await bob.fails('INTEGRITY', 'download_file', 'lab', 'forged', '.');
      assert.match(error.message, 'mallory');
      assert.equal(
        readdirSync(bob.dir).filter((name) => name.includes('forged')),
        [],
      );
      assert.equal(await bob.ok('show_shares'), { shares: [] });
    });
  }),
);

test(
  'a daemon killed midway resumes by itself and keeps its verified pieces',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', 24 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '6M');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    // Over sockets that are open already: programs take longer to start than the rest may take to come.
    const [meter, seeder] = await Promise.all([bob, alice].map(Meter.of));
    await meter!.when('a third is there', 'f', ({ bytes_done }) => bytes_done > 8 * MiB);
    await seeder!.ask('limits', { up: 64 * 1024, down: null }); // nearly nothing may come between the two looks
    const before = (await meter!.row('f'))!.bytes_done;
    await bob.program.kill();
    seeder!.close();
    assert.not.ok(existsSync(bob.path('f')), 'an unfinished file does not have its final name');
    await bob.start();
    assert.equal(await bob.ok('whoami'), { user_id: 'bob' }, 'logged in as before');
    const after = (await row(bob)).bytes_done;
    assert.ok(after >= before * 0.95, `${after} of ${before} bytes were kept`);
    await alice.ok('limits', '--up', '0');
    await until('it is complete', async () => (await row(bob)).state === 'complete', { timeoutMs: 30_000 });
    assert.is(sha1Of(bob.path('f')), sha1);
    await until('and shared', async () => {
      const { files } = await alice.ok<{ files: { seeders: number }[] }>('list_files', 'lab');
      return files[0]!.seeders === 2;
    });
  }),
);

test(
  'pause, resume and cancel; a partial peer serves what it has',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', 16 * MiB);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '1500K');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    await until('some of it is there', async () => (await row(bob)).bytes_done > 2 * MiB);
    await bob.ok('pause_download', 'lab', 'f');
    const paused = await row(bob);
    assert.is(paused.state, 'paused');
    assert.match((await bob.mt('show_downloads')).stdout, /^\[P\] \[lab\] f/m);
    await bob.program.kill();
    await bob.start();
    const kept = await row(bob);
    assert.is(kept.state, 'paused', 'still paused after kill -9');
    assert.ok(kept.bytes_done >= paused.bytes_done * 0.95);
    await bob.ok('resume_download', 'lab', 'f');
    await alice.ok('limits', '--up', '0');
    await until('it is complete', async () => (await row(bob)).state === 'complete', { timeoutMs: 30_000 });
    assert.is(sha1Of(bob.path('f')), sha1);

    await alice.ok('limits', '--up', '1M');
    const other = alice.file('g', 8 * MiB);
    await alice.ok('upload_file', other.path, 'lab');
    await bob.ok('download_file', 'lab', 'g', '.', '--detach');
    await bob.ok('cancel_download', 'lab', 'g');
    await until('nothing of it is left', () => readdirSync(bob.dir).every((name) => !name.includes('g.')));
    await bob.fails('NO_SUCH_DOWNLOAD', 'cancel_download', 'lab', 'g');
  }),
);

test.run();
