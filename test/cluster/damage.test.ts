import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DATABASE_FILE, Store } from '../../cluster/store/store.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeManifest } from '../../codec/manifest.ts';
import { type TestClient, TestCluster, until } from './harness.ts';

const test = suite<{ cluster: TestCluster; ann: TestClient }>('damaged disks of real trackers');
test.before.each(async (context) => {
  context.cluster = await TestCluster.make(3);
  await context.cluster.start();
  context.ann = await (await context.cluster.client(1)).signUp('ann');
  for (let i = 0; i < 20; i++) await context.ann.command('create_group', { group_id: `g${i}` });
});
test.after.each(({ cluster }) => cluster.stop());

/** Tracker 3 said so, is a voter again under a new incarnation, and has everything. */
async function isWholeAgain(cluster: TestCluster, ann: TestClient): Promise<void> {
  const third = cluster.tracker(3);
  await until('tracker 3 is whole again', async () => {
    const { trackers } = await ann.call('tracker_status', {});
    return trackers.length === 3 && trackers[2]!.role === 'follower' && trackers[2]!.lag === 0 && third.isReady;
  });
  assert.match(third.stderr, /damaged data was set aside/);
  assert.ok(readdirSync(third.dataDir).some((name) => name.startsWith('damaged-')));
  await cluster.tracker(2).kill();
  await ann.command('create_group', { group_id: 'after' });
  const client = await cluster.client(3, ann.identity);
  client.session = ann.session;
  assert.is((await client.read('list_groups', {})).groups.length, 21);
}

test('a flipped byte in a log row is noticed at start; the tracker refills from the others', async ({
  cluster,
  ann,
}) => {
  const third = cluster.tracker(3);
  await third.kill();
  const db = new Database(join(third.dataDir, DATABASE_FILE));
  const { data } = db.prepare('SELECT data FROM entries WHERE log_index = 9').get() as { data: Buffer };
  data[20]! ^= 1;
  db.prepare('UPDATE entries SET data = ? WHERE log_index = 9').run(data);
  db.close();
  cluster.spawn(3);
  await isWholeAgain(cluster, ann);
});

test('committed transactions that a flipped byte in the WAL took away are missed', async ({ cluster, ann }) => {
  const third = cluster.tracker(3);
  await third.kill();
  const path = join(third.dataDir, `${DATABASE_FILE}-wal`);
  const wal = readFileSync(path);
  wal[Math.floor(wal.length * 0.7)]! ^= 1;
  writeFileSync(path, wal);
  cluster.spawn(3);
  await isWholeAgain(cluster, ann);
});

test('a database that is no database any more', async ({ cluster, ann }) => {
  const third = cluster.tracker(3);
  await third.kill();
  for (const suffix of ['-wal', '-shm']) rmSync(join(third.dataDir, DATABASE_FILE + suffix), { force: true });
  writeFileSync(join(third.dataDir, DATABASE_FILE), Buffer.alloc(8192, 7));
  cluster.spawn(3);
  await isWholeAgain(cluster, ann);
});

test('damage that shows while it runs is not served: the process goes on, the data is set aside', async ({
  cluster,
  ann,
}) => {
  const third = cluster.tracker(3);
  const { pid } = third.process!;
  const rows = Buffer.alloc(52, 1);
  const manifest = encodeManifest({ size: 60_000, pieceSize: 65_536, pieceCount: 1, sha1: Buffer.alloc(20, 1), rows });
  const file = { group_id: 'g0', file_name: 'a file' };
  await ann.command('share_file', { ...file, manifest });
  const client = await cluster.client(3, ann.identity);
  client.session = ann.session;
  const served = async () => Buffer.from((await client.read('get_manifest', file)).manifest);
  assert.ok((await served()).equals(manifest));

  const db = new Database(join(third.dataDir, DATABASE_FILE), { timeout: 5_000 });
  const { data } = db.prepare('SELECT data FROM manifests').get() as { data: Buffer };
  data[30]! ^= 1;
  db.prepare('UPDATE manifests SET data = ?').run(data);
  db.close();
  const answer = await served().catch(() => null);
  assert.is(answer, null, 'refused, or cut off');
  await isWholeAgain(cluster, ann);
  assert.is(third.process!.pid, pid, 'it was never restarted');
  const again = await cluster.client(3, ann.identity);
  again.session = ann.session;
  assert.ok(Buffer.from((await again.read('get_manifest', file)).manifest).equals(manifest));
});

test('a refilling tracker says in tracker_status what it is about', async ({ cluster, ann }) => {
  const third = cluster.tracker(3);
  await third.kill();
  // Alone, nobody lets it in: what it says can be read at leisure.
  await cluster.tracker(2).kill();
  const db = new Database(join(third.dataDir, DATABASE_FILE));
  db.prepare("UPDATE records SET checksum = checksum + 1 WHERE name = 'hard_state'").run();
  db.close();
  cluster.spawn(3);
  const row = await until('it is seen', async () => {
    const { trackers } = await ann.call('tracker_status', {});
    return trackers[2]!.note ? trackers[2] : null;
  });
  assert.is(row.role, 'learner');
  assert.match(row.note!, /refills after damage was found.*hard_state/);
  cluster.spawn(2);
  await isWholeAgain(cluster, ann);
  assert.is((await cluster.client(1).then((c) => c.call('tracker_status', {}))).trackers[2]!.note, undefined);
});

test('a command that this program does not know halts the tracker, and says why', async ({ cluster }) => {
  const third = cluster.tracker(3);
  await third.kill();
  const store = new Store(third.dataDir, 3, 'f'.repeat(32));
  const term = store.hardState.term;
  const future = encodeCbor(['share_hologram', 1, null, 0, 0, null, null, {}]);
  const data = new Uint8Array(9 + future.length);
  data[0] = 1;
  data.set(future, 9);
  const index = store.log.lastIndex() + 1;
  const append = [{ index, term, kind: 'command' as const, data, sizeBytes: data.length }];
  const write = { id: 1, hardState: null, snapshot: null, truncateFrom: null, append };
  store.commit({ writes: [write], commit: index, received: () => null });
  store.noteCommit(index);
  store.close();
  cluster.spawn(3);
  assert.is(await third.exit, 3);
  third.process = null;
  assert.match(third.stderr, /Log command "share_hologram" is not known to this program: update it/);
  assert.not.match(third.stderr, /\n {4}at /);
});

test('two wiped of three elect nobody', async ({ cluster, ann }) => {
  await Promise.all([2, 3].map((number) => cluster.tracker(number).kill()));
  for (const number of [2, 3]) {
    rmSync(cluster.tracker(number).dataDir, { recursive: true });
    cluster.spawn(number);
  }
  await until('both wait', () => [2, 3].every((n) => /Waits to be taken in/.test(cluster.tracker(n).stderr)));
  // A leader that hears nobody gives up after an election timeout.
  const { trackers } = await until('nobody leads', async () => {
    const status = await ann.call('tracker_status', {});
    return status.leader === null ? status : null;
  });
  assert.is(trackers.filter(({ role }) => role === 'leader').length, 0);
  assert.not.ok(cluster.tracker(2).isReady);
  await until('the survivor says why', () =>
    /Nobody can lead: of 3 voters, tracker 2 came back without its data, tracker 3 came back without its data/.test(
      cluster.tracker(1).stderr,
    ),
  );
  assert.match(cluster.tracker(1).stderr, /mt-trackerd recover/);
  assert.ok(existsSync(cluster.tracker(1).dataDir));
});

test.run();
