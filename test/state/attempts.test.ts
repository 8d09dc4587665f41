import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FAILURE_ENTRIES_MAX, FAILURES_FORGOTTEN_MS, LOGIN_WAIT_MAX_MS } from '../../cluster/state/limits.ts';
import { loginWaitMs } from '../../cluster/state/lookups.ts';
import { ok, REMOTE, refused, World } from './world.ts';

const test = suite('cluster/state attempts');

function fail(world: World, user_id: string, remote = REMOTE) {
  return world.run('guesser', 'login_failed', { user_id, remote });
}
const waitOf = (world: World, user: string, remote = REMOTE) => loginWaitMs(world.state, user, remote, world.at);

test('the first five failures cost nothing, then the wait doubles up to its limit', () => {
  const world = new World().people('alice');
  for (let i = 0; i < 5; i++) {
    refused(fail(world, 'alice', `10.0.0.${i}`), 'BAD_CREDENTIALS');
    assert.is(waitOf(world, 'alice'), 0);
  }
  const waits: number[] = [];
  for (let i = 0; i < 11; i++) {
    refused(fail(world, 'alice', `10.0.1.${i}`), 'BAD_CREDENTIALS');
    waits.push(waitOf(world, 'alice'));
    world.at += waits.at(-1)!;
  }
  assert.equal(waits.slice(0, 4), [1000, 2000, 4000, 8000]);
  assert.is(Math.max(...waits), LOGIN_WAIT_MAX_MS);
});

test('during a wait neither the right nor a wrong password is tried, and the message says how long', () => {
  const world = new World().people('alice');
  for (let i = 0; i < 7; i++) {
    fail(world, 'alice');
    if (i < 6) world.at += waitOf(world, 'alice');
  }
  const { reply } = refused(world.login('alice', 'd'), 'TOO_MANY_ATTEMPTS');
  assert.ok(!reply.ok && /wait 2 seconds/.test(reply.error.message));
  const before = waitOf(world, 'alice');
  refused(fail(world, 'alice'), 'TOO_MANY_ATTEMPTS');
  assert.is(waitOf(world, 'alice'), before, 'it does not count');
  world.at += before;
  ok(world.login('alice', 'd'));
  assert.is(world.state.failures.user.size, 0, 'a success forgives the account');
});

test('an unknown user is treated like a known one', () => {
  const known = new World().people('alice');
  const unknown = new World().people('alice');
  for (let i = 0; i < 9; i++) {
    const a = fail(known, 'alice');
    const b = fail(unknown, 'ghost');
    assert.equal(a.reply, b.reply);
    assert.is(waitOf(known, 'alice'), waitOf(unknown, 'ghost'));
    known.at += 1500;
    unknown.at += 1500;
  }
});

test('an address that guesses at many accounts waits, others do not', () => {
  const world = new World().people('alice');
  for (let i = 0; i < 21; i++) refused(fail(world, `user${i}`), 'BAD_CREDENTIALS');
  assert.ok(waitOf(world, 'alice') > 0);
  assert.is(waitOf(world, 'alice', '10.9.9.9'), 0);
  refused(world.login('alice', 'd'), 'TOO_MANY_ATTEMPTS');
  world.at += 1000;
  ok(world.login('alice', 'd'));
  assert.is(world.state.failures.address.get(REMOTE)?.count, 21, 'a success elsewhere does not forgive the address');
});

test('failures are forgotten after a quiet hour, and their number is bounded', () => {
  const world = new World().people('alice');
  for (let i = 0; i < 6; i++) fail(world, 'alice');
  world.at += FAILURES_FORGOTTEN_MS + 1;
  assert.is(waitOf(world, 'alice'), 0);
  refused(fail(world, 'alice'), 'BAD_CREDENTIALS');
  assert.is(world.state.failures.user.get('alice')?.count, 1);
  for (let i = 0; i < FAILURE_ENTRIES_MAX + 50; i++) fail(world, `ghost${i}`, `a${i}`);
  assert.is(world.state.failures.user.size, FAILURE_ENTRIES_MAX);
  assert.is(world.state.failures.address.size, FAILURE_ENTRIES_MAX);
  assert.not(world.state.failures.user.has('alice'), 'the longest quiet one makes room');
});

test.run();
