import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UnknownCommandError } from '../../cluster/state/commands.ts';
import { SNAPSHOT_CHUNK_BYTES_MAX } from '../../cluster/state/limits.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { emptyState } from '../../cluster/state/state.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { isMtError } from '../../codec/errors.ts';
import { contentOf, hashHex, ok, refused, restoreFrom, sha256, snapshotOf, World } from './world.ts';

const test = suite('cluster/state snapshot');

/** Every table has rows, some many. */
function busy(files = 3000): World {
  const world = new World().people('alice', 'bob', 'carol').group('g', 'alice', 'bob');
  ok(world.run('carol', 'join_group', { group_id: 'g' }));
  for (let i = 0; i < files; i++) {
    ok(world.share('alice', 'g', `file ${i} ${'ä'.repeat(i % 40)}`, `content ${i}`));
  }
  ok(world.beginDownload('bob', 'g', 'file 0 ', 'content 0'));
  ok(world.run('bob', 'logout', {}));
  refused(world.run('x', 'login_failed', { user_id: 'ghost', remote: '::1' }), 'BAD_CREDENTIALS');
  world.runCluster('set_limits', { groups_per_user: 50, files_per_user: 60_000 });
  return world;
}

test('an empty state goes and comes', () => {
  const state = emptyState();
  assert.is(hashHex(restoreFrom(snapshotOf(state))), hashHex(state));
});

test('chunks are bounded, and the same bytes come from a restored state', () => {
  const world = busy();
  const chunks = snapshotOf(world.state);
  assert.ok(chunks.length > 10);
  for (const chunk of chunks) assert.ok(chunk.length <= SNAPSHOT_CHUNK_BYTES_MAX);
  const twin = restoreFrom(chunks);
  assert.is(hashHex(twin), hashHex(world.state));
  assert.equal(twin.limits, { groupsPerUser: 50, filesPerUser: 60_000 });
  assert.equal(snapshotOf(twin), chunks);
});

test('commands between two chunks do not show', () => {
  const world = busy();
  const expected = snapshotOf(world.state);
  const snapshot = takeSnapshot(world.state, sha256);
  assert.is(snapshot.index, world.index);
  const chunks: Uint8Array[] = [];
  let i = 0;
  for (let chunk = snapshot.next(); chunk !== null; chunk = snapshot.next()) {
    chunks.push(chunk);
    const name = (n: number) => `file ${n} ${'ä'.repeat(n % 40)}`;
    ok(world.run('alice', 'remove_file', { group_id: 'g', file_name: name(2999 - i) }));
    ok(world.run('alice', 'stop_share', { group_id: 'g', file_name: name(i * 20) }));
    ok(world.share('alice', 'g', name(i * 20), 'new content'));
    ok(world.share('alice', 'g', `extra ${i}`));
    i++;
  }
  assert.equal(chunks, expected);
  assert.is.not(hashHex(world.state), hashHex(restoreFrom(chunks)));
});

test('one at a time; a closed one frees its place and ends', () => {
  const { state } = busy(3);
  const first = takeSnapshot(state, sha256);
  assert.throws(() => takeSnapshot(state, sha256), /one snapshot at a time/);
  first.next();
  first.close();
  assert.is(first.next(), null);
  const second = takeSnapshot(state, sha256);
  first.close();
  assert.is.not(state.witness, null, 'a late close of the first is harmless');
  second.close();
});

test('every flipped byte, lost, repeated or swapped chunk is noticed', () => {
  const chunks = snapshotOf(busy(800).state);
  const damaged = (change: (copy: Uint8Array[]) => void) => {
    const copy = chunks.map((chunk) => new Uint8Array(chunk));
    change(copy);
    try {
      restoreFrom(copy);
    } catch (error) {
      if (isMtError(error, 'INTEGRITY') || error instanceof UnknownCommandError) return;
      throw error;
    }
    assert.unreachable('damage went unnoticed');
  };
  for (let which = 0; which < chunks.length; which++) {
    const size = chunks[which]!.length;
    for (let at = 0; at < size; at += Math.max(1, Math.floor(size / 40))) {
      damaged((copy) => {
        copy[which]![at]! ^= 1 << (at % 8);
      });
    }
    damaged((copy) => copy.splice(which, 1));
    damaged((copy) => copy.splice(which, 0, copy[which]!));
    if (which > 0) damaged((copy) => copy.splice(which - 1, 2, copy[which]!, copy[which - 1]!));
    damaged((copy) => copy.splice(which));
  }
});

test('a state whose hash has drifted from its content is not taken over', () => {
  const { state } = busy(3);
  state.hash.a ^= 1;
  assert.throws(
    () => restoreFrom(snapshotOf(state)),
    (error: Error) => isMtError(error, 'INTEGRITY'),
  );
});

test('a snapshot of a newer program halts instead of being taken for damage', () => {
  const head = (format: number, version: number) => encodeCbor(['head', format, 5, 0, version, 1, 1, 0, 0, 0]);
  assert.throws(
    () => restoreFrom([new Uint8Array(head(2, 1))]),
    (error: Error) => error instanceof UnknownCommandError,
  );
  assert.throws(
    () => restoreFrom([new Uint8Array(head(1, 99))]),
    (error: Error) => error instanceof UnknownCommandError,
  );
});

test('a row that names its table in another way than by its number is damage, not a fault', () => {
  const [head] = snapshotOf(emptyState());
  for (const name of ['constructor', '1', [1], null, -1, 99]) {
    const rows = encodeCbor(['rows', [[name, 'alice', 1, 1, 1, 1, '', '', 1]]]);
    assert.throws(
      () => restoreFrom([head!, new Uint8Array(rows)]),
      (error: Error) => isMtError(error, 'INTEGRITY') && error.message.includes('unknown table'),
    );
  }
});

test('the hash differs for one changed bit of content', () => {
  const one = busy(5);
  const other = busy(5);
  assert.is(hashHex(one.state), hashHex(other.state));
  ok(one.share('alice', 'g', 'last', 'x'));
  const { manifest_hash, ...rest } = contentOf('x');
  const flipped = new Uint8Array(manifest_hash);
  flipped[31]! ^= 1;
  ok(other.run('alice', 'share_file', { group_id: 'g', file_name: 'last', manifest_hash: flipped, ...rest }));
  assert.is.not(hashHex(one.state), hashHex(other.state));
});

test('the hash differs for another version, limit, time or index', () => {
  const plain = hashHex(busy(5).state);
  const changed = (change: (state: ReturnType<typeof busy>['state']) => void) => {
    const { state } = busy(5);
    change(state);
    return hashHex(state);
  };
  const others = [
    changed((state) => state.version++),
    changed((state) => state.index++),
    changed((state) => state.now++),
    changed((state) => {
      state.limits = { ...state.limits, filesPerUser: 1 };
    }),
  ];
  assert.is(new Set([plain, ...others]).size, 5);
});

test.run();
