// Patrol, search, scrub and repair on real files and a real store. Only the other seeders are scripted: what they send, and what
// the user does to the file at that very moment.
import {
  appendFileSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MtError } from '../../codec/errors.ts';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { identityOf } from '../../daemon/disk/file-identity.ts';
import { HashPool } from '../../daemon/disk/hash-pool.ts';
import { PieceFile } from '../../daemon/disk/piece-file.ts';
import type { FetchRequest } from '../../daemon/download/piece-fetch.ts';
import { Outbox } from '../../daemon/outbox.ts';
import { Shares } from '../../daemon/share.ts';
import { ShareKeeper } from '../../daemon/shares/keeper.ts';
import { neighbourhood } from '../../daemon/shares/neighbourhood.ts';
import { OutboxStore } from '../../daemon/store/outbox-store.ts';
import { SettingsStore } from '../../daemon/store/settings-store.ts';
import { ShareStore } from '../../daemon/store/share-store.ts';
import { openStore } from '../../daemon/store/store.ts';
import { TrackerClient } from '../../daemon/tracker-client.ts';
import { ClusterTrust } from '../../daemon/trackers/trust.ts';
import { manifestOf } from '../harness/files.ts';
import { until } from '../harness/until.ts';

const test = suite('share keeper');
const PIECE = 65_536;
const CONTENT = Buffer.alloc(4 * PIECE + 100, 'content of a file that is kept for a long time. ');
const MANIFEST = manifestOf(CONTENT);
const FILE = { groupId: 'g', fileName: 'f' };
const log = pino({ level: process.env.LOG ?? 'silent' });
const identity = await makeDaemonIdentity(Date.now());

let cleanups: (() => unknown)[] = [];
test.after.each(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mt-keeper-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, 'home', 'files'), { recursive: true });
  return directory;
}

type Fetch = (request: FetchRequest) => Promise<PieceFile>;
const nobody: Fetch = async () => {
  throw new MtError('NO_SEEDERS', 'nobody is online');
};

/** What other seeders send: the right pieces. */
const everybody: Fetch = async ({ partPath, mapPath, manifest, manifestHash: hash, pieces }) => {
  const { file } = await PieceFile.openPart(partPath, mapPath, { manifest, manifestHash: hash });
  const whole = Buffer.from(readFileSync(partPath));
  for (const piece of pieces) CONTENT.copy(whole, piece * PIECE, piece * PIECE, (piece + 1) * PIECE);
  writeFileSync(partPath, whole);
  return file;
};

/** The part of a daemon that keeps shares, on a directory that outlives it. Its trackers are away. */
function daemon(directory: string, fetchPieces: Fetch = nobody) {
  const db = openStore(join(directory, 'store.sqlite'));
  const settings = new SettingsStore(db);
  const trust = new ClusterTrust(settings, [], false);
  const client = new TrackerClient({ identity, trust, settings, addresses: [{ host: '127.0.0.1', port: 1 }] });
  const outbox = new Outbox({ db, store: new OutboxStore(db), settings, client, log });
  const shares = new Shares({ db, store: new ShareStore(db), outbox, log, onStopped: () => {} });
  shares.setSession({ userId: 'alice', token: 'a'.repeat(32) });
  const pool = new HashPool(1);
  const rates = () => ({ upload: 0, download: 0, bytesUploaded: 0, bytesDownloaded: 0 });
  const keeper = new ShareKeeper({
    shares,
    pool,
    dataPlane: { fetchPieces, rates },
    directory: join(directory, 'repairs'),
    settings: { bytesPerS: 0, intervalMs: 0 },
    log,
  });
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await keeper.close();
    await pool.close();
    await outbox.close();
    await client.close();
    db.close();
  };
  cleanups.push(close);
  const scrub = () => keeper.scrub(FILE, { signal: new AbortController().signal, onProgress: () => {} });
  const state = async () => (await shares.list())[0]!;
  const isShared = async (path: string) => {
    const row = await state();
    return row.state === 'pending' && row.path === path;
  };
  return { shares, keeper, scrub, state, isShared, close };
}

function shareFile(shares: Shares, path: string, fileName = FILE.fileName): void {
  writeFileSync(path, CONTENT);
  const encoded = encodeManifest(MANIFEST);
  const found = identityOf(lstatSync(path, { bigint: true }));
  const share = { ...FILE, fileName, path, ...found, manifest: encoded, manifestHash: manifestHash(encoded) };
  shares.addDownloaded(share).catch(() => {});
}

/** Other bytes, and the times as they were. */
function rot(shares: Shares, path: string, piece: number): void {
  const bytes = readFileSync(path);
  bytes.write('rotten', piece * PIECE + 7);
  writeFileSync(path, bytes);
  // Nanoseconds cannot be set from here: what matters is that the registry's word and the file's agree.
  shares.change(shares.record(FILE)!, identityOf(lstatSync(path, { bigint: true })));
}

test('rot is remembered over a restart, and only what is right is served', async () => {
  const directory = temporary();
  const path = join(directory, 'home', 'files', 'f');
  const first = daemon(directory);
  shareFile(first.shares, path);
  assert.equal(await first.scrub(), { pieces: 5, rotten: 0 });
  assert.equal(first.shares.shortfalls(), []);
  rot(first.shares, path, 1);
  rot(first.shares, path, 4);
  assert.equal(await first.scrub(), { pieces: 5, rotten: 2 });
  await first.close();
  const { shares, state, scrub } = daemon(directory);
  assert.equal(Buffer.from(shares.find(FILE)!.rotten!), Buffer.of(0b0100_1000));
  assert.equal(shares.shortfalls(), [{ group_id: 'g', file_name: 'f', pieces: 3 }]);
  assert.is((await state()).state, 'damaged');
  assert.match((await state()).note!, '2 of 5 pieces');
  await scrub();
  await until('it says why', async () => (await state()).note!.includes('nobody is online'));
});

test('rotten pieces are mended in place, and the file is whole after a restart too', async () => {
  const directory = temporary();
  const path = join(directory, 'home', 'files', 'f');
  const first = daemon(directory, everybody);
  shareFile(first.shares, path);
  rot(first.shares, path, 0);
  rot(first.shares, path, 4);
  assert.is((await first.scrub()).rotten, 2);
  await until('mended', async () => (await first.state()).state === 'pending');
  assert.equal(readFileSync(path), CONTENT);
  assert.is(first.keeper.status().pieces_repaired, 2);
  await first.close();
  const again = daemon(directory);
  assert.ok(await again.isShared(path));
  assert.equal(await again.scrub(), { pieces: 5, rotten: 0 });
});

test('a file that its user writes to during the repair is left as it is', async () => {
  const directory = temporary();
  const path = join(directory, 'home', 'files', 'f');
  let asked = 0;
  const { shares, scrub, state, keeper } = daemon(directory, async (request) => {
    asked++;
    const file = await everybody(request);
    appendFileSync(path, ' and an edit');
    return file;
  });
  shareFile(shares, path);
  rot(shares, path, 2);
  await scrub();
  await until('it is changed', async () => (await state()).state === 'changed');
  await until('the repair is over', () => keeper.status().repairing === 0);
  const bytes = readFileSync(path);
  assert.is(bytes.subarray(2 * PIECE + 7, 2 * PIECE + 13).toString(), 'rotten');
  assert.ok(bytes.toString().endsWith(' and an edit'));
  keeper.scrubAll();
  assert.is(keeper.status().repairing, 0, 'and never tried again');
  assert.is(asked, 1);
});

test('an edit between a look at the file and the write is seen, and ends the repair there', async () => {
  const directory = temporary();
  const path = join(directory, 'home', 'files', 'f');
  let reads = 0;
  const { shares, scrub, state, keeper } = daemon(directory, async (request) => {
    const file = await everybody(request);
    const read = file.read.bind(file);
    file.read = (part, done) => {
      if (++reads === 2) appendFileSync(path, ' and an edit');
      read(part, done);
    };
    return file;
  });
  shareFile(shares, path);
  rot(shares, path, 1);
  rot(shares, path, 2);
  assert.is((await scrub()).rotten, 2);
  await until('the repair is over', async () => keeper.status().repairing === 0 && (await state()).state === 'changed');
  const bytes = readFileSync(path);
  assert.equal(bytes.subarray(PIECE, 2 * PIECE), CONTENT.subarray(PIECE, 2 * PIECE), 'the first was written');
  assert.is(bytes.subarray(2 * PIECE + 7, 2 * PIECE + 13).toString(), 'rotten');
  assert.ok(bytes.toString().endsWith(' and an edit'));
});

test('renamed: found by its inode, with what is rotten of it; touched or replaced by a copy: read again', async () => {
  const directory = temporary();
  const files = join(directory, 'home', 'files');
  const path = join(files, 'f');
  const { shares, scrub, isShared } = daemon(directory);
  shareFile(shares, path);
  rot(shares, path, 3);
  await scrub();
  const inode = statSync(path).ino;
  mkdirSync(join(files, 'a', 'b'), { recursive: true });
  renameSync(path, join(files, 'a', 'b', 'g'));
  await until('found', () => shares.record(FILE)!.path === join(files, 'a', 'b', 'g'));
  assert.is(shares.rottenOf(shares.record(FILE)!)?.count, 1, 'a move mends nothing');
  assert.is(Number(shares.record(FILE)!.inode), inode);
  rmSync(join(files, 'a'), { recursive: true });
  writeFileSync(path, CONTENT);
  await until('found by size and hash', () => isShared(path));
  utimesSync(path, 1, 1);
  await until('touched only', async () => (await isShared(path)) && shares.record(FILE)!.mtimeNs === 1_000_000_000n);
});

test('an edited file is not found again in a copy that its user kept', async () => {
  const directory = temporary();
  const path = join(directory, 'home', 'files', 'f');
  const { shares, state } = daemon(directory);
  shareFile(shares, path);
  cpSync(path, `${path}.bak`);
  const edited = Buffer.from(CONTENT);
  edited.write('edited', 10);
  writeFileSync(path, edited);
  // Searches run one after the other: a file that was found twice since says that this one was looked for.
  const other = { ...FILE, fileName: 'other' };
  shareFile(shares, join(directory, 'home', 'files', '0'), other.fileName);
  for (const name of ['1', '2']) {
    const moved = join(directory, 'home', 'files', name);
    renameSync(shares.record(other)!.path, moved);
    await until('found', () => shares.record(other)!.path === moved);
  }
  assert.is((await state()).state, 'changed');
  assert.is(shares.record(FILE)!.path, path);
});

test('the neighbourhood is near: not through links, not in hidden directories, nearest first', async () => {
  const directory = temporary();
  const home = join(directory, 'home');
  for (const name of ['files/sub', 'files/.cache', 'other', 'far/1/2/3'])
    mkdirSync(join(home, name), { recursive: true });
  for (const name of ['files/a', 'files/sub/b', 'files/.cache/no', 'other/c', 'far/1/2/3/no']) {
    writeFileSync(join(home, name), '');
  }
  symlinkSync(directory, join(home, 'files', 'link'));
  symlinkSync(join(home, 'other', 'c'), join(home, 'files', 'no'));
  const seen = async (path: string, ownUid?: number) => {
    const found = [];
    for await (const { name, isDirectory } of neighbourhood(path, ownUid)) if (!isDirectory) found.push(name);
    return found;
  };
  assert.equal(await seen(join(home, 'files', 'gone')), ['a', 'b', 'c']);
  assert.equal(await seen(join(home, 'files', 'gone', 'too', 'f')), ['a', 'b', 'c'], 'what is left above it');
  const other = process.getuid!() + 1;
  assert.equal(await seen(join(home, 'files', 'gone'), other), ['a', 'b'], 'not above what is ours');
  assert.equal(await seen(join(home, 'files', 'gone', 'f'), other), []);
});

test.run();
