// Where passwords come from, and that none is ever shown: not on the terminal, not in the process list, not in an error.
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../harness/until.ts';
import { ControlServer, hangs } from './control-server.ts';
import { mt, RunningMt } from './run-mt.ts';

const SECRET = 'correct horse battery';
const test = suite('mt passwords');
let server: ControlServer;

test.before(async () => {
  server = await ControlServer.start({ login: ({ user_id }) => (user_id === 'slow' ? hangs() : {}) });
});
test.before.each(() => {
  server.calls.length = 0;
});
test.after(() => server.stop());

test('one given as an argument is overwritten in the process title', async () => {
  const running = new RunningMt(['login', 'slow', SECRET], { socket: server.socketPath });
  await until('the call arrived', () => server.calls.length === 1);
  const title = readFileSync(`/proc/${running.child.pid}/cmdline`, 'utf8');
  assert.match(title, 'mt login');
  assert.not.match(title, 'horse');
  assert.not.match(title, 'battery');
  assert.is(server.onlyCall.params.password, SECRET);
  running.child.kill('SIGINT');
  const { stdout, stderr } = await running.done;
  assert.not.match(stdout + stderr, 'horse');
});

test('--password-stdin drops one newline and no more', async () => {
  for (const [input, password] of [
    ['pw', 'pw'],
    ['pw\n', 'pw'],
    ['pw\r\n', 'pw'],
    ['pw\n\n', 'pw\n'],
    [' pw ', ' pw '],
    ['pä\u0308sswörd\n', 'pä\u0308sswörd'],
  ]) {
    server.calls.length = 0;
    const { exit } = await mt(['login', 'alice', '--password-stdin'], { socket: server.socketPath, input: input! });
    assert.is(exit, 0);
    assert.is(server.onlyCall.params.password, password);
  }
});

test('none, empty or too long', async () => {
  const cases: [string[], string, string, number][] = [
    [['login', 'alice'], '', 'USAGE', 2],
    [['create_user', 'alice', '--no-input'], '', 'USAGE', 2],
    [['login', 'alice', 'pw', '--password-stdin'], 'pw', 'USAGE', 2],
    [['change_password'], '', 'USAGE', 2],
    [['change_password', '--password-stdin'], 'only one', 'USAGE', 2],
    [['login', 'alice', '--password-stdin'], '', 'INVALID_ARGUMENT', 2],
    [['login', 'alice', ''], '', 'INVALID_ARGUMENT', 2],
    [['login', 'alice', '--password-stdin'], 'x'.repeat(1_025), 'INVALID_ARGUMENT', 2],
    [['login', 'alice', '--password-stdin'], 'x'.repeat(1_000_000), 'INVALID_ARGUMENT', 2],
  ];
  for (const [words, input, code, exit] of cases) {
    const result = await mt([...words, '--json'], { socket: server.socketPath, input });
    assert.equal([JSON.parse(result.stdout).error.code, result.exit], [code, exit], words.join(' '));
  }
  assert.is(server.calls.length, 0);
});

test('asked at a terminal: nothing is echoed', async () => {
  const running = new RunningMt(['login', 'alice'], { socket: server.socketPath, terminal: true });
  await running.shows('Password of alice: ');
  running.type(`${SECRET}\r`);
  const { exit, stdout } = await running.done;
  assert.is(exit, 0);
  assert.not.match(stdout, 'horse');
  assert.match(stdout, 'Logged in as alice');
  assert.is(server.onlyCall.params.password, SECRET);
});

test('a new one is asked twice, and must be the same', async () => {
  for (const second of [SECRET, 'another']) {
    server.calls.length = 0;
    const running = new RunningMt(['create_user', 'bob'], { socket: server.socketPath, terminal: true });
    await running.shows('Password for the new user bob: ');
    running.type(`${SECRET}\r`);
    await running.shows('The same again: ');
    running.type(`${second}\r`);
    const { exit, stdout } = await running.done;
    assert.is(exit, second === SECRET ? 0 : 2);
    assert.is(server.calls.length, second === SECRET ? 1 : 0);
    assert.not.match(stdout, 'horse');
  }
});

test('Ctrl-C at the question', async () => {
  const running = new RunningMt(['login', 'alice'], { socket: server.socketPath, terminal: true });
  await running.shows('Password of alice: ');
  running.type('abc\x03');
  assert.is((await running.done).exit, 130);
  assert.is(server.calls.length, 0);
});

test.run();
