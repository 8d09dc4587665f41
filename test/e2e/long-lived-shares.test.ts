// Shares that live long: files are moved, edited, and rot. What the daemon notices, whom it tells, and what it mends by itself.
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { makeTree, pictureOf } from '../harness/trees.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const SIZE = 2 * 1024 * 1024 + 5;
const PIECE = 65_536;
const PIECES = Math.ceil(SIZE / PIECE);

interface ShareRow {
  readonly file_name: string;
  readonly path: string;
  readonly state: string;
  readonly note?: string;
}

async function shareOf(daemon: Daemon, name: string): Promise<ShareRow> {
  const { shares } = await daemon.ok<{ shares: ShareRow[] }>('show_shares');
  return shares.find(({ file_name }) => file_name === name)!;
}

async function seedersOf(daemon: Daemon, name: string): Promise<string[]> {
  const { seeders } = await daemon.ok<{ seeders: { user_id: string; pieces: number; complete: boolean }[] }>(
    'list_seeders',
    'lab',
    name,
  );
  return seeders.map(({ user_id, pieces, complete }) => (complete ? user_id : `${user_id} ${pieces}`)).sort();
}

/** Other bytes in this piece, and nothing that tells of a write: what a failing disk does. */
function rot(path: string, piece: number): void {
  rotAt(path, piece * PIECE + 10);
}

function rotAt(path: string, position: number): void {
  const times = `${path}.times`;
  execFileSync('touch', ['-r', path, times]);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from('rotten'), 0, 6, position);
  closeSync(fd);
  execFileSync('touch', ['-r', times, path]);
  rmSync(times);
}

const soon = (what: string, condition: () => Promise<boolean>) => until(what, condition, { everyMs: 100 });
const isAt = (daemon: Daemon, name: string, path: string) => async () => {
  const share = await shareOf(daemon, name);
  return share.state === 'shared' && share.path === path;
};

async function people(world: World): Promise<Record<'alice' | 'bob' | 'carol', Daemon>> {
  await world.startTracker(1);
  const alice = world.daemon('alice');
  await alice.start('--scrub-interval', '1s', '--scrub-rate', '0');
  await alice.enter();
  const { bob, carol } = await world.people('bob', 'carol');
  await world.group('lab', alice, bob, carol);
  return { alice, bob, carol };
}

const test = suite('long-lived shares');

test('a moved file is found again, or shown as missing and not named as a seeder', inWorld(moves, 1));
test('rot is found, not served, and mended from the group; an edit is not', inWorld(rotting, 1));

async function moves(world: World): Promise<void> {
  const { alice, bob } = await people(world);
  // Its neighbourhood ends at the directory above.
  const home = (...parts: string[]) => alice.path('home', ...parts);
  mkdirSync(home('files', 'papers', 'old'), { recursive: true });
  const { path, sha1 } = alice.file('home/files/f', SIZE);
  await alice.ok('upload_file', path, 'lab');

  renameSync(path, home('files', 'renamed'));
  await soon('found by its inode', isAt(alice, 'f', home('files', 'renamed')));

  alice.file('home/decoy', SIZE);
  copyFileSync(home('files', 'renamed'), home('files', 'papers', 'old', 'f.bin'));
  rmSync(home('files', 'renamed'));
  await soon('found by size and hash', isAt(alice, 'f', home('files', 'papers', 'old', 'f.bin')));
  await bob.ok('download_file', 'lab', 'f', '.');
  assert.is(sha1Of(bob.path('f')), sha1);
  assert.equal(await seedersOf(bob, 'f'), ['alice', 'bob']);

  const far = mkdtempSync(join(tmpdir(), 'mt-far-'));
  try {
    copyFileSync(home('files', 'papers', 'old', 'f.bin'), join(far, 'f'));
    rmSync(home('files'), { recursive: true });
    await soon('the trackers no longer name it', async () => (await seedersOf(bob, 'f')).join() === 'bob');
    const { files } = await bob.ok<{ files: { file_name: string; seeders: number }[] }>('list_files', 'lab');
    assert.is(files[0]!.seeders, 1);
    const missing = await shareOf(alice, 'f');
    assert.is(missing.state, 'missing');
    assert.match(missing.note!, 'mt relocate lab f <new_path>');
    await alice.fails('INTEGRITY', 'relocate', 'lab', 'f', 'home/decoy');
    await alice.fails('PATH_NOT_FOUND', 'relocate', 'lab', 'f', 'nowhere');
    await alice.fails('NO_SUCH_SHARE', 'relocate', 'lab', 'g', 'home/decoy');
    assert.is((await shareOf(alice, 'f')).state, 'missing');
    await alice.ok('relocate', 'lab', 'f', join(far, 'f'));
    assert.ok(await isAt(alice, 'f', join(far, 'f'))());
    await soon('named again', async () => (await seedersOf(bob, 'f')).join() === 'alice,bob');
  } finally {
    rmSync(far, { recursive: true });
  }
}

async function rotting(world: World): Promise<void> {
  const { alice, bob, carol } = await people(world);
  const { path, sha1 } = alice.file('f', SIZE);
  await alice.ok('upload_file', path, 'lab');
  await bob.ok('download_file', 'lab', 'f', '.');
  const inode = statSync(path).ino;

  // Nobody asks: the scrub finds it in the background.
  rot(path, 3);
  rot(path, 7);
  await soon('mended from the group', async () => sha1Of(path) === sha1);
  await soon('shared whole again', isAt(alice, 'f', path));
  assert.is(statSync(path).ino, inode, 'in place');

  // Nobody else has it: the rest is served, and what is rotten is not.
  await bob.ok('logout');
  rot(path, 5);
  const found = await alice.ok<{ damaged_pieces: number }>('scrub', 'lab', 'f');
  assert.is(found.damaged_pieces, 1);
  await soon('why it is not mended is shown', async () => {
    const { state, note } = await shareOf(alice, 'f');
    return state === 'damaged' && /1 of 33 pieces.*No seeder is online/.test(note ?? '');
  });
  await soon('a source in part', async () => (await seedersOf(carol, 'f')).join() === `alice ${PIECES - 1}`);
  await carol.ok('download_file', 'lab', 'f', '.', '--detach');
  const got = async () =>
    (await carol.ok<{ downloads: { bytes_done: number }[] }>('show_downloads')).downloads[0]!.bytes_done;
  await soon('all but the rotten piece', async () => (await got()) === SIZE - PIECE);
  await bob.ok('login', 'bob', 'pw-bob');
  await soon('mended when somebody came', async () => sha1Of(path) === sha1);
  await soon('the download too', async () => (await got()) === SIZE);
  await soon('a whole seeder again', async () => (await seedersOf(carol, 'f')).includes('alice'));

  appendFileSync(path, 'edited');
  const edited = sha1Of(path);
  await soon('an edit is no rot', async () => (await shareOf(alice, 'f')).state === 'changed');
  await alice.fails('INTEGRITY', 'scrub', 'lab', 'f');
  const status = await alice.ok<{ pieces_damaged: number; pieces_repaired: number }>('scrub');
  assert.equal([status.pieces_damaged, status.pieces_repaired], [3, 3]);
  assert.is(sha1Of(path), edited, 'left as its user wrote it');
  await rottingDirectory(alice, bob, carol);
}

/** Some files in one piece, one across three, and one that its user edits in the end. */
async function rottingDirectory(alice: Daemon, bob: Daemon, carol: Daemon): Promise<void> {
  const small = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`many/f${i}`, 100 + i]));
  makeTree(alice.path('tree'), { ...small, 'run*': 3 * PIECE, read: 'only', last: 10 });
  const within = (name: string) => alice.path('tree', ...name.split('/'));
  chmodSync(within('run'), 0o700);
  await alice.ok('upload_file', 'tree', 'lab');
  const picture = pictureOf(alice.path('tree')).join('\n');
  await bob.ok('download_file', 'lab', 'tree', '.');
  const before = statSync(within('many/f8'), { bigint: true }).mtimeNs;
  const inode = statSync(within('run')).ino;
  rotAt(within('many/f7'), 20);
  rotAt(within('many/f9'), 0);
  rotAt(within('run'), 3 * PIECE - 6);
  // Two pieces, the first of which holds a hundred files that are right.
  const found = await alice.ok<{ damaged_pieces: number }>('scrub', 'lab', 'tree');
  assert.ok(found.damaged_pieces <= 2);
  await soon('the directory is mended', async () => pictureOf(alice.path('tree')).join('\n') === picture);
  await soon('and shared whole again', isAt(alice, 'tree', alice.path('tree')));
  assert.is(statSync(within('many/f8'), { bigint: true }).mtimeNs, before, 'what is right is not written to');
  const { ino, mode } = statSync(within('run'));
  assert.equal([ino, mode & 0o777], [inode, 0o700]);
  const scrubbed = await alice.ok<{ damaged_pieces: number }>('scrub', 'lab', 'tree');
  assert.is(scrubbed.damaged_pieces, 0);
  await bob.ok('logout');
  await alice.program.kill();
  await alice.start('--scrub-interval', '1s', '--scrub-rate', '0');
  await soon('after a restart too', isAt(alice, 'tree', alice.path('tree')));
  await carol.ok('download_file', 'lab', 'tree', '.');
  assert.is(pictureOf(carol.path('tree')).join('\n'), picture);
}

test.run();
