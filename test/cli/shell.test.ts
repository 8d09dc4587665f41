// The shell: words, history without passwords, completion, and the prompt itself on a terminal and from a pipe.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Lists } from '../../cli/shell/candidates.ts';
import { withoutPassword } from '../../cli/shell/history.ts';
import { completeLine, withoutTrailingQ } from '../../cli/shell/prompt.ts';
import { splitWords } from '../../cli/shell/words.ts';
import { isMtError } from '../../codec/errors.ts';
import { until } from '../harness/until.ts';
import { ControlServer, hangs } from './control-server.ts';
import { mt, RunningMt } from './run-mt.ts';

const lists: Lists = {
  groups: async () => ['lab', 'labour', 'zoo'],
  members: async () => ['alice', 'bob'],
  requests: async () => ['carol'],
  files: async () => ['a b.txt', 'abc', "it's"],
  downloads: async () => [],
  shares: async () => [{ group_id: 'lab', file_name: 'mine', path: '/m', state: 'shared' }],
  sessions: async () => [],
};

const test = suite('mt shell');
const home = mkdtempSync(join(tmpdir(), 'mt-shell-'));
let server: ControlServer;

test.before(async () => {
  server = await ControlServer.start({
    whoami: () => ({ user_id: 'alice' }),
    list_groups: () => ({ groups: [{ group_id: 'laboratory', owner: 'a', members: 1, standing: 'none' }] }),
    list_members: hangs,
  });
});
test.before.each(() => {
  server.calls.length = 0;
});
test.after(async () => {
  await server.stop();
  rmSync(home, { recursive: true, force: true });
});

test('words as in a POSIX shell', () => {
  assert.equal(splitWords(`list_files  lab\t`), ['list_files', 'lab']);
  assert.equal(splitWords(`a 'b c' "d \\" e" f\\ g ''`), ['a', 'b c', 'd " e', 'f g', '']);
  assert.equal(splitWords(`x'y'"z"`), ['xyz']);
  assert.equal(splitWords('   '), []);
  assert.throws(() => splitWords(`a 'b`), isMtError);
});

test('a trailing q goes, unless it is an argument', async () => {
  assert.equal(await withoutTrailingQ(['list_groups', 'q']), ['list_groups']);
  assert.equal(await withoutTrailingQ(['create_group', 'q']), ['create_group', 'q']);
  assert.equal(await withoutTrailingQ(['create_group', 'lab', 'q']), ['create_group', 'lab']);
  assert.equal(await withoutTrailingQ(['login', 'alice', 'pw', 'q']), ['login', 'alice', 'pw']);
  assert.equal(await withoutTrailingQ(['limits', '--up', 'q']), ['limits', '--up', 'q']);
});

test('no password in the history', () => {
  assert.equal(withoutPassword(['login', 'alice', 'secret']), ['login', 'alice']);
  assert.equal(withoutPassword(['create_user', '--json', 'alice', 'secret']), ['create_user', 'alice']);
  assert.equal(withoutPassword(['create_group', 'lab']), ['create_group', 'lab']);
  assert.equal(withoutPassword(['help', 'login']), ['help', 'login']);
  for (const line of ['logni alice secret', 'mt login alice secret', 'Login alice secret']) {
    assert.equal(withoutPassword(line.split(' ')), [], line);
  }
});

test('Tab completes commands, groups, users and files', async () => {
  const complete = (line: string) => completeLine(line, lists);
  assert.equal(await complete('list_g'), [['list_groups '], 'list_g']);
  assert.equal(await complete('list_files la'), [['lab', 'labour'], 'la']);
  assert.equal(await complete('list_seeders lab a'), [["'a b.txt'", 'abc'], 'a']);
  assert.equal(await complete(`list_seeders lab 'a `), [["'a b.txt' "], `'a `]);
  assert.equal(await complete('list_seeders lab i'), [["'it'\\''s' "], 'i']);
  assert.equal(await complete('stop_share lab '), [['mine '], '']);
  assert.equal(await complete('accept_request lab '), [['carol '], '']);
  assert.equal(await complete('remove_member lab b'), [['bob '], 'b']);
  assert.equal(await complete('limits --d'), [['--down '], '--d']);
  assert.equal((await complete('list_groups x'))[0], []);
  writeFileSync(join(home, 'some file'), '');
  assert.equal(await complete(`upload_file ${home}/so`), [[`'${home}/some file' `], `${home}/so`]);
});

test('lines from a pipe: one after the other, the last one decides', async () => {
  const input = 'whoami q\n\nnonsense\n"open\nwhoami --json\nquit\nwhoami\n';
  const { exit, stdout, stderr } = await mt(['shell'], { socket: server.socketPath, input });
  assert.is(stdout, 'alice\n{"user_id":"alice"}\n');
  assert.match(stderr, /no command "nonsense"/);
  assert.match(stderr, /quote/);
  assert.is(exit, 0);
  assert.is((await mt(['shell'], { socket: server.socketPath, input: 'whoami\nlist_files .bad\n' })).exit, 2);
});

test('at a terminal: prompt, completion, hidden password, history, Ctrl-C, quit', async () => {
  const env = { XDG_STATE_HOME: home };
  const running = new RunningMt(['shell'], { socket: server.socketPath, terminal: true, env });
  await running.shows('mt> ');
  running.type('list_members lab\t');
  await running.shows('laboratory');
  running.type('\r');
  await until('the command runs', () => server.calls.some(({ method }) => method === 'list_members'));
  running.type('\x03');
  await running.shows('Interrupted.');
  running.type('login bob\r');
  await running.shows('Password of bob: ');
  running.type('hunter2\r');
  await running.shows('Logged in as bob');
  running.type('login carol hunter3 q\r');
  await running.shows('Logged in as carol');
  assert.equal(
    server.calls.filter(({ method }) => method === 'login').map(({ params }) => params.password),
    ['hunter2', 'hunter3'],
  );
  running.type('quit\r');
  const { exit, stdout } = await running.done;
  assert.is(exit, 0);
  assert.not.match(stdout, 'hunter2');
  const file = join(home, 'mini-torrent', 'shell_history');
  assert.is(statSync(file).mode & 0o777, 0o600);
  assert.is(readFileSync(file, 'utf8'), 'list_members laboratory\nlogin bob\nlogin carol\n');
});

test('SIGTERM ends the shell, at its prompt and in a command, and gives the terminal back', async () => {
  for (const line of ['', 'list_members laboratory\r']) {
    const running = new RunningMt(['shell', '--quiet'], { socket: server.socketPath, terminal: true });
    await running.shows('mt> ');
    running.type(line);
    if (line) await until('the command runs', () => server.calls.some(({ method }) => method === 'list_members'));
    process.kill(running.pidAtTerminal, 'SIGTERM');
    assert.is((await running.done).exit, 143);
  }
});

test('the end of input leaves', async () => {
  const running = new RunningMt(['shell', '--quiet'], { socket: server.socketPath, terminal: true });
  await running.shows('mt> ');
  running.type('\x04');
  assert.is((await running.done).exit, 0);
});

test.run();
