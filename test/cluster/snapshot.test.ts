import { createHash } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openArchive } from '../../cluster/store/archive.ts';
import { DATABASE_FILE } from '../../cluster/store/store.ts';
import { encodeManifest } from '../../codec/manifest.ts';
import { until } from './harness.ts';
import { LocalCluster } from './in-process.ts';

const test = suite('snapshots');

function firstIndex(dataDir: string): number {
  const archive = openArchive(dataDir);
  const first = archive.log.firstIndex();
  archive.close();
  return first;
}

function manifest(fill: number): Uint8Array {
  const rows = Buffer.alloc(52, fill);
  return encodeManifest({ size: 60_000, pieceSize: 65_536, pieceCount: 1, sha1: Buffer.alloc(20, fill), rows });
}

test('a follower that was away too long gets a snapshot, with the manifests that it lacks', async () => {
  const cluster = await LocalCluster.start(3, { everyEntries: 60, entriesKept: 10 });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    await ann.command('create_group', { group_id: 'team' });
    await cluster.stopOne(3);
    for (let i = 0; i < 40; i++) {
      await ann.command('share_file', { group_id: 'team', file_name: `file ${i}`, manifest: manifest(i) });
      for (let k = 0; k < 4; k++) await ann.command('create_group', { group_id: `g-${i}-${k}` });
    }
    await until('the log begins later', () => firstIndex(cluster.dataDir(1)) > 100);
    // A leader that has just started has nothing in memory: what is purged can only be sent as a snapshot.
    for (const number of [1, 2]) {
      await cluster.stopOne(number);
      await cluster.startOne(number);
    }
    await cluster.startOne(3);
    const watcher = await cluster.client(1);
    await until('tracker 3 has caught up', async () => {
      const { trackers, leader } = await watcher.call('tracker_status', {});
      return leader !== null && trackers[2]!.reachable && trackers[2]!.lag === 0;
    });
    const third = openArchive(cluster.dataDir(3));
    assert.is([...third.log.rows(20, 80)].length, 0, 'it came by a snapshot, without the history');
    for (let i = 0; i < 40; i++) {
      const hash = createHash('sha256').update(manifest(i)).digest();
      assert.ok(third.manifests.get(hash)?.equals(manifest(i)), `manifest ${i}`);
    }
    third.close();
    // It serves what it was given, and takes part again.
    await cluster.stopOne(2);
    const client = await (await cluster.client(3)).register();
    await client.login('ann');
    await client.command('create_group', { group_id: 'with-3' });
    assert.is((await client.read('list_groups', {})).groups.length, 162);
  } finally {
    await cluster.stop();
  }
});

test('a leader whose snapshot has rotted says so, instead of sending it for ever', async () => {
  const fatal: unknown[] = [];
  const settings = { everyEntries: 60, entriesKept: 10 };
  const cluster = await LocalCluster.start(3, settings, { onFatal: (error) => fatal.push(error) });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    await cluster.stopOne(3);
    for (let i = 0; i < 140; i++) await ann.command('create_group', { group_id: `g-${i}` });
    await until(
      'the log begins later',
      () => firstIndex(cluster.dataDir(1)) > 100 && firstIndex(cluster.dataDir(2)) > 100,
    );
    for (const number of [1, 2]) {
      await cluster.stopOne(number);
      await cluster.startOne(number);
    }
    for (const number of [1, 2]) {
      const db = new Database(join(cluster.dataDir(number), DATABASE_FILE));
      const newest = db.prepare('SELECT data, log_index FROM snapshot_chunks ORDER BY log_index DESC');
      const { data, log_index } = newest.get() as { data: Buffer; log_index: number };
      data[data.length >> 1]! ^= 1;
      db.prepare('UPDATE snapshot_chunks SET data = ? WHERE log_index = ?').run(data, log_index);
      db.close();
    }
    await cluster.startOne(3);
    await until('the damage is noticed', () => fatal.length > 0);
    assert.match((fatal[0] as Error).message, 'snapshot');
  } finally {
    await cluster.stop();
  }
});

test('a restart goes on from the snapshot and the entries behind it', async () => {
  const cluster = await LocalCluster.start(1, { everyEntries: 50, entriesKept: 5 });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    for (let i = 0; i < 130; i++) await ann.command('create_group', { group_id: `g${i}` });
    await cluster.stopOne(1);
    await cluster.startOne(1);
    const again = await (await cluster.client(1)).register();
    await again.login('ann');
    assert.is((await again.read('list_groups', {})).groups.length, 130);
  } finally {
    await cluster.stop();
  }
});

test.run();
