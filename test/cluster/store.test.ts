import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../../cluster/node/digest.ts';
import type { Entry, Write } from '../../cluster/raft/types.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { attach, attachmentOf } from '../../cluster/store/attachments.ts';
import { DamageError } from '../../cluster/store/database.ts';
import { loadState } from '../../cluster/store/replay.ts';
import { hashOfChunks } from '../../cluster/store/snapshot-table.ts';
import { DATABASE_FILE, Store } from '../../cluster/store/store.ts';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import type { HistoryRow } from '../../codec/tracker-link.ts';

const INCARNATION = '0123456789abcdef0123456789abcdef';
const test = suite<{ dir: string }>('store');
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-store-'));
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true }));

function entry(index: number, term = 1, text = `command ${index}`): Entry {
  const data = Buffer.from(text);
  return { index, term, kind: 'command', data, sizeBytes: data.length };
}
function write(id: number, append: Entry[], rest: Partial<Write> = {}): Write {
  return { id, hardState: null, snapshot: null, truncateFrom: null, append, ...rest };
}
function commit(store: Store, ...writes: Write[]): boolean {
  return store.commit({ writes, commit: 0, received: () => null });
}
function range(from: number, to: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));
}
/** Changes the file behind the store's back, as a bad disk would. */
function damage(dir: string, sql: string): void {
  const db = new Database(join(dir, DATABASE_FILE));
  assert.is(db.prepare(sql).run().changes > 0, true);
  db.close();
}

test('what a batch wrote is there after a restart, also without a clean close', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  assert.ok(commit(store, write(1, range(1, 5), { hardState: { term: 7, vote: INCARNATION } })));
  const again = new Store(dir, 1, 'f'.repeat(32)); // the first one never closed: as after kill -9
  assert.equal(again.hardState, { term: 7, vote: INCARNATION, commit: 0 });
  assert.is(again.identity.incarnation, INCARNATION);
  assert.is(again.identity.boot, 2);
  assert.is(again.log.firstIndex(), 1);
  assert.is(again.log.lastIndex(), 5);
  const entries = again.log.entries(2, 5, 1e9);
  assert.equal(
    entries.map((e) => [e.index, e.term, e.kind, Buffer.from(e.data).toString()]),
    [
      [2, 1, 'command', 'command 2'],
      [3, 1, 'command', 'command 3'],
      [4, 1, 'command', 'command 4'],
    ],
  );
  assert.equal(again.log.entries(1, 6, 10).length, 1, 'never less than one entry');
  store.close();
  again.close();
});

test('a directory of another tracker is refused', ({ dir }) => {
  new Store(dir, 1, INCARNATION).close();
  assert.throws(() => new Store(dir, 2, INCARNATION), /belongs to tracker 1, not 2/);
});

test('truncation takes the suffix, and the chain goes on from what is left', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 5)));
  const chain3 = Buffer.from(store.log.chainAt(3));
  commit(store, write(2, [entry(4, 2, 'other'), entry(5, 2)], { truncateFrom: 4 }));
  assert.is(store.log.lastIndex(), 5);
  assert.is(store.log.term(3), 1);
  assert.is(store.log.term(4), 2);
  assert.is(store.log.term(6), null);
  assert.equal(Buffer.from(store.log.chainAt(3)), chain3);

  const straight = mkdtempSync(join(tmpdir(), 'mt-store-'));
  const other = new Store(straight, 2, INCARNATION);
  commit(other, write(1, [...range(1, 3), entry(4, 2, 'other'), entry(5, 2)]));
  assert.equal(
    Buffer.from(store.log.chainAt(5)),
    Buffer.from(other.log.chainAt(5)),
    'the chain depends on content only',
  );
  store.close();
  other.close();
  rmSync(straight, { recursive: true });
});

for (const column of ['data', 'term', 'kind', 'checksum']) {
  test(`a damaged ${column} is never served`, ({ dir }) => {
    const store = new Store(dir, 1, INCARNATION);
    commit(store, write(1, range(1, 5)));
    store.close();
    const value = column === 'data' ? `x'00'` : `${column} + 1`;
    damage(dir, `UPDATE entries SET ${column} = ${value} WHERE log_index = 3`);
    const again = new Store(dir, 1, INCARNATION);
    assert.is(again.log.entries(1, 3, 1e9).length, 2);
    assert.throws(() => again.log.entries(1, 6, 1e9), /log row 3 is damaged/);
    assert.throws(() => again.log.term(3), /log row 3 is damaged/);
    again.close();
  });
}

test('a lost row in the middle is noticed', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 5)));
  damage(dir, 'DELETE FROM entries WHERE log_index = 3');
  assert.throws(() => store.log.entries(1, 6, 1e9), /log row 3 is missing/);
  store.close();
});

test('a damaged hard state is noticed at start', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, [], { hardState: { term: 3, vote: null } }));
  store.close();
  damage(dir, `UPDATE records SET checksum = checksum + 1 WHERE name = 'hard_state'`);
  assert.throws(() => new Store(dir, 1, INCARNATION), /the record "hard_state"/);
});

test('which manifests are of directories is known without reading them', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  const rows = Buffer.alloc(52);
  const content = { size: 100, pieceSize: 65_536, pieceCount: 1, sha1: Buffer.alloc(20), rows };
  const put = (bytes: Uint8Array) => {
    const hash = manifestHash(bytes);
    store.manifests.put({ hash, bytes });
    return hash;
  };
  assert.is(store.manifests.treeSize(put(encodeManifest({ ...content, treeSize: 77 }))), 77);
  assert.is(store.manifests.treeSize(put(encodeManifest(content))), null);
  assert.is(store.manifests.treeSize(Buffer.alloc(32)), null);
  const rotten = Buffer.alloc(32, 9);
  store.manifests.put({ hash: rotten, bytes: encodeManifest({ ...content, treeSize: 78 }) });
  assert.throws(
    () => store.manifests.treeSize(rotten),
    (error: unknown) => error instanceof DamageError,
    'what is shown was verified',
  );
  store.close();
});

test('a manifest travels with its entry and is stored once', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  const bytes = Buffer.alloc(1000, 7);
  const digest = hash('sha256', bytes, 'buffer');
  const shares = [1, 2].map((index) => {
    const bare = entry(index);
    attach(bare.data, { hash: digest, bytes });
    return { ...bare, sizeBytes: bare.data.length + bytes.length };
  });
  commit(store, write(1, shares));
  assert.is(attachmentOf(shares[0]!.data), null, 'memory holds what is under way only');
  assert.equal(Buffer.from(store.log.attachment(shares[0]!)!), bytes);
  store.close();
  const again = new Store(dir, 1, INCARNATION);
  const [first] = again.log.entries(1, 2, 1e9);
  assert.is(first!.sizeBytes, first!.data.length + 1000);
  assert.equal(Buffer.from(again.log.attachment(first!)!), bytes);
  again.close();
  damage(dir, `UPDATE manifests SET data = x'00'`);
  const damaged = new Store(dir, 1, INCARNATION);
  assert.throws(() => damaged.manifests.get(digest), /a manifest/);
  damaged.close();
});

test('a full disk writes nothing of the batch and can be tried again', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 3)));
  const big = [entry(4), entry(5, 1, 'x'.repeat(100_000))];
  const limit = (pages: number) => {
    store.limitPages(pages);
  };
  limit(10);
  assert.is(commit(store, write(2, big, { hardState: { term: 9, vote: null } })), false);
  assert.is(store.log.lastIndex(), 3);
  assert.is(store.hardState.term, 0);
  limit(1_000_000);
  assert.is(commit(store, write(2, big, { hardState: { term: 9, vote: null } })), true);
  assert.is(store.log.lastIndex(), 5);
  assert.is(store.hardState.term, 9);
  store.close();
});

test('the log goes on after an installed snapshot, and history stays', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 3)));
  const state = Buffer.from('state through 10');
  store.transaction(() => store.snapshots.putChunk(10, 0, state));
  const meta = { index: 10, term: 2, membership: { voters: [INCARNATION], learners: [], info: {} } };
  const received = {
    meta,
    chain: Buffer.alloc(32, 5),
    chunkCount: 1,
    size: state.length,
    hash: hash('sha256', state, 'buffer'),
  };
  const other = { ...received, meta: { ...meta, index: 12 } };
  const offered = (index: number) => [received, other].find((snapshot) => snapshot.meta.index === index) ?? null;
  const writes = [write(2, [entry(11, 2)], { snapshot: meta, truncateFrom: null })];
  store.commit({ writes, commit: 0, received: offered });
  for (const view of [store, new Store(dir, 1, INCARNATION)]) {
    assert.is(view.log.firstIndex(), 11);
    assert.is(view.log.lastIndex(), 11);
    assert.is(view.log.term(10), 2);
    assert.equal(view.log.snapshot(), meta);
    assert.equal(Buffer.concat([...view.snapshots.chunks(store.snapshots.newest())]), state);
    assert.is([...view.log.rows(1, 100)].length, 4, 'rows 1 to 3 are history');
  }
  damage(dir, `UPDATE snapshot_chunks SET data = x'0011'`);
  assert.throws(() => [...store.snapshots.chunks(store.snapshots.newest())], /the snapshot at 10/);
  store.close();
});

test('loading tells of its progress, in the log and in the snapshot', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  const noops = range(1, 1_200).map((noop): Entry => ({ ...noop, kind: 'noop' }));
  store.commit({ writes: [write(1, noops)], commit: 1_200, received: () => null });
  let told = 0;
  const state = loadState(store, sha256, () => told++);
  assert.is(state.index, 1_200);
  assert.is(told, 2);
  const chunks: Uint8Array[] = [];
  const taken = takeSnapshot(state, sha256);
  for (let chunk = taken.next(); chunk; chunk = taken.next()) chunks.push(chunk);
  for (const [position, chunk] of chunks.entries()) store.snapshots.putChunk(1_200, position, chunk);
  const meta = { ...store.snapshots.newest().meta, index: 1_200, term: 1 };
  const size = chunks.reduce((sum, { length }) => sum + length, 0);
  const chain = store.log.chainAt(1_200);
  store.completeSnapshot({ meta, chain, chunkCount: chunks.length, size, hash: hashOfChunks(chunks) }, 10, []);
  told = 0;
  assert.is(loadState(store, sha256, () => told++).index, 1_200);
  assert.is(told, chunks.length);
  store.close();
});

test('missing history is filled from elsewhere, and counts only when the chain through it is right', ({ dir }) => {
  const other = mkdtempSync(join(tmpdir(), 'mt-other-'));
  const whole = new Store(other, 1, INCARNATION);
  commit(whole, write(1, range(1, 12)));
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 3)));
  const state = Buffer.from('state through 10');
  store.transaction(() => store.snapshots.putChunk(10, 0, state));
  const meta = { index: 10, term: 1, membership: { voters: [INCARNATION], learners: [], info: {} } };
  const sum = hash('sha256', state, 'buffer');
  const received = { meta, chain: whole.log.chainAt(10), chunkCount: 1, size: state.length, hash: sum };
  store.commit({ writes: [write(2, range(11, 12), { snapshot: meta })], commit: 0, received: () => received });
  assert.equal(store.history.gap(), { from: 4, to: 10 });
  assert.is(store.history.first(), 11);
  assert.is(store.history.anchor()?.meta.index, 10);

  const rows = whole.history.read({ from: 4, to: 10 });
  assert.is(rows.length, 7);
  assert.equal(whole.history.read({ from: 13, to: 20 }), []);
  const forged = rows.map((row, at) => (at === 2 ? ([row[0], row[1], Buffer.from('forged'), null, 0] as const) : row));
  assert.ok(store.history.fill({ from: 4, to: 10 }, forged.slice(0, 5) as HistoryRow[]), 'not at its end yet');
  assert.not.ok(store.history.fill({ from: 9, to: 10 }, rows.slice(5)));
  assert.equal(store.history.gap(), { from: 1, to: 10 }, 'nothing of it is left, and nothing below it');

  assert.ok(store.history.fill({ from: 1, to: 10 }, whole.history.read({ from: 1, to: 10 })));
  assert.is(store.history.gap(), null);
  assert.is(store.history.anchor(), null);
  assert.equal(
    [...store.log.rows(1, 13)].map(({ chain }) => chain),
    [...whole.log.rows(1, 13)].map(({ chain }) => chain),
  );
  for (const open of [store, whole]) open.close();
  rmSync(other, { recursive: true });
});

test('a log without its identity is damage, never a new tracker', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 3)));
  store.close();
  damage(dir, `DELETE FROM records WHERE name = 'identity'`);
  assert.throws(() => new Store(dir, 1, INCARNATION), /the identity is gone/);
});

test('own snapshots move the start of the log and keep some entries', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, write(1, range(1, 20)));
  store.transaction(() => store.snapshots.putChunk(15, 0, Buffer.from('s')));
  const snapshot = {
    meta: { index: 15, term: 1, membership: { voters: [INCARNATION], learners: [], info: {} } },
    chain: store.log.chainAt(15),
    chunkCount: 1,
    size: 1,
    hash: hash('sha256', Buffer.from('s'), 'buffer'),
  };
  store.completeSnapshot(snapshot, 5, []);
  const again = new Store(dir, 1, INCARNATION);
  assert.is(again.log.firstIndex(), 11);
  assert.is(again.log.term(10), 1);
  assert.is(again.log.lastIndex(), 20);
  assert.is([...again.log.rows(1, 21)].length, 20);
  store.close();
  again.close();
});

test.run();
