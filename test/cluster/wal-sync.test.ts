import fs, { mkdtempSync, rmSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { randomToken } from '../../cluster/node/server/tokens.ts';
import { openArchive } from '../../cluster/store/archive.ts';
import { openDatabase } from '../../cluster/store/database.ts';
import { DATABASE_FILE, Store } from '../../cluster/store/store.ts';
import { WalSync } from '../../cluster/store/wal-sync.ts';
import { LocalCluster } from './in-process.ts';

const test = suite<{ dir: string }>('durable commits');
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-wal-'));
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true }));

/** Runs `work` and reports each fdatasync, as it is called, with the inode of its file. */
function watchSyncs(onSync: (inode: number) => void, work: () => void): void {
  const { fdatasyncSync } = fs;
  fs.fdatasyncSync = (fd) => {
    fdatasyncSync(fd);
    onSync(fs.fstatSync(fd).ino);
  };
  syncBuiltinESMExports();
  try {
    work();
  } finally {
    fs.fdatasyncSync = fdatasyncSync;
    syncBuiltinESMExports();
  }
}

const FULL = 2;

test('synchronous is FULL, except inside the one transaction that is synced by us', ({ dir }) => {
  const path = join(dir, DATABASE_FILE);
  const db = openDatabase(path);
  const level = () => db.pragma('synchronous', { simple: true });
  const wal = new WalSync(db, path);
  assert.is(db.pragma('journal_mode', { simple: true }), 'wal');
  assert.is(level(), FULL);
  wal.begin();
  wal.commit();
  assert.is(level(), FULL, 'after a commit');
  wal.begin();
  wal.rollback();
  assert.is(level(), FULL, 'after one that was undone');
  wal.begin();
  wal.commitUnsynced();
  assert.is(level(), FULL, 'after one that waits for the next');
  wal.close();
  db.close();
});

test('a commit syncs the WAL once, after everything is in it and before anybody hears of it', ({ dir }) => {
  const store = new Store(dir, 1, randomToken());
  const data = Buffer.from('x');
  let index = 0;
  const batch = () => ({
    writes: [1, 2, 3].map((id) => ({
      id,
      hardState: null,
      snapshot: null,
      truncateFrom: null,
      append: [{ index: ++index, term: 1, kind: 'command' as const, data, sizeBytes: data.length }],
    })),
    commit: 0,
    received: () => null,
  });
  for (let round = 1; round <= 3; round++) {
    const synced: number[] = [];
    let heard = false;
    store.onCommit = () => {
      heard = true;
    };
    watchSyncs(
      (inode) => {
        assert.not(heard);
        assert.is(inode, statSync(join(dir, `${DATABASE_FILE}-wal`)).ino);
        const archive = openArchive(dir);
        synced.push(archive.log.lastIndex());
        archive.close();
      },
      () => assert.ok(store.commit(batch())),
    );
    assert.ok(heard);
    assert.equal(synced, [round * 3]);
  }
  store.close();
});

test('commands of one turn share a transaction on every tracker', async () => {
  const COMMANDS = 400;
  let commits = 0;
  const onCommit = () => {
    commits++;
  };
  const cluster = await LocalCluster.start(3, { everyEntries: 10_000, entriesKept: 10 }, { onCommit });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    await ann.command('create_group', { group_id: 'warm' });
    const leader = [...cluster.trackers.values()].find(({ engine }) => engine?.isLeader)!.engine!;
    const actor = { fingerprint: 'f'.repeat(64), session: null };
    commits = 0;
    const replies = await Promise.all(
      Array.from({ length: COMMANDS }, () =>
        leader.propose(
          {
            type: 'register_client',
            clientId: null,
            seq: 0,
            acked: 0,
            actor,
            payload: { client_id: randomToken() },
          },
          { timeoutMs: 20_000 },
        ),
      ),
    );
    assert.ok(replies.every(({ ok }) => ok));
    assert.ok(commits <= 60, `${commits} commits on three trackers for ${COMMANDS} commands`);
  } finally {
    await cluster.stop();
  }
});

test.run();
