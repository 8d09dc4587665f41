// A directory as one entry of a group: shared, listed, fetched, fetched on from whoever fetched it, and refused where it must be.
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inLab } from '../harness/lab.ts';
import { makeTree, pictureOf, type TreePlan } from '../harness/trees.ts';
import { until } from '../harness/until.ts';
import type { Daemon } from '../harness/world.ts';

const test = suite('directories');

const PLAN: TreePlan = {
  'read me.txt': 'hello',
  'bin/run*': '#!/bin/sh\n',
  'data/large': 3_000_000,
  'data/none': '',
  'data/deep/er/still/one': 70_000,
  'empty/inside/too': null,
  'cafe\u0301/re\u0301sume\u0301': 'typed on another system',
  '.hidden/-rf': 'x',
  ...Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`many/f${i}`, i * 37])),
};
const CONTENT_SIZE = 3_000_000 + 70_000 + 5 + 10 + 23 + 1 + (37 * 150 * 149) / 2;

interface Row {
  file_name: string;
  kind: string;
  size: number;
  content_size: number;
  seeders: number;
}
const filesOf = async (who: Daemon) => (await who.ok<{ files: Row[] }>('list_files', 'lab')).files;
const stateOf = async (who: Daemon, name: string) =>
  (await who.ok<{ shares: { file_name: string; state: string }[] }>('show_shares')).shares.find(
    ({ file_name }) => file_name === name,
  )?.state;
/** Names that nobody asked for. */
const leftovers = (who: Daemon) => readdirSync(who.dir).filter((name) => /part|^\.mt-|^\.damaged/.test(name));

test(
  'a tree arrives as it was, is shared on, and is one entry of the group',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    makeTree(alice.path('tree'), PLAN);
    const picture = pictureOf(alice.path('tree'));
    const up = await alice.ok('upload_file', 'tree', 'lab');
    assert.equal([up.file_name, up.kind, up.content_size, up.new_file], ['tree', 'directory', CONTENT_SIZE, true]);
    const [row] = await filesOf(bob);
    assert.equal(
      [row!.file_name, row!.kind, row!.content_size, row!.size],
      ['tree', 'directory', CONTENT_SIZE, up.size],
    );
    assert.match((await bob.mt('list_files', 'lab')).stdout, /tree\/ +3\.3 MB +1 /);
    await alice.fails('ALREADY_SHARED', 'upload_file', 'tree', 'lab');

    mkdirSync(bob.path('inbox'));
    const down = await bob.ok('download_file', 'lab', 'tree', 'inbox');
    assert.equal([down.state, down.destination], ['complete', bob.path('inbox', 'tree')]);
    assert.equal(pictureOf(bob.path('inbox', 'tree')), picture);
    assert.is(lstatSync(bob.path('inbox', 'tree', 'bin', 'run')).mode & 0o111, 0o111 & ~process.umask());
    await until('the packed content is gone', () => readdirSync(bob.path('inbox')).length === 1);

    // From its files, after a restart, with the first sharer gone.
    await bob.program.kill();
    await bob.start();
    await alice.program.stop();
    await carol.ok('download_file', 'lab', 'tree', './under another name');
    assert.equal(pictureOf(carol.path('under another name')), picture);
    await until('both are seeders', async () => (await filesOf(carol))[0]!.seeders === 2);
    await carol.fails('ALREADY_DOWNLOADED', 'download_file', 'lab', 'tree', '.');
    writeFileSync(carol.path('tree'), 'mine');
    await carol.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'tree', '.', '--force');
    rmSync(carol.path('tree'));
    mkdirSync(carol.path('tree'));
    await carol.fails('DESTINATION_EXISTS', 'download_file', 'lab', 'tree', '.', '--force');

    // A file within is edited: noticed, and mended by putting it back.
    assert.is(await stateOf(bob, 'tree'), 'shared');
    const one = bob.path('inbox', 'tree', 'many', 'f7');
    renameSync(one, `${one}.aside`);
    writeFileSync(one, 'edited');
    assert.is(await stateOf(bob, 'tree'), 'changed');
    renameSync(`${one}.aside`, one);
    assert.is(await stateOf(bob, 'tree'), 'shared');
    rmSync(bob.path('inbox', 'tree'), { recursive: true });
    assert.is(await stateOf(bob, 'tree'), 'missing');

    await alice.start();
    await bob.ok('stop_share', 'lab', 'tree');
    await alice.ok('remove_file', 'lab', 'tree');
    assert.equal(await filesOf(carol), []);
    assert.ok(existsSync(alice.path('tree', 'data', 'large')) && existsSync(carol.path('under another name')));
    assert.equal([leftovers(bob), leftovers(carol)], [[], []]);
  }),
);

test(
  'what cannot be shared is named; kill -9, pause and cancel leave nothing behind',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    makeTree(alice.path('bad'), { 'a/b/fine': 'x' });
    const within = alice.path('bad', 'a', 'b', 'odd');
    const refused = async (code: 'INVALID_ARGUMENT' | 'INVALID_NAME') => {
      const { message } = await alice.fails(code, 'upload_file', 'bad', 'lab');
      assert.match(message, 'bad/a/b');
      rmSync(within, { force: true });
      return message;
    };
    symlinkSync('/etc/passwd', within);
    assert.match(await refused('INVALID_ARGUMENT'), `${within} is a symbolic link`);
    symlinkSync('..', within);
    assert.match(await refused('INVALID_ARGUMENT'), 'symbolic link');
    execFileSync('mkfifo', [within]);
    assert.match(await refused('INVALID_ARGUMENT'), `${within} is no regular file`);
    for (const name of ['back\\slash', 'new\nline', Buffer.from([0x66, 0xff])]) {
      const path = Buffer.concat([Buffer.from(`${alice.path('bad', 'a', 'b')}/`), Buffer.from(name as string)]);
      writeFileSync(path, '');
      await refused('INVALID_NAME');
      rmSync(path);
    }
    writeFileSync(alice.path('bad', 'a', 'b', 'e\u0301'), '1');
    writeFileSync(alice.path('bad', 'a', 'b', '\u00e9'), '2');
    assert.match(await refused('INVALID_NAME'), 'another spelling');
    assert.equal(await filesOf(bob), []);
    execFileSync('mkfifo', [alice.path('pipe')]);
    await alice.fails('INVALID_ARGUMENT', 'upload_file', 'pipe', 'lab');

    makeTree(alice.path('tree'), { 'x/large': 6_000_000, ...PLAN });
    await alice.ok('upload_file', 'tree', 'lab');
    appendFileSync(alice.path('tree', 'read me.txt'), ' again');
    assert.match((await alice.fails('FILE_EXISTS', 'upload_file', 'tree', 'lab')).message, 'tree');
    assert.is(await stateOf(alice, 'tree'), 'changed');
    await alice.ok('stop_share', 'lab', 'tree');
    await alice.ok('upload_file', 'tree', 'lab');

    // Slowly, so that there is a middle to be killed in.
    await bob.ok('limits', '--down', '512K');
    await bob.ok('download_file', 'lab', 'tree', '.', '--detach');
    const done = async () =>
      (await bob.ok<{ downloads: { bytes_done: number; state: string }[] }>('show_downloads')).downloads[0];
    const killedAt = await until('a part is there', async () => ((await done())?.bytes_done ?? 0) > 300_000 && done());
    await bob.program.kill();
    await bob.start();
    assert.ok((await done())!.bytes_done >= killedAt.bytes_done, 'verified pieces are kept');
    await bob.ok('pause_download', 'lab', 'tree');
    assert.is((await done())!.state, 'paused');
    await bob.ok('resume_download', 'lab', 'tree');
    await bob.ok('cancel_download', 'lab', 'tree');
    assert.equal([leftovers(bob), existsSync(bob.path('tree'))], [[], false]);

    // Killed again and again while it is finished: whole, or not there at all.
    await bob.ok('limits', '--down', '0');
    await bob.ok('download_file', 'lab', 'tree', '.', '--detach');
    for (let i = 0; i < 3; i++) {
      await until('it is being finished', async () => leftovers(bob).length !== 1 || existsSync(bob.path('tree')), {
        everyMs: 1,
      });
      await bob.program.kill();
      await bob.start();
    }
    await until('it is complete', async () => (await done())?.state === 'complete');
    assert.equal(pictureOf(bob.path('tree')), pictureOf(alice.path('tree')));
    await until('nothing is left over', () => leftovers(bob).length === 0);
  }),
);

test.run();
