// Every bit of a tracker's files may be flipped: what is read is then either noticed, or was not touched.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../../cluster/node/digest.ts';
import { manifestHashes } from '../../cluster/state/lookups.ts';
import { stateHash } from '../../cluster/state/state.ts';
import { isDamage } from '../../cluster/store/database.ts';
import { applyRows, loadState } from '../../cluster/store/replay.ts';
import { DATABASE_FILE, MARK_FILE, Store } from '../../cluster/store/store.ts';
import { encodeManifest } from '../../codec/manifest.ts';
import { Prng } from '../sim/prng.ts';
import { LocalCluster } from './in-process.ts';

const FLIPS = 250;
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const WAL_FILE = `${DATABASE_FILE}-wal`;

interface Seen {
  readonly incarnation: string;
  readonly clusterId: string | null;
  readonly vote: string | null;
  readonly term: number;
  readonly lastIndex: number;
  readonly state: string;
  readonly rows: number;
}

const test = suite<{ dir: string; clean: string; crashed: string }>(`flipped bits (SEED=${SEED})`);

test.before(async (context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-bits-'));
  const cluster = await LocalCluster.start(1, { everyEntries: 60, entriesKept: 10 });
  const ann = await (await cluster.client(1)).signUp('ann');
  await ann.command('create_group', { group_id: 'team' });
  for (let i = 0; i < 30; i++) {
    const sha1 = Buffer.alloc(20, i);
    const manifest = encodeManifest({
      size: 60_000,
      pieceSize: 65_536,
      pieceCount: 1,
      sha1,
      rows: Buffer.alloc(52, i),
    });
    await ann.command('share_file', { group_id: 'team', file_name: `file ${i}`, manifest });
    for (let k = 0; k < 3; k++) await ann.command('create_group', { group_id: `g-${i}-${k}` });
  }
  context.crashed = keep(cluster.dataDir(1), join(context.dir, 'crashed'));
  await cluster.stopOne(1);
  context.clean = keep(cluster.dataDir(1), join(context.dir, 'clean'));
  await cluster.stop();
});
test.after(({ dir }) => rmSync(dir, { recursive: true, force: true }));

/** As after kill -9: what the files are at this instant. */
function keep(from: string, to: string): string {
  mkdirSync(to);
  for (const file of [DATABASE_FILE, WAL_FILE, MARK_FILE]) {
    if (existsSync(join(from, file))) copyFileSync(join(from, file), join(to, file));
  }
  return to;
}

/** Reads all that a tracker reads, at its start and later. @throws what it notices. */
function readAll(dir: string): Seen {
  const store = new Store(dir, 1, 'f'.repeat(32));
  try {
    const state = loadState(store, sha256);
    // A flip may take away the newest snapshot, or how far the log was known to be decided: nobody was promised those.
    for (const _ of applyRows(store.log, state, store.log.chainAt(state.index), store.log.lastIndex()));
    for (const hash of manifestHashes(state)) store.manifests.require(hash);
    return {
      incarnation: store.identity.incarnation,
      clusterId: store.identity.cluster_id,
      vote: store.hardState.vote,
      term: store.hardState.term,
      lastIndex: store.log.lastIndex(),
      state: Buffer.from(stateHash(state, sha256)).toString('hex'),
      rows: [...store.log.rows(1, 1_000_000)].length,
    };
  } finally {
    store.close();
  }
}

function flipMany(from: string, file: string, random: Prng, dir: string): { noticed: number; harmless: number } {
  const bytes = readFileSync(join(from, file));
  const right = readAll(keep(from, join(dir, `${file}-right`)));
  const counts = { noticed: 0, harmless: 0 };
  for (let flip = 0; flip < FLIPS; flip++) {
    const copy = keep(from, join(dir, `${file}-${flip}`));
    const at = random.int(0, bytes.length - 1);
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1 << random.int(0, 7);
    writeFileSync(join(copy, file), damaged);
    let seen: Seen | null = null;
    try {
      seen = readAll(copy);
    } catch (error) {
      assert.ok(isDamage(error), `byte ${at} of ${file}: ${(error as Error).stack}`);
    }
    // A wiped identity is a new member: nothing is promised or served by it.
    if (seen && seen.incarnation !== 'f'.repeat(32)) {
      assert.equal(seen, right, `byte ${at} of ${file}`);
      counts.harmless++;
    } else counts.noticed++;
    rmSync(copy, { recursive: true });
  }
  return counts;
}

test('in the database of a tracker that stopped', ({ clean, dir }) => {
  const { noticed, harmless } = flipMany(clean, DATABASE_FILE, new Prng(SEED), dir);
  console.log(`  database: ${noticed} noticed, ${harmless} where nothing is`);
  assert.ok(noticed > FLIPS / 3);
});

test('in the write-ahead log of a tracker that was killed', ({ crashed, dir }) => {
  const { noticed, harmless } = flipMany(crashed, WAL_FILE, new Prng(SEED + 1), dir);
  console.log(`  write-ahead log: ${noticed} noticed, ${harmless} where nothing is`);
  assert.ok(noticed > FLIPS / 3);
});

test('in the mark of what was promised: the database itself is whole', ({ crashed, dir }) => {
  const { noticed, harmless } = flipMany(crashed, MARK_FILE, new Prng(SEED + 2), dir);
  assert.is(noticed + harmless, FLIPS);
});

test('a torn end of the write-ahead log is what was never promised, or is noticed', ({ crashed, dir }) => {
  const bytes = readFileSync(join(crashed, WAL_FILE));
  const random = new Prng(SEED + 3);
  const right = readAll(keep(crashed, join(dir, 'torn-right')));
  for (let round = 0; round < 40; round++) {
    const copy = keep(crashed, join(dir, `torn-${round}`));
    writeFileSync(join(copy, WAL_FILE), bytes.subarray(0, random.int(0, bytes.length - 1)));
    try {
      assert.equal(readAll(copy), right, `round ${round}: only what was of no use any more is gone`);
    } catch (error) {
      assert.ok(isDamage(error), `round ${round}: ${error}`);
    }
    // Nothing was promised of it: it is gone, and that is all.
    rmSync(join(copy, MARK_FILE), { force: true });
    const { lastIndex, rows } = readAll(copy);
    assert.ok(rows === lastIndex, `${rows} rows, last ${lastIndex}`);
    rmSync(copy, { recursive: true });
  }
});

test.run();
