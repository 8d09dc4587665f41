// Names as people give them: spaces, UTF-8 in both normal forms, leading dashes, quotes.
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { inWorld } from '../harness/world.ts';

const NAMES = [
  'with spaces  two.txt',
  'Übergrößenträger é.txt'.normalize('NFC'),
  '日本語 ファイル.bin',
  '🎉 party.png',
  'it\'s "quoted" & $HOME `x`.sh',
  'semi;colon|pipe>.txt',
  `${'x'.repeat(251)}.bin`,
  '...three dots',
];
const test = suite('names');

test(
  'each name is shared, listed and fetched as it is',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('g.1_x-y', alice, bob);
    mkdirSync(alice.path('a dir'));
    mkdirSync(bob.path('ein Ordner ü'));
    const sums = new Map<string, string>();
    for (const name of NAMES) {
      const { path, sha1 } = alice.file('plain', 70_000, name);
      renameSync(path, alice.path('a dir', name));
      sums.set(name, sha1);
      await alice.ok('upload_file', join('a dir', name), 'g.1_x-y');
    }
    const { files } = await bob.ok<{ files: { file_name: string; sha1: string }[] }>('list_files', 'g.1_x-y');
    assert.equal(
      new Map(files.map((file) => [file.file_name, file.sha1]).sort() as [string, string][]),
      new Map([...sums].sort()),
    );
    for (const name of NAMES) {
      await bob.ok('download_file', 'g.1_x-y', name, 'ein Ordner ü');
      assert.is(sha1Of(bob.path('ein Ordner ü', name)), sums.get(name), name);
    }
    assert.equal(readdirSync(bob.path('ein Ordner ü')).sort(), [...NAMES].sort(), 'and nothing else is left there');
    const { downloads } = await bob.ok<{ downloads: unknown[] }>('show_downloads');
    assert.is(downloads.length, NAMES.length);
  }, 1),
);

test(
  'a decomposed name (NFD) is known in composed form; the file on disk is untouched',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const nfd = 'Café Ångström.txt'.normalize('NFD');
    const nfc = nfd.normalize('NFC');
    const { path, sha1 } = alice.file(nfd, 1_000);
    assert.is((await alice.ok('upload_file', path, 'lab')).file_name, nfc);
    assert.ok(readdirSync(alice.dir).includes(nfd));
    await bob.ok('download_file', 'lab', nfd, '.'); // typed decomposed: found all the same
    assert.is(sha1Of(bob.path(nfc)), sha1);
    await alice.fails('ALREADY_SHARED', 'upload_file', path, 'lab');
    await bob.ok('stop_share', 'lab', nfd);
  }),
);

test(
  'names that are none are refused by the command line and by the trackers',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    await alice.ok('create_group', 'lab');
    for (const id of ['', '.x', 'a b', 'a/b', 'é', 'x'.repeat(65)]) {
      await alice.fails('INVALID_NAME', 'create_group', id);
      await alice.fails('INVALID_NAME', 'create_user', id, 'pw');
    }
    for (const name of ['..', '.', 'a/b', '../../etc/passwd', 'a\\b', 'x\ny', 'x'.repeat(256)]) {
      await alice.fails('INVALID_NAME', 'download_file', 'lab', name, '.');
    }
    const { path } = alice.file('new\nline', 10);
    await alice.fails('INVALID_NAME', 'upload_file', path, 'lab');
  }, 1),
);

test.run();
