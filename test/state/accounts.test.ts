import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { credentials, onlineSessions, sessionInfo } from '../../cluster/state/lookups.ts';
import { listMembers, listSessions, locateFile } from '../../cluster/state/queries.ts';
import { contentOf, fingerprintOf, ok, passwordOf, REMOTE, refused, tokenOf, told, World } from './world.ts';

const ALL = { after: null, limit: 1000 };
const test = suite('cluster/state accounts');

test('a user exists once', () => {
  const world = new World();
  assert.equal(told(ok(world.createUser('alice'))), ['user_created alice']);
  refused(world.run('other', 'create_user', { user_id: 'alice', password: passwordOf('x') }), 'USER_EXISTS');
  ok(world.run('other', 'create_user', { user_id: 'Alice', password: passwordOf('x') }));
});

test('credentials are given back as they were stored; null for an unknown user', () => {
  const world = new World();
  ok(world.createUser('alice'));
  assert.is(credentials(world.state, 'bob'), null);
  const { version, ...password } = credentials(world.state, 'alice')!;
  assert.equal({ ...password }, passwordOf('alice'));
  assert.is(version, world.index);
});

test('a login answers its session and an epoch, and puts the daemon online', () => {
  const world = new World();
  ok(world.createUser('alice'));
  const applied = ok(world.login('alice'));
  assert.equal(applied.reply, { ok: true, result: { session: world.session('alice'), epoch: world.index } });
  assert.equal(told(applied), ['logged_in alice', 'daemon_online alice']);
  assert.is(applied.by, 'alice');
  assert.equal([...onlineSessions(world.state)], [{ session: world.session('alice'), epoch: world.index }]);
});

test('an unknown user and an outdated password are the same error', () => {
  const world = new World().people('alice');
  const unknown = refused(world.login('nobody', 'd'), 'BAD_CREDENTIALS');
  const version = world.state.users.get('alice')!.password.version;
  ok(world.run('alice', 'change_password', { password_version: version, password: passwordOf('new') }));
  const payload = { user_id: 'alice', password_version: version, session: tokenOf('s'), remote: REMOTE };
  const address = { host: '127.0.0.1', port: 1 };
  const outdated = refused(world.run('d', 'login', { ...payload, address }), 'BAD_CREDENTIALS');
  assert.equal(outdated.reply, unknown.reply);
  ok(world.login('alice', 'd'));
});

test('a password changes only for whoever proved the current one; other sessions go on', () => {
  const world = new World().people('alice');
  ok(world.login('alice', 'second'));
  refused(world.run('alice', 'change_password', { password_version: 1, password: passwordOf('x') }), 'BAD_CREDENTIALS');
  const password_version = credentials(world.state, 'alice')!.version;
  assert.equal(told(ok(world.run('alice', 'change_password', { password_version, password: passwordOf('x') }))), [
    'password_changed alice',
  ]);
  assert.equal(credentials(world.state, 'alice')!.hash, passwordOf('x').hash);
  ok(world.run('second', 'create_group', { group_id: 'g' }));
});

test('a session works only from its own daemon', () => {
  const world = new World().people('alice', 'mallory');
  const stolen = { ...world.command('mallory', 'create_group', { group_id: 'g' }, 99, 1) };
  const actor = { fingerprint: fingerprintOf('mallory'), session: world.session('alice') };
  refused(world.commit({ ...stolen, actor }), 'NOT_LOGGED_IN');
  assert.is(sessionInfo(world.state, actor), null);
});

test('every command of a session needs one', () => {
  const of_group = { group_id: 'g' };
  const of_member = { group_id: 'g', user_id: 'alice' };
  const of_file = { group_id: 'g', file_name: 'f' };
  const of_content = { ...of_file, manifest_hash: contentOf('f').manifest_hash };
  const attempts: ((world: World) => ReturnType<World['run']>)[] = [
    (world) => world.run('d', 'resume', { address: { host: 'h', port: 1 } }),
    (world) => world.run('d', 'logout', {}),
    (world) => world.run('d', 'change_password', { password_version: 1, password: passwordOf('x') }),
    (world) => world.run('d', 'revoke_session', { target: tokenOf('x') }),
    (world) => world.run('d', 'create_group', of_group),
    (world) => world.run('d', 'join_group', of_group),
    (world) => world.run('d', 'leave_group', of_group),
    (world) => world.run('d', 'accept_request', of_member),
    (world) => world.run('d', 'reject_request', of_member),
    (world) => world.run('d', 'remove_member', of_member),
    (world) => world.run('d', 'transfer_ownership', of_member),
    (world) => world.share('d', 'g', 'f'),
    (world) => world.run('d', 'begin_download', of_content),
    (world) => world.run('d', 'record_share', of_content),
    (world) => world.run('d', 'stop_share', of_file),
    (world) => world.run('d', 'remove_file', of_file),
  ];
  for (const attempt of attempts) refused(attempt(new World()), 'NOT_LOGGED_IN');
});

test('resume: online again with a newer epoch; news only when something changed', () => {
  const world = new World().people('alice');
  const { epoch } = sessionInfo(world.state, world.actor('alice'))!;
  const same = ok(world.run('alice', 'resume', { address: { host: '127.0.0.1', port: 18_000 } }));
  assert.equal(same.reply, { ok: true, result: { user_id: 'alice', epoch: world.index } });
  assert.equal(told(same), []);
  assert.ok(world.index > epoch);
  assert.equal(told(ok(world.run('alice', 'resume', { address: { host: '127.0.0.1', port: 18_001 } }))), [
    'daemon_online alice',
  ]);
});

test('an expiry of an older epoch changes nothing', () => {
  const world = new World().people('alice');
  const session = world.session('alice');
  const { epoch } = sessionInfo(world.state, world.actor('alice'))!;
  ok(world.run('alice', 'resume', { address: { host: '127.0.0.1', port: 18_000 } }));
  assert.equal(told(ok(world.runCluster('expire', { sessions: [{ session, epoch }] }))), []);
  assert.is(sessionInfo(world.state, world.actor('alice'))!.online, true);

  const current = sessionInfo(world.state, world.actor('alice'))!.epoch;
  const sessions = [{ session, epoch: current }];
  assert.equal(told(ok(world.runCluster('expire', { sessions }))), ['daemon_offline alice expired']);
  assert.equal(told(ok(world.runCluster('expire', { sessions }))), [], 'twice is once');
  assert.equal([...onlineSessions(world.state)], []);
  assert.equal(told(ok(world.run('alice', 'resume', { address: { host: '127.0.0.1', port: 18_000 } }))), [
    'daemon_online alice',
  ]);
});

test('logout ends the session; the shares wait for the next login from that daemon', () => {
  const world = new World().people('alice', 'bob').group('g', 'alice', 'bob');
  ok(world.share('alice', 'g', 'f'));
  const peers = () => locateFile(world.state, world.actor('bob'), { group_id: 'g', file_name: 'f' }).peers;
  assert.is(peers().length, 1);
  assert.equal(told(ok(world.run('alice', 'logout', {}))), [
    'daemon_offline alice logout',
    'session_ended alice logout',
  ]);
  refused(world.run('alice', 'create_group', { group_id: 'x' }), 'NOT_LOGGED_IN');
  assert.is(peers().length, 0);
  ok(world.login('alice', 'elsewhere'));
  assert.is(peers().length, 0, 'another daemon does not have the file');
  ok(world.login('alice', 'alice', 19_000));
  assert.equal(peers(), [
    {
      user_id: 'alice',
      fingerprint: fingerprintOf('alice'),
      address: { host: '127.0.0.1', port: 19_000 },
      complete: true,
    },
  ]);
});

test('a login on a daemon that has a session replaces it', () => {
  const world = new World().people('alice', 'bob');
  const old = world.actor('alice');
  assert.equal(told(ok(world.login('alice', 'alice'))), [
    'session_ended alice renewed',
    'logged_in alice',
    'daemon_online alice',
  ]);
  assert.is(sessionInfo(world.state, old), null);
  assert.equal(told(ok(world.login('bob', 'alice'))), [
    'daemon_offline alice replaced',
    'session_ended alice replaced',
    'logged_in bob',
    'daemon_online bob',
  ]);
  assert.is(listSessions(world.state, world.actor('bob'), ALL).sessions.length, 2);
});

test('sessions of a user can be listed and revoked, those of others not', () => {
  const world = new World().people('alice', 'bob');
  ok(world.login('alice', 'laptop', 18_005));
  const { sessions, next } = listSessions(world.state, world.actor('alice'), ALL);
  assert.is(next, null);
  assert.equal(sessions.map(({ session }) => session).sort(), [world.session('alice'), world.session('laptop')].sort());
  refused(world.run('bob', 'revoke_session', { target: world.session('laptop') }), 'INVALID_ARGUMENT');
  assert.equal(told(ok(world.run('alice', 'revoke_session', { target: world.session('laptop') }))), [
    'daemon_offline alice revoked',
    'session_ended alice revoked',
  ]);
  refused(world.run('laptop', 'create_group', { group_id: 'g' }), 'NOT_LOGGED_IN');
});

test('at the limit of sessions the longest-offline one makes room, and none that is online', () => {
  const world = new World().people('alice');
  for (let i = 1; i < 256; i++) ok(world.login('alice', `d${i}`));
  refused(world.login('alice', 'one more'), 'FORBIDDEN');
  const sessions = ['d7', 'd3'].map((daemon) => {
    const { epoch } = sessionInfo(world.state, world.actor(daemon))!;
    return { session: world.session(daemon), epoch };
  });
  ok(world.runCluster('expire', { sessions }));
  assert.equal(told(ok(world.login('alice', 'one more'))).slice(0, 1), ['session_ended alice revoked']);
  assert.is(sessionInfo(world.state, world.actor('d3')), null);
  assert.is(sessionInfo(world.state, world.actor('d7'))!.online, false);
});

test('a member is online while any of its daemons is', () => {
  const world = new World().people('alice').group('g', 'alice');
  ok(world.login('alice', 'laptop'));
  const online = () => listMembers(world.state, world.actor('alice'), { group_id: 'g', ...ALL }).members[0]!.online;
  ok(world.run('laptop', 'logout', {}));
  assert.is(online(), true);
  const { epoch } = sessionInfo(world.state, world.actor('alice'))!;
  ok(world.runCluster('expire', { sessions: [{ session: world.session('alice'), epoch }] }));
  assert.is(online(), false);
});

test.run();
