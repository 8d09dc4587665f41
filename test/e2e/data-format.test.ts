// Data of every format that a version of ours has written is opened in place by the programs of today (test/fixtures/make-data.ts made it).
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KEPT_TREE } from '../fixtures/kept-tree.ts';
import { BINS, PROJECT, Program } from '../harness/program.ts';
import { makeTree } from '../harness/trees.ts';
import { type Daemon, World } from '../harness/world.ts';

const formats = globSync('data-format-*', { cwd: join(PROJECT, 'test', 'fixtures') }).sort();
const test = suite('data format');

test('those that hold something of their own are among them', () => {
  assert.equal(formats, ['data-format-1', 'data-format-3']);
});

for (const format of formats) {
  test(`${format} is opened, verified and written on`, async () => {
    const addresses = [
      { host: '127.99.99.1', port: 5353 },
      { host: '127.99.99.100', port: 18_000 },
    ];
    const world = new World({ trackerCount: 1, addresses });
    try {
      await open(world, join(PROJECT, 'test', 'fixtures', format));
    } catch (error) {
      console.error(world.logs());
      throw error;
    } finally {
      await world.close();
    }
  });
}

async function open(world: World, fixture: string): Promise<void> {
  const format = basename(fixture);
  const dataDir = join(world.dir, 'tracker-1');
  const key = join(world.dir, 'cluster.key');
  const ann = world.daemon('ann');
  cpSync(join(fixture, 'tracker-1'), dataDir, { recursive: true });
  cpSync(join(fixture, 'cluster.key'), key);
  cpSync(join(fixture, 'peer'), ann.path('data'), { recursive: true });
  chmodSync(key, 0o600); // git keeps no modes
  const tracker = world.launchTracker(1, '--data-dir', dataDir, '--cluster-key', key);
  await tracker.ready();
  await ann.start();
  assert.equal(await ann.ok('whoami'), { user_id: 'ann' });
  const isSince3 = format !== 'data-format-1';
  const tree = isSince3 ? ['tree'] : [];
  const { files } = await ann.ok<{ files: { file_name: string; size: number; kind?: string }[] }>('list_files', 'lab');
  assert.equal(
    files.map(({ file_name, kind }) => [file_name, kind]),
    [['kept.bin', undefined], ...tree.map((name) => [name, 'directory'])],
  );
  assert.is(files[0]!.size, 300_000);
  const { shares } = await ann.ok<{ shares: { file_name: string; state: string }[] }>('show_shares');
  assert.equal(
    shares.map(({ file_name, state }) => [file_name, state]),
    ['kept.bin', ...tree].map((name) => [name, 'missing']),
  );
  if (isSince3) await findAgain(ann);
  await ann.ok('create_group', 'after');
  await ann.fails('USER_EXISTS', 'create_user', 'bob', 'pw-bob');
  await ann.program.stop();
  await tracker.stop();
  const verify = new Program({
    name: `verify ${format}`,
    bin: BINS.trackerd,
    args: ['verify', '--data-dir', dataDir],
    env: world.env,
    cwd: world.dir,
  });
  assert.equal(await verify.exit(), { code: 0, signal: null }, verify.log());
  // The reader of a long story may go before its end.
  const unread = 'exec 3>&1; { "$0" "$1" events --data-dir "$2" 2>&3; echo "ended with $?" >&3; } | true';
  const ended = spawnSync('sh', ['-c', unread, process.execPath, BINS.trackerd, dataDir], { encoding: 'utf8' });
  assert.is(ended.stdout, 'ended with 0\n');
}

/** The files are elsewhere now: what the data says of them, hashes and all, must be what it said. */
async function findAgain(ann: Daemon): Promise<void> {
  makeTree(ann.path('moved'), KEPT_TREE);
  await ann.fails('INTEGRITY', 'relocate', 'lab', 'kept.bin', ann.file('other', 300_000).path);
  await ann.ok('relocate', 'lab', 'kept.bin', ann.file('kept', 300_000, 'kept.bin').path);
  await ann.ok('relocate', 'lab', 'tree', 'moved');
  const found = await ann.ok<{ damaged_pieces: number }>('scrub', 'lab', 'tree');
  assert.is(found.damaged_pieces, 0);
  const { watches } = await ann.ok<{ watches: { path: string; group_id: string }[] }>('watch');
  assert.equal(
    watches.map(({ path, group_id }) => [basename(path), group_id]),
    [['outbox', 'lab']],
  );
}

test.run();
