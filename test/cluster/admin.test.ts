import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openArchive } from '../../cluster/store/archive.ts';
import { DATABASE_FILE } from '../../cluster/store/store.ts';
import { encodeManifest } from '../../codec/manifest.ts';
import { type Ended, run, TestCluster, until } from './harness.ts';
import { LocalCluster } from './in-process.ts';

const test = suite('the event log, as its subcommands show it');

function manifest(fill: number): Uint8Array {
  const rows = Buffer.alloc(52, fill);
  return encodeManifest({ size: 60_000, pieceSize: 65_536, pieceCount: 1, sha1: Buffer.alloc(20, fill), rows });
}

/** mt-trackerd on a data directory. */
async function admin(dataDir: string, command: string, ...args: string[]): Promise<Ended> {
  const nobody = await TestCluster.make(1);
  try {
    return await run(nobody, command, '--data-dir', dataDir, ...args);
  } finally {
    await nobody.stop();
  }
}
const lines = ({ stdout }: Ended) => stdout.trim().split('\n');

test('events, verify and replay of a running tracker; membership is part of the story', async () => {
  const cluster = await LocalCluster.start(1, { everyEntries: 1_000, entriesKept: 10 });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    const bob = await (await cluster.client(1)).signUp('bob');
    await ann.command('create_group', { group_id: 'team' });
    await bob.command('join_group', { group_id: 'team' });
    const before = cluster.trackers.get(1)!.engine!.status().lastIndex;
    await ann.command('accept_request', { group_id: 'team', user_id: 'bob' });
    await ann.command('share_file', { group_id: 'team', file_name: 'a b', manifest: manifest(1) });
    await bob.command('leave_group', { group_id: 'team' });
    const dir = cluster.dataDir(1);
    await until('all is known to be decided', async () => /member_left/.test((await admin(dir, 'events')).stdout));

    const all = lines(await admin(dir, 'events', '--json')).map((line) => JSON.parse(line));
    assert.equal(
      all.map(({ type }) => type).filter((type) => /group|member|share|file|join/.test(type)),
      ['group_created', 'join_requested', 'member_joined', 'file_added', 'share_started', 'member_left'],
    );
    assert.not.match(JSON.stringify(all), new RegExp(`${ann.session}|secret|password_hash`));
    const ofBob = lines(await admin(dir, 'events', '--user', 'bob', '--since', String(before), '--json'));
    assert.equal(
      ofBob.map((line) => JSON.parse(line).type),
      ['member_joined', 'member_left'],
    );
    assert.match((await admin(dir, 'events', '--group', 'team')).stdout, /ann {2}file_added {2}.*file_name="a b"/);

    const then = JSON.parse((await admin(dir, 'replay', '--until', String(before), '--json')).stdout);
    assert.equal(then.groups, [{ group_id: 'team', owner: 'ann', members: ['ann'], requests: ['bob'], files: [] }]);
    const now = (await admin(dir, 'replay')).stdout;
    assert.match(now, /2 users, 1 groups, 1 files/);
    assert.match(now, /a b {2}60000 bytes, shared by ann/);
    assert.is((await admin(dir, 'replay', '--until', '100000')).code, 2);
    const verified = await admin(dir, 'verify');
    assert.is(verified.code, 0);
    assert.match(verified.stdout, new RegExp(`state hash at ${then.index + 3}: [0-9a-f]{64}`));

    const copy = join(cluster.dir, 'copy');
    cpSync(dir, copy, { recursive: true });
    const db = new Database(join(copy, DATABASE_FILE));
    db.prepare('UPDATE entries SET term = term + 1 WHERE log_index = 3').run();
    db.close();
    const broken = await admin(copy, 'verify');
    assert.is(broken.code, 8);
    assert.match(broken.stderr, /log row 3 is damaged/);
  } finally {
    await cluster.stop();
  }
});

test('a follower that was fed a snapshot gets the history too, and checks it against the hash chain', async () => {
  const cluster = await LocalCluster.start(3, { everyEntries: 60, entriesKept: 10 });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    await ann.command('create_group', { group_id: 'team' });
    await cluster.stopOne(3);
    for (let i = 0; i < 300; i++) await ann.command('create_group', { group_id: `g-${i}` });
    for (const number of [1, 2]) {
      await cluster.stopOne(number);
      await cluster.startOne(number);
    }
    await cluster.startOne(3);
    await until('the history of tracker 3 is whole', () => {
      const archive = openArchive(cluster.dataDir(3));
      try {
        return archive.log.firstIndex() > 100 && archive.history.gap() === null && archive.history.first() === 1;
      } finally {
        archive.close();
      }
    });
    const eventsOf = async (number: number) => lines(await admin(cluster.dataDir(number), 'events', '--json'));
    const isWhole = async (number: number) => /g-299/.test((await eventsOf(number)).join());
    await until('both know that all is decided', async () => (await isWhole(1)) && (await isWhole(3)));
    const [first, third] = [await eventsOf(1), await eventsOf(3)];
    assert.equal(third.slice(0, 300), first.slice(0, 300));
    assert.match((await admin(cluster.dataDir(3), 'verify')).stdout, /from the first entry/);
  } finally {
    await cluster.stop();
  }
});

test('--retain-events shortens the history; events, replay and verify say where it begins', async () => {
  const cluster = await LocalCluster.start(1, { everyEntries: 50, entriesKept: 5 }, { retainEvents: 120 });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    for (let i = 0; i < 400; i++) await ann.command('create_group', { group_id: `g-${i}` });
    const dir = cluster.dataDir(1);
    // It is shortened once a second, also while the groups were made: to where it stays, so that all commands below see the same.
    const first = await until('all old rows are gone', () => {
      const archive = openArchive(dir);
      const begin = archive.history.first();
      const kept = archive.log.lastIndex() - 120;
      const end = archive.snapshots.all().findLast(({ meta }) => meta.index <= kept)?.meta.index ?? 0;
      archive.close();
      return begin > 100 && begin === end + 1 ? begin : null;
    });
    const verified = await admin(dir, 'verify');
    assert.is(verified.code, 0, verified.stderr);
    const anchor = Number(/from the snapshot at (\d+)/.exec(verified.stdout)![1]);
    assert.ok(anchor >= first - 1 && anchor <= 404 - 120, `anchor ${anchor}, first row ${first}`);
    const events = await admin(dir, 'events', '--json');
    assert.match(events.stderr, new RegExp(`begins after entry ${anchor}`));
    assert.is(JSON.parse(lines(events)[0]!).index, anchor + 1);
    const late = await admin(dir, 'replay', '--until', String(anchor), '--json');
    assert.is(JSON.parse(late.stdout).index, anchor);
    const early = await admin(dir, 'replay', '--until', String(anchor - 1));
    assert.match(early.stderr, new RegExp(`begins at entry ${anchor}`));
    await cluster.stopOne(1);
    await cluster.startOne(1);
    const again = await (await cluster.client(1)).register();
    await again.login('ann');
    assert.is((await again.read('list_groups', {})).groups.length, 400);
  } finally {
    await cluster.stop();
  }
});

test('manifests that no file has any more go with the next snapshots', async () => {
  const cluster = await LocalCluster.start(1, { everyEntries: 40, entriesKept: 5 });
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    await ann.command('create_group', { group_id: 'team' });
    for (const at of [1, 2, 3]) {
      await ann.command('share_file', { group_id: 'team', file_name: `f${at}`, manifest: manifest(at) });
    }
    await ann.command('remove_file', { group_id: 'team', file_name: 'f1' });
    await ann.command('remove_file', { group_id: 'team', file_name: 'f2' });
    for (let i = 0; i < 45; i++) await ann.command('create_group', { group_id: `g-${i}` });
    await ann.command('share_file', { group_id: 'team', file_name: 'again', manifest: manifest(2) });
    for (let i = 0; i < 90; i++) await ann.command('create_group', { group_id: `h-${i}` });
    const has = (at: number) => {
      const archive = openArchive(cluster.dataDir(1));
      const found = archive.manifests.has(createHash('sha256').update(manifest(at)).digest());
      archive.close();
      return found;
    };
    await until('the first manifest is gone', () => !has(1));
    assert.ok(has(2), 'shared again');
    assert.ok(has(3), 'still there');
    assert.is((await admin(cluster.dataDir(1), 'verify')).code, 0);
  } finally {
    await cluster.stop();
  }
});

test('--follow shows what happens as it happens', async () => {
  const cluster = await TestCluster.make(1);
  try {
    await cluster.start();
    const ann = await (await cluster.client(1)).signUp('ann');
    const follower = cluster.run(
      'events',
      '1',
      '--data-dir',
      cluster.tracker(1).dataDir,
      '--follow',
      '--group',
      'later',
    );
    let seen = '';
    follower.stdout!.on('data', (chunk) => {
      seen += chunk;
    });
    await ann.command('create_group', { group_id: 'other' });
    await ann.command('create_group', { group_id: 'later' });
    await until('it is shown', () => /group_created.*later/.test(seen));
    assert.not.match(seen, /other/);
    const ended = new Promise((resolve) => follower.once('exit', resolve));
    follower.kill();
    await ended;
  } finally {
    await cluster.stop();
  }
});

test('whatever looks at data says that it is damaged, in one sentence and with one exit number', async () => {
  const cluster = await TestCluster.make(1); // never started
  try {
    const dataDir = join(cluster.dir, 'damaged');
    mkdirSync(dataDir, { mode: 0o700 });
    writeFileSync(join(dataDir, DATABASE_FILE), 'no database at all, however one looks at it\n'.repeat(100));
    const copy = join(cluster.dir, 'copy.sqlite');
    const commands = [
      ['verify', '--data-dir', dataDir],
      ['events', '--data-dir', dataDir],
      ['replay', '--data-dir', dataDir],
      ['backup', copy, '--data-dir', dataDir],
      ['recover', cluster.infoFile, '1', '--data-dir', dataDir, '--yes'],
    ];
    for (const command of commands) {
      const { code, stderr } = await run(cluster, ...command);
      assert.is(code, 8, `${command[0]}: ${stderr}`);
      assert.match(stderr, /^mt-trackerd: .*: file is not a database\n/);
    }
    assert.not(existsSync(copy));
  } finally {
    await cluster.stop();
  }
});

test.run();
