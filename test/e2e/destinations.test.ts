// Where a download may write: at the place that its user named, under the file's name, and nowhere else, whatever trackers, peers and
// the disk offer. Each trick on its own.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { manifestOf, sha1Of } from '../harness/files.ts';
import { Member } from '../harness/hostile-member.ts';
import { inLab } from '../harness/lab.ts';
import { until } from '../harness/until.ts';
import { type Daemon, describe, inWorld, type MtResult, type World } from '../harness/world.ts';

const test = suite('destinations');
/** Commands at once. */
const AT_ONCE = 6;

/** alice shares `f` in a group with bob, who downloads. */
async function scene(world: World) {
  await world.startTracker(1);
  const { alice, bob } = await world.people('alice', 'bob');
  await world.group('lab', alice, bob);
  const { path, sha1 } = alice.file('f', 200_000);
  await alice.ok('upload_file', path, 'lab');
  /** Downloads, checks, and lets go of the download and its share, so that the same file can be fetched again. */
  const fetch = async (destination: string, ...more: string[]): Promise<string> => {
    const { destination: at } = await bob.ok<{ destination: string }>(
      'download_file',
      'lab',
      'f',
      destination,
      ...more,
    );
    assert.is(sha1Of(at), sha1, destination);
    await forget(bob);
    return at;
  };
  return { alice, bob, sha1, fetch };
}

async function forget(bob: Daemon): Promise<void> {
  await bob.mt('cancel_download', 'lab', 'f');
  await bob.mt('stop_share', 'lab', 'f');
}

test(
  'names that are paths, devices or tricks are refused by trackers, whoever says them, and never reach a disk',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    await alice.ok('create_group', 'lab');
    const mallory = await Member.join({
      tracker: world.trackerAddress(1),
      address: world.daemon('mallory').address,
      user: 'mallory',
      isNew: true,
    });
    await mallory.joinGroup('lab');
    await alice.ok('accept_request', 'lab', 'mallory');
    const manifest = manifestOf(Buffer.alloc(1_000, 1));
    const wicked = {
      traversal: '../../etc/cron.d/x',
      'traversal in the middle': 'a/../../x',
      absolute: '/etc/passwd',
      'a directory': 'dir/',
      dot: '.',
      'dot dot': '..',
      empty: '',
      NUL: 'f\0.txt',
      'NUL before a path': '\0/etc/passwd',
      'a line break': 'a\nb',
      'an escape sequence': '\x1b]0;x\x07',
      'a C1 control': 'a\x9bb',
      'a backslash': '..\\..\\x',
      'a drive': 'C:\\x',
      decomposed: 'e\u0301',
      'too long': 'x'.repeat(256),
      'too long in bytes': '€'.repeat(86),
    };
    for (const [what, name] of Object.entries(wicked)) {
      const told = await mallory.share('lab', name, manifest).then(
        () => 'taken',
        (error) => (isMtError(error) ? error.code : String(error)),
      );
      assert.is(told, 'PROTOCOL', what);
    }
    assert.equal((await alice.ok<{ files: unknown[] }>('list_files', 'lab')).files, []);
    mallory.close();
  }, 1),
);

test(
  'names that look like devices, options or dots, and Unicode that looks alike, are plain names: each its own file',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const names = [
      'CON',
      'nul.txt',
      'aux',
      'COM1',
      '-rf',
      '--force',
      '~',
      '...',
      '.profile',
      'a.part',
      '‥',
      '․․',
      '∕etc∕passwd',
      '／etc／passwd',
      '..%2f..%2fx',
      'gpj.\u202Eexe',
      'admin',
      'аdmin',
      'ﬁle',
      'file',
      '\u200bfile',
      'FILE',
    ];
    mkdirSync(alice.path('out'));
    mkdirSync(bob.path('in'));
    const sums = new Map<string, string>();
    for (const name of names) sums.set(name, alice.file(join('out', name), 300, name).sha1);
    const each = async (act: (name: string) => Promise<MtResult>) => {
      for (let at = 0; at < names.length; at += AT_ONCE) {
        const results = await Promise.all(names.slice(at, at + AT_ONCE).map(act));
        for (const result of results) assert.is(result.code, 0, describe(result));
      }
    };
    await each((name) => alice.mt('upload_file', join('out', name), 'lab'));
    await each((name) => bob.mt('download_file', '--', 'lab', name, 'in'));
    assert.equal(readdirSync(bob.path('in')).sort(), [...names].sort());
    for (const [name, sha1] of sums) assert.is(sha1Of(bob.path('in', name)), sha1, name);
  }),
);

test(
  'links, other files and devices at the destination: never written through, never replaced unasked',
  inWorld(async (world) => {
    const { bob, fetch, sha1 } = await scene(world);
    const at = (...parts: string[]) => bob.path(...parts);
    mkdirSync(at('real'));
    mkdirSync(at('victim'));
    writeFileSync(at('victim', 'precious'), 'precious');
    const untouched = () => {
      assert.is(readFileSync(at('victim', 'precious'), 'utf8'), 'precious');
      assert.equal(readdirSync(at('victim')), ['precious']);
    };

    // A link that the user names as a directory is followed, once, at the start: that is what the user said.
    symlinkSync('real', at('link-to-dir'));
    assert.is(await fetch('link-to-dir'), at('real', 'f'));
    rmSync(at('real', 'f'));

    const inTheWay: Record<string, () => void> = {
      'a file': () => writeFileSync(at('real', 'f'), 'mine'),
      'a link to a file': () => symlinkSync('../victim/precious', at('real', 'f')),
      'a dangling link': () => symlinkSync('../victim/new', at('real', 'f')),
      'a hard link': () => linkSync(at('victim', 'precious'), at('real', 'f')),
      'a fifo': () => execFileSync('mkfifo', [at('real', 'f')]),
    };
    for (const [what, put] of Object.entries(inTheWay)) {
      put();
      await bob.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'f', 'real');
      await bob.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'f', join('real', 'f'));
      untouched();
      // With --force the name is replaced, not what it led to.
      assert.is(await fetch('real', '--force'), at('real', 'f'), what);
      assert.ok(lstatSync(at('real', 'f')).isFile(), what);
      untouched();
      rmSync(at('real', 'f'));
    }
    // A link to a directory under the file's own name is a directory that the file would have to replace.
    symlinkSync('../victim', at('real', 'f'));
    await bob.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'f', 'real', '--force').catch(() => {});
    untouched();
    rmSync(at('real', 'f'), { force: true });
    await forget(bob);

    mkdirSync(at('real', 'f'));
    for (const force of [[], ['--force']]) {
      await bob.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'f', 'real', ...force);
    }
    rmSync(at('real', 'f'), { recursive: true });
    // Devices, and directories that are none.
    for (const destination of ['/dev/null', '/dev/full', '/proc/self/mem']) {
      await bob.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'f', destination);
    }
    await bob.fails('PATH_NOT_FOUND', 'download_file', 'lab', 'f', join('victim', 'precious', 'deeper'));
    await bob.fails('PATH_NOT_FOUND', 'download_file', 'lab', 'f', join('nowhere', 'f'));
    assert.not.ok(existsSync(at('nowhere')));
    untouched();

    // The name of the unfinished file is taken, or is a link: another one is chosen.
    symlinkSync('../victim/part', at('real', 'f.part'));
    assert.is(sha1Of(await fetch('real')), sha1);
    assert.is(readlinkSync(at('real', 'f.part')), '../victim/part');
    untouched();
  }, 1),
);

test(
  'what appears at the destination while a download runs is not overwritten, nor is a directory that was swapped followed',
  inWorld(async (world) => {
    const { alice, bob } = await scene(world);
    const large = alice.file('large', 6 << 20);
    await alice.ok('upload_file', large.path, 'lab');
    mkdirSync(bob.path('in'));
    mkdirSync(bob.path('victim'));
    const begin = async () => {
      await alice.ok('limits', '--up', '256K'); // far from its end when something is done to its destination
      await bob.ok('download_file', 'lab', 'large', 'in', '--detach');
      await until('some of it came', async () => (await row())!.bytes_done > 0);
    };
    const row = async () =>
      (
        await bob.ok<{ downloads: { file_name: string; state: string; bytes_done: number; reason_code: string }[] }>(
          'show_downloads',
        )
      ).downloads.find(({ file_name }) => file_name === 'large');
    await begin();
    writeFileSync(bob.path('in', 'large'), 'mine');
    await alice.ok('limits', '--up', '0');
    await until('it ends', async () => (await row())?.state !== 'downloading', { timeoutMs: 20_000, everyMs: 100 });
    assert.is((await row())!.reason_code, 'DESTINATION_EXISTS', JSON.stringify(await row()));
    assert.is(readFileSync(bob.path('in', 'large'), 'utf8'), 'mine');
    await bob.mt('cancel_download', 'lab', 'large');
    rmSync(bob.path('in'), { recursive: true });
    mkdirSync(bob.path('in'));

    await begin();
    renameSync(bob.path('in'), bob.path('moved'));
    symlinkSync('victim', bob.path('in'));
    await alice.ok('limits', '--up', '0');
    await until('it ends', async () => (await row())?.state !== 'downloading', { timeoutMs: 20_000, everyMs: 100 });
    const inVictim = readdirSync(bob.path('victim'));
    assert.equal(inVictim, [], `nothing was written into the other directory: ${inVictim}`);
  }, 1),
);

test.run();
