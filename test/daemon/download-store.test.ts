import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DownloadStore, type NewDownload } from '../../daemon/store/download-store.ts';
import { openStore } from '../../daemon/store/store.ts';

const test = suite<{ dir: string }>('download store');
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-downloads-'));
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }));

const SOME: NewDownload = {
  userId: 'bob',
  groupId: 'team',
  fileName: 'Übung 1.bin',
  destination: '/home/bob/x',
  partPath: '/home/bob/x.part',
  force: true,
  peer: null,
  publisher: 'alice',
  manifestHash: Buffer.alloc(32, 1),
  manifest: Buffer.from('manifest'),
  sizeBytes: 2 ** 43,
  createdAt: 1_700_000_000_000,
};

test('records come back as they were, in order, after the file was closed', async ({ dir }) => {
  const path = join(dir, 'peer.sqlite');
  const db = openStore(path);
  const store = new DownloadStore(db);
  const first = store.add(SOME);
  const second = store.add({ ...SOME, fileName: 'other', peer: 'carol', force: false });
  const paused = store.change(first, { phase: 'paused', reasonCode: 'DISK_FULL', reason: 'no room', inode: 2n ** 60n });
  await store.sync();
  assert.is(db.pragma('synchronous', { simple: true }), 2, 'others write durably');
  db.close();
  const again = openStore(path);
  assert.equal(new DownloadStore(again).all(), [paused, second]);
  again.close();
});

test('a settled download leaves its manifest to the share; a number is never used again', ({ dir }) => {
  const db = openStore(join(dir, 'peer.sqlite'));
  const store = new DownloadStore(db);
  const record = store.change(store.add(SOME), { phase: 'complete', settled: true, bootId: 'ab' });
  assert.is(store.all()[0]?.manifest.length, 0);
  store.delete(record);
  assert.equal(store.all(), []);
  assert.ok(store.add(SOME).id > record.id);
  db.close();
});

test('one download of a file and user', ({ dir }) => {
  const db = openStore(join(dir, 'peer.sqlite'));
  const store = new DownloadStore(db);
  store.add(SOME);
  assert.throws(() => store.add(SOME), /UNIQUE/);
  assert.is(store.add({ ...SOME, userId: 'carol' }).userId, 'carol');
  db.close();
});

test.run();
