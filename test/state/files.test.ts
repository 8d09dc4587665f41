import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { manifestHashes, manifestInUse, peerOf } from '../../cluster/state/lookups.ts';
import { findFile, listFiles, listSeeders, locateFile } from '../../cluster/state/queries.ts';
import { PEERS_TOLD_MAX } from '../../codec/limits.ts';
import { contentOf, fingerprintOf, ok, refused, told, World } from './world.ts';

const ALL = { after: null, limit: 1000 };
const F = { group_id: 'g', file_name: 'f' };
const test = suite('cluster/state files');

/** alice owns g, with bob and carol; eve is a stranger. */
function team(): World {
  return new World().people('alice', 'bob', 'carol', 'eve').group('g', 'alice', 'bob', 'carol');
}
const namesIn = (world: World) =>
  listFiles(world.state, world.actor('alice'), { group_id: 'g', ...ALL }).files.map(
    ({ file_name, seeders }) => `${file_name} ${seeders}`,
  );

test('a new file is listed with its publisher as seeder', () => {
  const world = team();
  const applied = ok(world.share('bob', 'g', 'f'));
  assert.equal(applied.reply, { ok: true, result: { new_file: true } });
  assert.equal(told(applied), ['file_added g f bob', 'share_started g f bob']);
  const { manifest_hash, size, sha1, piece_size, piece_count } = contentOf('f');
  assert.equal(listFiles(world.state, world.actor('carol'), { group_id: 'g', ...ALL }), {
    files: [{ file_name: 'f', size, sha1, piece_count, seeders: 1 }],
    next: null,
  });
  const { file, peers, user_id, epoch } = locateFile(world.state, world.actor('carol'), F);
  const published_at = world.at;
  const expected = {
    file_name: 'f',
    size,
    sha1,
    piece_size,
    piece_count,
    manifest_hash,
    publisher: 'bob',
    published_at,
  };
  assert.equal(file, expected);
  assert.equal(findFile(world.state, world.actor('carol'), F), expected);
  assert.equal(peers, [
    { user_id: 'bob', fingerprint: fingerprintOf('bob'), address: { host: '127.0.0.1', port: 18_000 }, complete: true },
  ]);
  assert.is(user_id, 'carol');
  assert.ok(epoch > 0);
  assert.equal(locateFile(world.state, world.actor('bob'), F).peers, [], 'not oneself');
});

test('the same content under the same name makes one more seeder, other content is refused', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  const second = ok(world.share('carol', 'g', 'f'));
  assert.equal(second.reply, { ok: true, result: { new_file: false } });
  assert.equal(told(second), ['share_started g f carol']);
  refused(world.share('alice', 'g', 'f', 'something else'), 'FILE_EXISTS');
  refused(world.share('bob', 'g', 'f', 'something else'), 'FILE_EXISTS');
  refused(world.share('bob', 'g', 'f'), 'ALREADY_SHARED');
  ok(world.login('bob', 'laptop'));
  ok(world.share('laptop', 'g', 'f'));
  ok(world.share('alice', 'g', 'same content, other name', 'f'));
  assert.equal(namesIn(world), ['f 3', 'same content, other name 1']);
});

test('sharing, downloading and stopping need a group and a membership', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  const none = { ...F, group_id: 'none' };
  const missing = { ...F, file_name: 'missing' };
  refused(world.share('bob', 'none', 'f'), 'NO_SUCH_GROUP');
  refused(world.share('eve', 'g', 'f'), 'NOT_MEMBER');
  refused(world.beginDownload('eve', 'g', 'f'), 'NOT_MEMBER');
  refused(world.beginDownload('bob', 'none', 'f'), 'NO_SUCH_GROUP');
  refused(world.beginDownload('carol', 'g', 'missing'), 'NO_SUCH_FILE');
  refused(world.beginDownload('carol', 'g', 'f', 'another content'), 'NO_SUCH_FILE');
  refused(world.recordShare('eve', 'g', 'f'), 'NOT_MEMBER');
  refused(world.recordShare('carol', 'none', 'f'), 'NO_SUCH_GROUP');
  refused(world.recordShare('carol', 'g', 'missing'), 'NO_SUCH_FILE');
  refused(world.recordShare('carol', 'g', 'f', 'another content'), 'NO_SUCH_FILE');
  refused(world.run('eve', 'stop_share', F), 'NOT_MEMBER');
  refused(world.run('bob', 'stop_share', none), 'NO_SUCH_GROUP');
  refused(world.run('bob', 'stop_share', missing), 'NO_SUCH_FILE');
  refused(world.run('carol', 'stop_share', F), 'NO_SUCH_SHARE');
  refused(world.run('eve', 'remove_file', F), 'NOT_MEMBER');
  refused(world.run('bob', 'remove_file', none), 'NO_SUCH_GROUP');
  refused(world.run('bob', 'remove_file', missing), 'NO_SUCH_FILE');
  refused(world.run('carol', 'remove_file', F), 'FORBIDDEN');
  assert.equal(namesIn(world), ['f 1']);
});

test('a download: a source in part, then a seeder; each step may be repeated', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  assert.equal(told(ok(world.beginDownload('carol', 'g', 'f'))), ['share_started g f carol']);
  assert.equal(told(ok(world.beginDownload('carol', 'g', 'f'))), []);
  assert.equal(namesIn(world), ['f 1'], 'a part is no seeder');
  const seeders = () => listSeeders(world.state, world.actor('alice'), { ...F, ...ALL }, () => 7).seeders;
  assert.equal(seeders(), [
    { user_id: 'bob', pieces: 1, complete: true },
    { user_id: 'carol', pieces: 7, complete: false },
  ]);
  assert.equal(told(ok(world.recordShare('carol', 'g', 'f'))), ['share_completed g f carol']);
  assert.equal(told(ok(world.recordShare('carol', 'g', 'f'))), []);
  assert.equal(told(ok(world.beginDownload('carol', 'g', 'f'))), [], 'a second copy elsewhere');
  assert.equal(namesIn(world), ['f 2']);
  assert.equal(told(ok(world.recordShare('alice', 'g', 'f'))), ['share_started g f alice'], 'without a begin');
});

test('uploading what one is downloading completes the share', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  ok(world.beginDownload('carol', 'g', 'f'));
  const applied = ok(world.share('carol', 'g', 'f'));
  assert.equal(applied.reply, { ok: true, result: { new_file: false } });
  assert.equal(told(applied), ['share_completed g f carol']);
});

test('the file leaves the group with its last complete sharer, sources in part or not', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  ok(world.share('carol', 'g', 'f'));
  ok(world.beginDownload('alice', 'g', 'f'));
  assert.equal(told(ok(world.run('bob', 'stop_share', F))), ['share_stopped g f bob']);
  assert.equal(told(ok(world.run('carol', 'stop_share', F))), [
    'share_stopped g f carol',
    'file_removed g f last_share',
  ]);
  assert.equal(namesIn(world), []);
  refused(world.recordShare('alice', 'g', 'f'), 'NO_SUCH_FILE');
  ok(world.share('alice', 'g', 'f', 'other content now'));
});

test('giving up a download takes the source in part away', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  ok(world.beginDownload('carol', 'g', 'f'));
  assert.equal(told(ok(world.run('carol', 'stop_share', F))), ['share_stopped g f carol']);
  refused(world.run('carol', 'stop_share', F), 'NO_SUCH_SHARE');
  assert.equal(namesIn(world), ['f 1']);
});

test('logout keeps the file listed with no seeder', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  ok(world.run('bob', 'logout', {}));
  assert.equal(namesIn(world), ['f 0']);
  refused(world.share('carol', 'g', 'f', 'another'), 'FILE_EXISTS');
});

test('owner and publisher may take a file out for everyone', () => {
  for (const by of ['alice', 'bob']) {
    const world = team();
    ok(world.share('bob', 'g', 'f'));
    ok(world.share('carol', 'g', 'f'));
    ok(world.beginDownload('alice', 'g', 'f'));
    const applied = ok(world.run(by, 'remove_file', F));
    assert.equal(told(applied), ['file_removed g f removed']);
    assert.is(world.state.shareCount, 0);
    refused(world.run('carol', 'stop_share', F), 'NO_SUCH_FILE');
  }
});

test('a publisher who left and came back may still take the file out', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  ok(world.share('carol', 'g', 'f'));
  ok(world.run('bob', 'leave_group', { group_id: 'g' }));
  refused(world.run('bob', 'remove_file', F), 'NOT_MEMBER');
  ok(world.run('bob', 'join_group', { group_id: 'g' }));
  ok(world.run('alice', 'accept_request', { group_id: 'g', user_id: 'bob' }));
  ok(world.run('bob', 'remove_file', F));
});

test('a manifest is in use while any file of any group has it', () => {
  const world = team().group('h', 'eve');
  const { manifest_hash } = contentOf('f');
  ok(world.share('bob', 'g', 'f'));
  ok(world.share('eve', 'h', 'copy', 'f'));
  assert.equal([...manifestHashes(world.state)], [manifest_hash]);
  ok(world.run('bob', 'remove_file', F));
  assert.ok(manifestInUse(world.state, manifest_hash));
  ok(world.run('eve', 'stop_share', { group_id: 'h', file_name: 'copy' }));
  assert.not(manifestInUse(world.state, manifest_hash));
});

test('a sharer whose file is gone is no seeder, one whose file is damaged is a source in part', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  ok(world.share('carol', 'g', 'f'));
  const bob = world.state.sessionsByFingerprint.get(world.actor('bob').fingerprint!)!.id;
  let left = 0;
  const shortfallOf = (session: string, group: string, file: string) =>
    session === bob && group === 'g' && file === 'f' ? left : null;
  const view = () => {
    const alice = world.actor('alice');
    const { seeders } = listFiles(world.state, alice, { group_id: 'g', ...ALL }, shortfallOf).files[0]!;
    const rows = listSeeders(world.state, alice, { ...F, ...ALL }, () => 0, shortfallOf).seeders;
    const peers = locateFile(world.state, alice, F, shortfallOf).peers;
    return [
      seeders,
      rows.map(({ user_id, pieces, complete }) => `${user_id} ${pieces} ${complete}`),
      peers.map(({ user_id, complete }) => `${user_id} ${complete}`),
    ];
  };
  assert.equal(view(), [1, ['carol 1 true'], ['carol true']]);
  left = 5;
  assert.equal(view(), [1, ['bob 5 false', 'carol 1 true'], ['bob false', 'carol true']]);
});

test('of a crowd, each downloader hears of as many as a frame holds: the whole copies first, and not all of the same ones', () => {
  const users = Array.from({ length: PEERS_TOLD_MAX + 50 }, (_, i) => `user-${1000 + i}`);
  const world = new World().people(...users).group('g', users[0]!, ...users.slice(1));
  const seeder = users[500]!;
  ok(world.share(seeder, 'g', 'f'));
  for (const user of users) if (user !== seeder) ok(world.beginDownload(user, 'g', 'f', 'f'));
  const peersOf = (user: string) => locateFile(world.state, world.actor(user), F).peers.map(({ user_id }) => user_id);
  const told = users.map((user) => peersOf(user));
  for (const [at, peers] of told.entries()) {
    assert.is(new Set(peers).size, PEERS_TOLD_MAX);
    assert.not(peers.includes(users[at]!), 'not oneself');
    if (users[at] !== seeder) assert.is(peers[0], seeder);
  }
  for (const user of users)
    assert.ok(
      told.some((peers) => peers.includes(user)),
      `somebody hears of ${user}`,
    );
});

test('peerOf tells of one sharer, online only', () => {
  const world = team();
  ok(world.share('bob', 'g', 'f'));
  const key = { ...F, user_id: 'bob', fingerprint: fingerprintOf('bob') };
  assert.is(peerOf(world.state, key)?.complete, true);
  assert.is(peerOf(world.state, { ...key, file_name: 'x' }), null);
  ok(world.run('bob', 'logout', {}));
  assert.is(peerOf(world.state, key), null);
});

test('the limit of shares counts all daemons of a user', () => {
  const world = team();
  world.runCluster('set_limits', { groups_per_user: 5, files_per_user: 2 });
  ok(world.login('bob', 'laptop'));
  ok(world.share('bob', 'g', 'a'));
  ok(world.share('laptop', 'g', 'a'));
  refused(world.share('bob', 'g', 'b'), 'FORBIDDEN');
  ok(world.share('carol', 'g', 'b'));
  refused(world.beginDownload('bob', 'g', 'b'), 'FORBIDDEN');
  ok(world.run('laptop', 'stop_share', { group_id: 'g', file_name: 'a' }));
  ok(world.beginDownload('bob', 'g', 'b'));
  ok(world.recordShare('bob', 'g', 'b'));
});

test('listings page by name, whatever comes and goes between two pages', () => {
  const world = team();
  const names = Array.from({ length: 25 }, (_, i) => `f${String(i).padStart(2, '0')}`);
  for (const name of [...names].reverse()) ok(world.share('bob', 'g', name));
  const page = (after: string | null) => {
    const { files, next } = listFiles(world.state, world.actor('alice'), { group_id: 'g', after, limit: 10 });
    return { names: files.map(({ file_name }) => file_name), next };
  };
  assert.equal(page(null), { names: names.slice(0, 10), next: 'f09' });
  ok(world.run('bob', 'stop_share', { group_id: 'g', file_name: 'f09' }));
  assert.equal(page('f09'), { names: names.slice(10, 20), next: 'f19' });
  assert.equal(page('f19'), { names: names.slice(20), next: null });
  for (let i = 0; i < 9; i++) {
    ok(world.login('carol', `c${i}`));
    ok(world.share(`c${i}`, 'g', 'f00'));
  }
  ok(world.run('c4', 'logout', {}));
  let rows = 0;
  let after: string | null = null;
  do {
    const seeders = listSeeders(
      world.state,
      world.actor('alice'),
      { group_id: 'g', file_name: 'f00', after, limit: 3 },
      () => 0,
    );
    rows += seeders.seeders.length;
    after = seeders.next;
  } while (after !== null);
  assert.is(rows, 9);
});

test.run();
