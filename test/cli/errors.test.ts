// What goes wrong: exit numbers, the two forms of an error, suggestions, a daemon that is not there, silent, or of another version.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, EXIT_OF } from '../../codec/errors.ts';
import { until } from '../harness/until.ts';
import { ControlServer, hangs, refuses } from './control-server.ts';
import { MT, mt, RunningMt } from './run-mt.ts';

const test = suite('mt errors');
const folder = mkdtempSync(join(tmpdir(), 'mt-errors-'));
const nowhere = join(folder, 'none.sock');
test.after(() => rmSync(folder, { recursive: true, force: true }));

async function withServer(
  handlers: Parameters<typeof ControlServer.start>[0],
  body: (server: ControlServer) => Promise<void>,
  version?: string,
): Promise<void> {
  const server = await ControlServer.start(handlers, version);
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

/** Runs in both forms and returns the JSON error; checks that each form is on its own stream. */
async function errorOf(words: string[], socket: string, env: NodeJS.ProcessEnv = {}) {
  const [human, machine] = await Promise.all([mt(words, { socket, env }), mt([...words, '--json'], { socket, env })]);
  assert.is(human.stdout, '');
  assert.is.not(human.stderr, '');
  assert.is(machine.stderr, '');
  assert.is(machine.exit, human.exit);
  const { error } = JSON.parse(machine.stdout) as { error: { code: ErrorCode; message: string; suggestion?: string } };
  assert.is(machine.exit, EXIT_OF[error.code]);
  return { ...error, exit: human.exit, stderr: human.stderr };
}

test('each code of the daemon ends with its own exit number', async () => {
  for (const code of [
    'NOT_LOGGED_IN',
    'NOT_OWNER',
    'NO_SUCH_GROUP',
    'NO_QUORUM',
    'DISK_FULL',
    'FILE_EXISTS',
  ] as const) {
    await withServer({ create_group: refuses(code, 'It did not work', 'Do that') }, async (server) => {
      const error = await errorOf(['create_group', 'lab'], server.socketPath);
      assert.equal([error.code, error.message, error.suggestion], [code, 'It did not work', 'Do that']);
      assert.is(error.stderr, 'It did not work.\nDo that\n');
    });
  }
});

test('a line that oclif cannot parse is USAGE in both forms', async () => {
  const lines: [string[], RegExp][] = [
    [['list_files'], /needs <group_id>/],
    [['list_files', 'a', 'b'], /does not take "b"/],
    [['list_files', 'lab', '--jsn'], /no flag "--jsn"/],
    [['limits', '--up'], /expects a value/],
    [['list_groups', '--timeout', 'soon'], /seconds/],
    [['list_groups', '--timeout', '0'], /seconds/],
  ];
  for (const [words, message] of lines) {
    const error = await errorOf(words, nowhere);
    assert.equal([error.code, error.exit], ['USAGE', 2]);
    assert.match(error.message, message);
  }
});

test('an unknown command is USAGE with the nearest one', async () => {
  const near = await errorOf(['lst_groups'], nowhere);
  assert.equal([near.code, near.suggestion], ['USAGE', 'Did you mean: mt list_groups']);
  assert.match((await errorOf(['list-files', 'lab'], nowhere)).suggestion!, /list_files/);
  assert.match((await errorOf(['xyzzy'], nowhere)).suggestion!, /mt help/);
  const hostile = await mt(['\x1b[31mred\x07'], { socket: nowhere });
  assert.is(hostile.stderr.includes('\x1b'), false);
});

test('bad names and sizes are refused before the daemon is asked', async () => {
  await withServer({}, async (server) => {
    for (const words of [
      ['create_group', '.lab'],
      ['join_group', 'a b'],
      ['login', 'al/ice', 'pw'],
      ['list_seeders', 'lab', 'a/b'],
      ['pause_download', 'lab', '..'],
      ['download_file', 'lab', 'f', '.', '--peer', '-'],
      ['accept_request', 'lab', 'x'.repeat(65)],
    ]) {
      const error = await errorOf(words, server.socketPath);
      assert.equal([error.code, error.exit], ['INVALID_NAME', 2], words.join(' '));
    }
    assert.is((await errorOf(['limits', '--up', '20X'], server.socketPath)).code, 'INVALID_ARGUMENT');
    assert.is((await errorOf(['revoke_session', 'abc'], server.socketPath)).code, 'INVALID_ARGUMENT');
    assert.is(server.calls.length, 0);
  });
});

test('a name in another normal form is sent as NFC', async () => {
  await withServer({}, async (server) => {
    await mt(['stop_share', 'lab', 'cafe\u0301.txt'], { socket: server.socketPath });
    assert.is(server.onlyCall.params.file_name, 'caf\u00e9.txt');
  });
});

test('no daemon: the socket and how to start one', async () => {
  const error = await errorOf(['list_groups'], nowhere);
  assert.equal([error.code, error.exit], ['DAEMON_UNREACHABLE', 3]);
  assert.match(error.message, nowhere);
  assert.match(error.suggestion!, /mt-peerd <ip>:<port> <tracker_info_file>/);
  const long = await errorOf(['list_groups', '--socket', `/tmp/${'x'.repeat(120)}`], nowhere);
  assert.equal([long.code, long.exit], ['USAGE', 2]);
});

test('the socket is looked up in the order of the contract', async () => {
  const messageWith = async (words: string[], env: NodeJS.ProcessEnv) =>
    (await mt(['whoami', ...words], { env: { MT_SOCKET: '', XDG_RUNTIME_DIR: '', ...env } })).stderr;
  const all = { MT_SOCKET: '/n/env', XDG_RUNTIME_DIR: '/n/run', XDG_STATE_HOME: '/n/state' };
  assert.match(await messageWith(['--socket', '/n/flag'], all), 'at /n/flag:');
  assert.match(await messageWith([], all), 'at /n/env:');
  assert.match(await messageWith([], { ...all, MT_SOCKET: '' }), 'at /n/run/mini-torrent/peerd.sock:');
  assert.match(await messageWith([], { XDG_STATE_HOME: '/n/state' }), 'at /n/state/mini-torrent/peer/peerd.sock:');
  assert.match(
    await messageWith([], { XDG_STATE_HOME: '', HOME: '/n/home' }),
    'at /n/home/.local/state/mini-torrent/peer/peerd.sock:',
  );
});

test('a silent daemon: a read times out, a change has an unknown outcome', async () => {
  await withServer({ list_groups: hangs, create_group: hangs }, async (server) => {
    const [read, change] = await Promise.all([
      errorOf(['list_groups', '--timeout', '0.1'], server.socketPath),
      errorOf(['create_group', 'lab', '--timeout', '0.1'], server.socketPath),
    ]);
    assert.equal([read.code, read.exit], ['TIMEOUT', 7]);
    assert.equal([change.code, change.exit], ['OUTCOME_UNKNOWN', 7]);
    assert.match(change.message, 'may or may not');
  });
});

test('a daemon that goes away midway', async () => {
  await withServer({ list_groups: hangs, create_group: hangs }, async (server) => {
    const read = new RunningMt(['list_groups', '--json'], { socket: server.socketPath });
    const change = new RunningMt(['create_group', 'lab', '--json'], { socket: server.socketPath });
    await until('both calls arrived', () => server.calls.length === 2);
    server.hangUp();
    assert.is(JSON.parse((await read.done).stdout).error.code, 'DAEMON_UNREACHABLE');
    assert.is(JSON.parse((await change.done).stdout).error.code, 'OUTCOME_UNKNOWN');
  });
});

test('something else listens on the socket', async () => {
  const path = join(folder, 'other.sock');
  const other = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((resolve) => other.listen(path, resolve));
  try {
    const error = await errorOf(['list_groups'], path);
    assert.equal([error.code, error.exit], ['DAEMON_VERSION', 3]);
  } finally {
    other.close();
  }
});

test('another version of the daemon: status says so, the rest works', async () => {
  await withServer(
    { whoami: () => ({ user_id: 'alice' }), list_groups: () => ({ groupz: [] }) as never },
    async (server) => {
      assert.is((await mt(['whoami'], { socket: server.socketPath })).stdout, 'alice\n');
      const error = await errorOf(['list_groups'], server.socketPath);
      assert.equal([error.code, error.exit], ['DAEMON_VERSION', 3]);
      assert.match(error.message, '99.0.0');
    },
    '99.0.0',
  );
});

test('what peers named cannot write on the terminal', async () => {
  await withServer(
    {
      create_group: refuses('FORBIDDEN', 'evil \x1b]0;title\x07 name \u202egpj.exe'),
      list_files: () => ({
        files: [{ file_name: 'x\u202egpj.exe', size: 1, sha1: '\x1b[2J', piece_count: 1, seeders: 0 }],
      }),
    },
    async (server) => {
      const { stderr } = await errorOf(['create_group', 'lab'], server.socketPath);
      const { stdout } = await mt(['list_files', 'lab'], { socket: server.socketPath });
      for (const shown of [stderr, stdout]) {
        for (const mark of ['\x1b', '\x07', '\u202e']) assert.is(shown.includes(mark), false, JSON.stringify(shown));
      }
    },
  );
});

test('a reader that leaves early is no error', async () => {
  const files = Array.from({ length: 20_000 }, (_, index) => ({
    file_name: `file ${index}`,
    size: 1,
    sha1: 'a'.repeat(40),
    piece_count: 1,
    seeders: 0,
  }));
  await withServer({ list_files: () => ({ files }) }, async (server) => {
    const shell = spawn('bash', ['-c', `"$0" "$1" list_files lab | head -1`, process.execPath, MT], {
      env: { ...process.env, MT_SOCKET: server.socketPath },
    });
    const [stdout, stderr] = await Promise.all([text(shell.stdout), text(shell.stderr)]);
    assert.is(stderr, '');
    assert.is(stdout.split('\n').length, 2);
  });
});

test('Ctrl-C: 130; a download goes on and says so', async () => {
  await withServer({ list_groups: hangs, download_file: hangs }, async (server) => {
    const plain = new RunningMt(['list_groups'], { socket: server.socketPath });
    const download = new RunningMt(['download_file', 'lab', 'a b', '.'], { socket: server.socketPath });
    const json = new RunningMt(['download_file', 'lab', 'f', '.', '--json'], { socket: server.socketPath });
    await until('all calls arrived', () => server.calls.length === 3);
    for (const { child } of [plain, download, json]) child.kill('SIGINT');
    assert.equal([(await plain.done).exit, plain.stdout, plain.stderr], [130, '', 'Interrupted.\n']);
    assert.is((await download.done).exit, 130);
    assert.match(download.stderr, /goes on in the daemon/);
    assert.match(download.stderr, /mt cancel_download lab 'a b'/);
    assert.is((await json.done).exit, 130);
    assert.is(JSON.parse(json.stdout).error.code, 'INTERRUPTED');
    await until('the daemon heard that nobody waits', () => server.cancelled === 3);
  });
});

test.run();
