// Data of every format that a version of ours has written is opened in place by the programs of today (test/fixtures/make-data.ts made it).
import { chmodSync, cpSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BINS, PROJECT, Program } from '../harness/program.ts';
import { World } from '../harness/world.ts';

const formats = globSync('data-format-*', { cwd: join(PROJECT, 'test', 'fixtures') }).sort();
const test = suite('data format');

test('there is at least one', () => assert.ok(formats.includes('data-format-1')));

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
  const { files } = await ann.ok<{ files: { file_name: string; size: number }[] }>('list_files', 'lab');
  assert.equal(
    files.map(({ file_name, size }) => [file_name, size]),
    [['kept.bin', 300_000]],
  );
  const { shares } = await ann.ok<{ shares: { file_name: string; state: string }[] }>('show_shares');
  assert.equal(
    shares.map(({ file_name, state }) => [file_name, state]),
    [['kept.bin', 'missing']],
  );
  await ann.ok('create_group', 'after');
  await ann.fails('USER_EXISTS', 'create_user', 'bob', 'pw-bob');
  await ann.program.stop();
  await tracker.stop();
  const verify = new Program({
    name: `verify ${basename(fixture)}`,
    bin: BINS.trackerd,
    args: ['verify', '--data-dir', dataDir],
    env: world.env,
    cwd: world.dir,
  });
  assert.equal(await verify.exit(), { code: 0, signal: null }, verify.log());
}

test.run();
