import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLIENT_IDLE_MS, CLIENTS_MAX, REPLIES_MAX, REPLIES_PER_CLIENT_MAX } from '../../cluster/state/limits.ts';
import { fingerprintOf, hashHex, ok, passwordOf, refused, restoreFrom, snapshotOf, tokenOf, World } from './world.ts';

const test = suite('cluster/state clients');

/** One request of alice's client with a sequence of the test's choice. */
function request(world: World, group_id: string, seq: number, acked: number, daemon = 'alice') {
  return world.commit(world.command(daemon, 'create_group', { group_id }, seq, acked));
}

test('a repeated request gets its first reply and changes nothing (scenario 33)', () => {
  const world = new World().people('alice');
  const first = ok(request(world, 'g', 10, 5));
  const again = request(world, 'g', 10, 5);
  assert.equal(again.reply, first.reply);
  assert.is(again.repeated, true);
  assert.equal(again.events, []);
  assert.is(world.state.groups.size, 1);
  // An error is a reply too: it stays, although the command would succeed now.
  refused(request(world, 'g', 11, 5), 'GROUP_EXISTS');
  ok(request(world, 'other', 12, 5));
  ok(world.commit(world.command('alice', 'leave_group', { group_id: 'g' }, 13, 5)));
  refused(request(world, 'g', 11, 5), 'GROUP_EXISTS');
});

test('so it does after a snapshot', () => {
  const world = new World().people('alice');
  const first = ok(request(world, 'g', 10, 5));
  world.state = restoreFrom(snapshotOf(world.state));
  const again = request(world, 'g', 10, 5);
  assert.is(again.repeated, true);
  assert.equal(again.reply, first.reply);
});

test('an unknown client is never executed (scenario 34), nor one of another daemon', () => {
  const world = new World().people('alice', 'mallory');
  const before = hashHex(world.state);
  const lost = { ...world.command('alice', 'create_group', { group_id: 'g' }, 10, 5), clientId: tokenOf('lost') };
  refused(world.commit(lost), 'CLIENT_EXPIRED');
  refused(world.commit({ ...lost, clientId: tokenOf('client mallory') }), 'CLIENT_EXPIRED');
  assert.is(world.state.groups.size, 0);
  assert.is.not(hashHex(world.state), before, 'the index moved');
});

test('what was acknowledged is forgotten and refused', () => {
  const world = new World().people('alice');
  for (let seq = 10; seq < 20; seq++) ok(request(world, `g${seq}`, seq, 10));
  const kept = () => world.state.clients.get(tokenOf('client alice'))!.replies.size;
  assert.is(kept(), 10);
  ok(request(world, 'g20', 20, 19));
  assert.is(kept(), 2);
  refused(request(world, 'again', 15, 15), 'PROTOCOL');
  refused(request(world, 'again', 15, 3), 'PROTOCOL');
  assert.not(world.state.groups.has('again'));
  ok(request(world, 'far', 2 ** 52, 2 ** 52));
  assert.is(kept(), 1);
});

test('the window of one client is bounded: what does not fit is refused and may be retried', () => {
  const world = new World().people('alice');
  const start = 100;
  for (let i = 0; i < REPLIES_PER_CLIENT_MAX; i++) ok(request(world, `g${i}`, start + i, start));
  const next = start + REPLIES_PER_CLIENT_MAX;
  refused(request(world, 'late', next, start), 'OVERLOADED');
  assert.not(world.state.groups.has('late'));
  ok(request(world, 'late', next, start + 1));
});

test('a client is forgotten after a quiet week of logged time', () => {
  const world = new World().people('alice', 'bob');
  world.at += CLIENT_IDLE_MS;
  ok(request(world, 'g', 10, 5));
  world.at += 1;
  ok(request(world, 'h', 11, 5));
  assert.not(world.state.clients.has(tokenOf('client bob')));
  refused(request(world, 'x', 10, 5, 'bob'), 'CLIENT_EXPIRED');
  world.registerClient('bob');
  ok(request(world, 'x', 1, 1, 'bob'));
});

test('registering twice is once; another daemon cannot take a client over', () => {
  const world = new World().people('alice');
  ok(request(world, 'g', 10, 5));
  const size = world.state.clients.size;
  const register = (daemon: string) => ({
    type: 'register_client' as const,
    clientId: null,
    seq: 0,
    acked: 0,
    actor: { fingerprint: fingerprintOf(daemon), session: null },
    at: world.at,
    payload: { client_id: tokenOf('client alice') },
  });
  assert.equal(ok(world.commit(register('alice'))).reply, { ok: true, result: { client_id: tokenOf('client alice') } });
  assert.is(world.state.clients.size, size);
  assert.is(request(world, 'g', 10, 5).repeated, true);
  refused(world.commit(register('mallory')), 'PROTOCOL');
});

/** One more exactly-once client of a daemon. */
function another(world: World, daemon: string, name: string): string {
  const client_id = tokenOf(name);
  const actor = { fingerprint: fingerprintOf(daemon), session: null };
  world.commitUnlogged({
    type: 'register_client',
    clientId: null,
    seq: 0,
    acked: 0,
    actor,
    at: world.at,
    payload: { client_id },
  });
  return client_id;
}

test('clients in all are bounded: who is not logged in makes room first, the least recently used of them', () => {
  const world = new World().people('alice');
  world.registerClient('old stranger');
  for (let i = 0; i < CLIENTS_MAX * 1.5; i++) another(world, `d${i}`, `c${i}`);
  assert.ok(world.state.clients.size <= CLIENTS_MAX);
  assert.not(world.state.clients.has(tokenOf('client old stranger')));
  assert.ok(world.state.clients.has(tokenOf('client alice')), 'the user that was silent for longest is still there');
  assert.ok(world.state.clients.has(tokenOf(`c${CLIENTS_MAX * 1.5 - 1}`)));
  ok(request(world, 'g', 10, 10));
});

test('a user who makes clients without end evicts nobody’s but its own, however many daemons it has', () => {
  const world = new World().people('alice', 'mallory');
  ok(world.login('mallory', 'mallory-2'));
  for (let i = 0; i < CLIENTS_MAX * 2; i++) another(world, i % 2 === 0 ? 'mallory' : 'mallory-2', `m${i}`);
  assert.ok(world.state.clients.size <= CLIENTS_MAX);
  ok(request(world, 'g', 10, 10));
  assert.ok(world.state.clients.size > CLIENTS_MAX * 0.9, 'no more than needed is given up');
  assert.is(hashHex(restoreFrom(snapshotOf(world.state))), hashHex(world.state));
});

test('replies in all are bounded, and whoever keeps them loses them', () => {
  const world = new World().people('alice', 'mallory');
  ok(request(world, 'kept', 10, 5));
  const actor = world.command('mallory', 'create_group', { group_id: 'kept' }, 1, 1).actor;
  const clients = Math.ceil(REPLIES_MAX / REPLIES_PER_CLIENT_MAX) + 1;
  for (let c = 0; c < clients; c++) {
    const clientId = another(world, 'mallory', `m${c}`);
    const command = { ...world.command('mallory', 'create_group', { group_id: 'kept' }, 1, 1), actor, clientId };
    for (let seq = 1; seq <= REPLIES_PER_CLIENT_MAX; seq++) world.commitUnlogged({ ...command, seq });
  }
  assert.ok(world.state.replyCount <= REPLIES_MAX);
  assert.not(world.state.clients.has(tokenOf('m0')));
  assert.ok(world.state.clients.has(tokenOf(`m${clients - 1}`)));
  assert.is(request(world, 'kept', 10, 5).repeated, true, 'the reply to another user is still there');
});

test('replies of strangers make room before any user’s', () => {
  const world = new World().people('alice');
  ok(request(world, 'kept', 10, 5));
  const daemons = Math.ceil(REPLIES_MAX / REPLIES_PER_CLIENT_MAX) + 1;
  const password = passwordOf('x');
  for (let d = 0; d < daemons; d++) {
    world.registerClient(`d${d}`);
    const command = world.command(`d${d}`, 'create_user', { user_id: 'u', password }, 1, 1);
    for (let seq = 1; seq <= REPLIES_PER_CLIENT_MAX; seq++) world.commitUnlogged({ ...command, seq });
  }
  assert.ok(world.state.replyCount <= REPLIES_MAX);
  assert.not(world.state.clients.has(tokenOf('client d0')));
  assert.ok(world.state.clients.has(tokenOf(`client d${daemons - 1}`)));
  assert.is(request(world, 'kept', 10, 5).repeated, true);
});

test('time never goes backwards', () => {
  const world = new World().people('alice');
  const late = ok(request(world, 'a', 10, 5)).at;
  world.at -= 60_000;
  assert.is(ok(request(world, 'b', 11, 5)).at, late);
});

test.run();
