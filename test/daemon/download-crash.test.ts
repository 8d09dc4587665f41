// A daemon that dies between two steps of a download's end, and a power loss that takes what was not synced: each state is put
// together as such a crash leaves it, then the daemon starts.
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeMap } from '../../daemon/disk/resume.ts';
import { openStore } from '../../daemon/store/store.ts';
import { until } from '../harness/until.ts';
import { type TestDaemon, World } from './data-plane-world.ts';

interface Context {
  world: World;
  alice: TestDaemon;
  bob: TestDaemon;
  content: Buffer;
}
const test = suite<Context>('download crashes');
test.before.each(async (context) => {
  context.world = new World();
  context.alice = await context.world.daemon('alice');
  context.bob = await context.world.daemon('bob');
  context.content = randomBytes(400_000);
  context.alice.share('file', context.content);
  await context.bob.download('file').answer;
  await until('it is settled', () => readdirSync(join(context.bob.dir, 'downloads')).length === 0);
  await context.bob.stop();
  context.bob.shares.clear();
});
test.after.each(({ world }) => world.close());

/** Puts the record back to where it was before its end. */
function setBack({ world, bob }: Context, phase: string, bootId: string | null): string {
  const db = openStore(join(bob.dir, 'peer.sqlite'));
  const { id } = db.prepare('SELECT id FROM downloads').get() as { id: number };
  db.prepare('UPDATE downloads SET state = ?, settled = 0, boot_id = ?, manifest = ?').run(
    phase,
    bootId,
    world.files.get('file')!.encoded,
  );
  db.close();
  return join(bob.dir, 'downloads', `${id}.map`);
}

function mapOf({ world }: Context, boot: Buffer, synced: readonly number[], written: readonly number[]): Buffer {
  const { hash, manifest } = world.files.get('file')!;
  const map = encodeMap({ manifestHash: hash, pieceCount: manifest.pieceCount }, synced, boot);
  for (const piece of written) map[64 + piece] = 1;
  return map;
}

async function isComplete({ bob, content }: Context): Promise<void> {
  await until('it is complete and a share', () => bob.row('file')?.state === 'complete' && bob.shares.has('file'));
  assert.ok(bob.read('file').equals(content));
  assert.equal(readdirSync(bob.path('')), ['file']);
}

test('killed after the rename, before anybody was told', async (context) => {
  setBack(context, 'finishing', null);
  await context.bob.start();
  await isComplete(context);
});

test('killed between the two halves of the rename', async (context) => {
  const { bob } = context;
  setBack(context, 'finishing', null);
  linkSync(bob.path('file'), bob.path('file.part'));
  await bob.start();
  await isComplete(context);
});

test('killed before the rename: nothing is fetched again', async (context) => {
  const { alice, bob, world } = context;
  const map = setBack(context, 'finishing', null);
  renameSync(bob.path('file'), bob.path('file.part'));
  const all = Array.from({ length: world.files.get('file')!.manifest.pieceCount }, (_, piece) => piece);
  writeFileSync(map, mapOf(context, Buffer.alloc(16), all, []));
  await alice.stop();
  await bob.start();
  await isComplete(context);
});

for (const [when, phase] of [
  ['before the sync', 'complete'],
  ['between the last name and the sync', 'finishing'],
] as const) {
  test(`power lost ${when}: what is damaged is found and fetched again`, async (context) => {
    const { bob } = context;
    const map = setBack(context, phase, 'ab'.repeat(16));
    writeFileSync(map, mapOf(context, Buffer.alloc(16, 7), [0, 1], [2, 3, 4, 5, 6]));
    const file = openSync(bob.path('file'), 'r+');
    writeSync(file, Buffer.alloc(65_536), 0, 65_536, 3 * 65_536);
    await bob.start();
    await until('the damage is found', () => bob.log.some((line) => line.includes('lost pieces with the power')));
    await isComplete(context);
  });
}

test('power lost, and with it the word that the file had its name: nothing is fetched again', async (context) => {
  const { bob, alice } = context;
  const map = setBack(context, 'downloading', 'ab'.repeat(16));
  writeFileSync(map, mapOf(context, Buffer.alloc(16, 7), [0, 1], [2, 3, 4, 5, 6]));
  await alice.stop();
  await bob.start();
  await isComplete(context);
  await until('it is settled', () => !existsSync(map));
});

test("another file of that name is the user's, whatever its inode", async (context) => {
  const { bob, content } = context;
  setBack(context, 'downloading', 'ab'.repeat(16));
  // The same inode, as file systems give it out again.
  writeFileSync(bob.path('file'), 'of the user');
  await bob.start();
  await until('it is fetched', () => bob.row('file')?.reason_code === 'DESTINATION_EXISTS');
  assert.is(readFileSync(bob.path('file'), 'utf8'), 'of the user');
  assert.is(statSync(bob.path('file.part')).size, content.length);
});

test('power lost before the sync, but nothing with it', async (context) => {
  const { bob, alice } = context;
  const map = setBack(context, 'complete', 'ab'.repeat(16));
  writeFileSync(map, mapOf(context, Buffer.alloc(16, 7), [], [0, 1, 2, 3, 4, 5, 6]));
  await alice.stop();
  await bob.start();
  await until('it is settled', () => !existsSync(map));
  assert.is(bob.row('file')?.state, 'complete');
  assert.is(bob.read('file').length, 400_000);
});

test('power lost in the middle: pieces that were not synced are hashed before they count', async (context) => {
  const { bob, content } = context;
  const map = setBack(context, 'downloading', null);
  renameSync(bob.path('file'), bob.path('file.part'));
  writeFileSync(map, mapOf(context, Buffer.alloc(16, 7), [0], [1, 2]));
  const file = openSync(bob.path('file.part'), 'r+');
  writeSync(file, Buffer.alloc(65_536), 0, 65_536, 2 * 65_536);
  await bob.start();
  await isComplete(context);
  assert.is(statSync(bob.path('file')).size, content.length);
});

test('an unfinished file that vanished is begun anew', async (context) => {
  const { bob } = context;
  const map = setBack(context, 'downloading', null);
  rmSync(bob.path('file'));
  writeFileSync(map, mapOf(context, Buffer.alloc(16, 7), [0, 1, 2], []));
  await bob.start();
  await isComplete(context);
});

test.run();
