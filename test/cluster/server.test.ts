import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseClusterKeyPem } from '../../codec/identity.ts';
import { encodeManifest } from '../../codec/manifest.ts';
import type { EventOf } from '../../codec/rpc.ts';
import { openTicket } from '../../codec/ticket.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { codeOf, type TestClient, TestCluster, until } from './harness.ts';

const cluster = await TestCluster.make(3);
await cluster.start();
const test = suite('the rpc-server of real trackers');
test.after(() => cluster.stop());

let serial = 0;
/** A new user, through tracker `number`; names are never used twice. */
async function user(number: number, port?: number): Promise<TestClient & { name: string }> {
  const name = `user-${++serial}`;
  return Object.assign(await (await cluster.client(number)).signUp(name, port), { name });
}
/** A group with these members, the first its owner. */
async function group(owner: TestClient, ...members: (TestClient & { name: string })[]): Promise<string> {
  const group_id = `group-${++serial}`;
  await owner.command('create_group', { group_id });
  for (const member of members) {
    await member.command('join_group', { group_id });
    await owner.command('accept_request', { group_id, user_id: member.name });
  }
  return group_id;
}
function manifest(size: number, fill = 1): Uint8Array {
  const pieceSize = 65_536;
  const pieceCount = Math.ceil(size / pieceSize);
  const rows = Buffer.alloc(pieceCount * 52, fill);
  return encodeManifest({ size, pieceSize, pieceCount, sha1: Buffer.alloc(20, fill), rows });
}
function watch<M extends 'watch_file' | 'watch_session'>(client: TestClient, method: M, params: object) {
  const events: EventOf<TrackerApi, M>[] = [];
  const abort = new AbortController();
  const over = codeOf(
    client.call(method, { session: client.session, ...params } as never, {
      timeoutMs: 0,
      signal: abort.signal,
      onEvent: (event) => events.push(event as EventOf<TrackerApi, M>),
    }),
  );
  return { events, over, stop: () => abort.abort() };
}

test('a file is shared, located with a ticket that the cluster key vouches for, and its manifest comes back', async () => {
  const ann = await user(1, 18_001);
  const bob = await user(2, 18_002);
  const group_id = await group(ann, bob);
  const bytes = manifest(200_000);
  const share = { group_id, file_name: 'a file.bin', manifest: bytes };
  assert.equal(await ann.command('share_file', share), { new_file: true });
  assert.is(await codeOf(ann.command('share_file', { ...share, manifest: manifest(200_000, 2) })), 'FILE_EXISTS');
  const { files } = await bob.read('list_files', { group_id });
  assert.is(files[0]!.size, 200_000);
  assert.is(files[0]!.seeders, 1);
  const found = await bob.read('locate_file', { group_id, file_name: 'a file.bin' });
  assert.equal(
    found.peers.map(({ user_id, address, complete }) => ({ user_id, address, complete })),
    [{ user_id: ann.name, address: { host: '127.0.0.1', port: 18_001 }, complete: true }],
  );
  assert.is(found.peers[0]!.fingerprint, ann.identity.fingerprint);
  const pem = readFileSync(join(cluster.dir, 'mini-torrent/cluster.key'), 'utf8');
  const ticket = openTicket(
    found.ticket,
    parseClusterKeyPem(pem).map((key) => createPublicKey(key)),
    Date.now(),
  );
  assert.is(ticket.user_id, bob.name);
  assert.is(ticket.fingerprint, bob.identity.fingerprint);
  const hash = createHash('sha256').update(bytes).digest();
  assert.ok(hash.equals(ticket.manifest_hash));
  for (const number of [1, 2, 3]) {
    const client = await cluster.client(number, bob.identity);
    client.session = bob.session;
    const answer = await client.read('get_manifest', { group_id, file_name: 'a file.bin' });
    assert.ok(Buffer.from(answer.manifest).equals(bytes), `manifest from tracker ${number}`);
  }
  const eve = await user(3);
  assert.is(await codeOf(eve.read('locate_file', { group_id, file_name: 'a file.bin' })), 'NOT_MEMBER');
  assert.is(await codeOf(eve.command('share_file', share)), 'NOT_MEMBER');
});

test('a session is worth nothing under another key', async () => {
  const ann = await user(1);
  const thief = await (await cluster.client(2)).register();
  thief.session = ann.session;
  assert.is(await codeOf(thief.read('list_groups', {})), 'NOT_LOGGED_IN');
  assert.is(await codeOf(thief.command('create_group', { group_id: 'stolen' })), 'NOT_LOGGED_IN');
});

test('watch_file tells who comes, who goes, and that the file is gone', async () => {
  const ann = await user(1, 18_011);
  const bob = await user(2, 18_012);
  const cat = await user(3, 18_013);
  const group_id = await group(ann, bob, cat);
  const bytes = manifest(100_000);
  await ann.command('share_file', { group_id, file_name: 'f', manifest: bytes });
  const { events, over } = watch(cat, 'watch_file', { group_id, file_name: 'f' });
  await until('the first event', () => events.length === 1);
  assert.is(events[0]!.reset, true);
  assert.equal(
    events[0]!.up.map((peer) => peer.user_id),
    [ann.name],
  );
  const manifest_hash = createHash('sha256').update(bytes).digest();
  await bob.command('begin_download', { group_id, file_name: 'f', manifest_hash });
  await until('bob in part', () => events.some(({ up }) => up.some((p) => p.user_id === bob.name && !p.complete)));
  await bob.command('record_share', { group_id, file_name: 'f', manifest_hash });
  await until('bob complete', () => events.some(({ up }) => up.some((p) => p.user_id === bob.name && p.complete)));
  await bob.command('logout', {});
  await until('bob gone', () => events.some(({ down }) => down.includes(bob.identity.fingerprint)));
  await bob.login(bob.name, 'secret', 18_099);
  await until('bob back at a new address', () => events.some(({ up }) => up.some((p) => p.address.port === 18_099)));
  await ann.command('remove_file', { group_id, file_name: 'f' });
  await until('removed', () => events.at(-1)!.removed);
  assert.is(await over, 'OK');
  const indexes = events.map(({ index }) => index);
  assert.equal(
    indexes,
    [...indexes].sort((a, b) => a - b),
  );
});

test('a member who is removed loses the stream, and everyone hears of the new epoch', async () => {
  const ann = await user(1);
  const bob = await user(2);
  const group_id = await group(ann, bob);
  await ann.command('share_file', { group_id, file_name: 'f', manifest: manifest(10) });
  const file = watch(bob, 'watch_file', { group_id, file_name: 'f' });
  const annNews = watch(ann, 'watch_session', {});
  const bobNews = watch(bob, 'watch_session', {});
  await until('first events', () => file.events.length > 0 && annNews.events.length > 0 && bobNews.events.length > 0);
  assert.is(annNews.events[0]!.reset, true);
  assert.is(annNews.events[0]!.trackers!.length, 3);
  const before = annNews.events[0]!.epochs.find((each) => each.group_id === group_id)!.epoch;
  await ann.command('remove_member', { group_id, user_id: bob.name });
  assert.is(await file.over, 'NOT_MEMBER');
  await until('bob knows', () => bobNews.events.some((e) => e.left_groups.includes(group_id)));
  await until('ann knows', () =>
    annNews.events.some((e) => e.revoked.some((r) => r.user_id === bob.name && r.group_id === group_id)),
  );
  const epoch = () => annNews.events.flatMap((e) => e.epochs).findLast((each) => each.group_id === group_id)!.epoch;
  await until('and the new epoch', () => epoch() > before);
  annNews.stop();
  bobNews.stop();
});

test('a revoked session hears that it has ended', async () => {
  const ann = await user(1);
  const second = await (await cluster.client(2)).register();
  await second.login(ann.name);
  const news = watch(second, 'watch_session', {});
  await until('the first event', () => news.events.length > 0);
  const { sessions } = await ann.read('list_sessions', {});
  assert.is(sessions.length, 2);
  await ann.command('revoke_session', { target: second.session });
  assert.is(await news.over, 'OK');
  assert.is(news.events.at(-1)!.session_ended, true);
  assert.is(await codeOf(second.read('list_groups', {})), 'NOT_LOGGED_IN');
});

test('the sixth wrong password costs time, and the answer does not tell whether the user exists', async () => {
  const ann = await user(1);
  const guesser = await (await cluster.client(2)).register();
  // Any tracker knows, because failures are logged.
  const other = await (await cluster.client(3)).register();
  for (const name of [ann.name, `nobody-${serial}`]) {
    for (let i = 0; i < 6; i++)
      assert.is(await codeOf(guesser.login(name, 'wrong')), 'BAD_CREDENTIALS', `${name} ${i}`);
    assert.is(await codeOf(other.login(name, 'secret')), 'TOO_MANY_ATTEMPTS');
  }
  await until('the wait is over', async () => (await codeOf(other.login(ann.name, 'secret'))) === 'OK');
});

test('a changed password counts at once, and the wrong old one changes nothing', async () => {
  const ann = await user(1);
  assert.is(
    await codeOf(ann.command('change_password', { old_password: 'wrong', new_password: 'x' })),
    'BAD_CREDENTIALS',
  );
  await ann.command('change_password', { old_password: 'secret', new_password: 'better' });
  const other = await (await cluster.client(2)).register();
  assert.is(await codeOf(other.login(ann.name, 'secret')), 'BAD_CREDENTIALS');
  assert.is(await codeOf(other.login(ann.name, 'better')), 'OK');
});

test('a daemon that sends no heartbeat goes offline, and resume brings it back', async () => {
  const ann = await user(1);
  const startedMs = performance.now();
  const bob = await user(2);
  const group_id = await group(ann, bob);
  const beat = (client: TestClient) =>
    client.call('heartbeat', { session: client.session, epoch: client.epoch, downloads: [] });
  const isOnline = async () => {
    await beat(ann);
    const { members } = await ann.read('list_members', { group_id });
    return members.find(({ user_id }) => user_id === bob.name)!.online;
  };
  assert.is(await isOnline(), true);
  await until('bob is offline', async () => !(await isOnline()), 40_000);
  assert.ok(performance.now() - startedMs > 14_000, 'not before its lease ended');
  assert.is((await beat(ann)).online, true, 'ann, who did, is online');
  // His own tracker may apply the end of the lease a moment later than hers.
  await until('bob is told', async () => !(await beat(bob)).online);
  const { epoch } = await bob.command('resume', { address: { host: '127.0.0.1', port: 18_500 } });
  bob.epoch = epoch;
  assert.is((await beat(bob)).online, true);
  assert.is(await isOnline(), true);
});

test('the progress of a download is known through every tracker', async () => {
  const ann = await user(1);
  const bob = await user(2);
  const group_id = await group(ann, bob);
  const bytes = manifest(1_000_000);
  await ann.command('share_file', { group_id, file_name: 'f', manifest: bytes });
  const manifest_hash = createHash('sha256').update(bytes).digest();
  await bob.command('begin_download', { group_id, file_name: 'f', manifest_hash });
  const downloads = [{ group_id, file_name: 'f', pieces: 7 }];
  await bob.call('heartbeat', { session: bob.session, epoch: bob.epoch, downloads });
  const through = await cluster.client(3, ann.identity);
  through.session = ann.session;
  await until('7 pieces', async () => {
    const { seeders } = await through.read('list_seeders', { group_id, file_name: 'f' });
    return seeders.some((row) => row.user_id === bob.name && row.pieces === 7 && !row.complete);
  });
});

test('wrong calls are refused without harm', async () => {
  const ann = await user(1);
  assert.is(await codeOf(ann.command('create_group', { group_id: '../etc' })), 'PROTOCOL');
  assert.is(
    await codeOf(ann.command('share_file', { group_id: 'g', file_name: 'f', manifest: Buffer.from('junk') })),
    'PROTOCOL',
  );
  assert.is(await codeOf(ann.read('list_groups', {})), 'OK');
});

test.run();
