/** Scenario 36: what was promised is remembered outside the database, so that a database of yesterday is not believed. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Entry, Write } from '../../cluster/raft/types.ts';
import { DamageError } from '../../cluster/store/database.ts';
import { DATABASE_FILE, Store } from '../../cluster/store/store.ts';

const INCARNATION = '0123456789abcdef0123456789abcdef';
const OTHER = 'f'.repeat(32);
const test = suite<{ dir: string }>('durable mark');
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-mark-'));
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true }));

function entry(index: number, term: number): Entry {
  const data = Buffer.from(`${index}@${term}`);
  return { index, term, kind: 'command', data, sizeBytes: data.length };
}

function commit(store: Store, more: Partial<Write>): void {
  const write = { id: 1, hardState: null, snapshot: null, truncateFrom: null, append: [], ...more };
  assert.ok(store.commit({ writes: [write], commit: 0, received: () => null }));
}

/** A tracker writes `first`, then `then`; then its database is that of before, while the mark is of now. */
function withYesterdaysDatabase(dir: string, first: Partial<Write>, then: Partial<Write>): () => void {
  const open = () => new Store(dir, 1, INCARNATION);
  const before = open();
  commit(before, first);
  before.close();
  cpSync(join(dir, DATABASE_FILE), join(dir, 'yesterday'));
  const after = open();
  commit(after, then);
  after.close();
  for (const end of ['', '-wal', '-shm']) rmSync(join(dir, DATABASE_FILE + end), { force: true });
  cpSync(join(dir, 'yesterday'), join(dir, DATABASE_FILE));
  return () => open().close();
}

const isDamage = (pattern: RegExp) => (error: unknown) => error instanceof DamageError && pattern.test(error.message);
const FIRST = { hardState: { term: 1, vote: null }, append: [entry(1, 1), entry(2, 1)] };

test('a shorter log than was promised is damage', ({ dir }) => {
  const start = withYesterdaysDatabase(dir, FIRST, { append: [entry(3, 1)] });
  assert.throws(start, isDamage(/the log ends at 2, but 3 was promised/));
});

test('so is one that ends in an older term', ({ dir }) => {
  const start = withYesterdaysDatabase(dir, FIRST, { truncateFrom: 2, append: [entry(2, 2)] });
  assert.throws(start, isDamage(/log row 2 is of term 1, not 2/));
});

test('so is a vote or a term that is gone', ({ dir }) => {
  const vote = withYesterdaysDatabase(dir, FIRST, { hardState: { term: 1, vote: OTHER } });
  assert.throws(vote, isDamage(/the vote of term 1 is gone/));
});

test('a later term that is gone', ({ dir }) => {
  const term = withYesterdaysDatabase(dir, FIRST, { hardState: { term: 2, vote: null } });
  assert.throws(term, isDamage(/the vote of term 2 is gone/));
});

test('nothing new: a start like any other', ({ dir }) => {
  assert.not.throws(withYesterdaysDatabase(dir, FIRST, {}));
});

test('killed between the cut of a log and the word of it: no false alarm', ({ dir }) => {
  const store = new Store(dir, 1, INCARNATION);
  commit(store, { append: [entry(1, 1), entry(2, 1), entry(3, 1)] });
  store.onCommit = () => {
    throw new Error('killed');
  };
  assert.throws(() => commit(store, { truncateFrom: 2, append: [entry(2, 2)] }), /killed/);
  const again = new Store(dir, 1, INCARNATION);
  assert.is(again.log.lastIndex(), 2);
  assert.is(again.log.term(2), 2);
  again.close();
  store.close();
});

test.run();
