// What moves on a terminal, and that nothing moves off one, with NO_COLOR, or with --json.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DownloadRow } from '../../codec/control-api.ts';
import { until } from '../harness/until.ts';
import { ControlServer } from './control-server.ts';
import { mt, RunningMt } from './run-mt.ts';

const MB = 1024 * 1024;
const SHA1 = 'a'.repeat(40);
const WORDS = ['download_file', 'lab', 'f', '.'];
const row: DownloadRow = {
  group_id: 'lab',
  file_name: 'f',
  state: 'downloading',
  bytes_done: 25 * MB,
  size: 100 * MB,
  rate: 5 * MB,
  peers: 3,
  destination: '/tmp/f',
  reason: null,
  reason_code: null,
};
const stalled: DownloadRow = { ...row, rate: 0, peers: 0, reason: 'no seeder online', reason_code: 'NO_SEEDERS' };
const result = { group_id: 'lab', file_name: 'f', destination: '/tmp/f', size: 100 * MB, sha1: SHA1 };

const test = suite('mt on a terminal');
let server: ControlServer;
let finish = () => {};

test.before.each(async () => {
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let polls = 0;
  server = await ControlServer.start({
    download_file: async (_params, { emit }) => {
      emit(row);
      emit(stalled);
      await finished;
      return { ...result, state: 'complete', warning: 'the share follows' };
    },
    show_downloads: () => ({ downloads: [polls++ < 2 ? row : stalled] }),
    list_groups: () => ({ groups: [{ group_id: 'lab', owner: 'a', members: 1, standing: 'none' }] }),
  });
});
test.after.each(() => server.stop());

test('a bar with per cent, rate, time left, peers, and the reason of a stall', async () => {
  const running = new RunningMt(WORDS, { socket: server.socketPath, terminal: true });
  await running.shows('no seeder online');
  finish();
  const { exit, stdout } = await running.done;
  assert.is(exit, 0);
  for (const part of ['25%', '25.0 MB of 100.0 MB', '█', '0 peers', 'Warning: the share follows', 'Fetched /tmp/f']) {
    assert.ok(stdout.includes(part), `${part} in ${JSON.stringify(stdout)}`);
  }
  assert.ok(stdout.lastIndexOf('\x1b[?25h') > stdout.lastIndexOf('\x1b[?25l'), 'the cursor is shown again');
});

test('Ctrl-C on a terminal: the cursor comes back and the download goes on', async () => {
  const running = new RunningMt(WORDS, { socket: server.socketPath, terminal: true });
  await running.shows('no seeder online');
  running.type('\x03');
  const { exit, stdout } = await running.done;
  assert.is(exit, 130);
  assert.match(stdout, 'goes on in the daemon');
  assert.ok(stdout.lastIndexOf('\x1b[?25h') > stdout.lastIndexOf('\x1b[?25l'));
});

test('SIGTERM, and a terminal that goes away: the cursor comes back, and the exit tells', async () => {
  for (const [words, signal, exit] of [
    [WORDS, 'SIGTERM', 143],
    [['show_downloads', '--watch'], 'SIGTERM', 143],
    [['show_downloads', '--watch'], 'SIGHUP', 129],
  ] as const) {
    const running = new RunningMt(words, { socket: server.socketPath, terminal: true });
    await running.shows('no seeder online');
    process.kill(running.pidAtTerminal, signal);
    const result = await running.done;
    assert.is(result.exit, exit);
    assert.match(result.stdout, /goe?s? on in the daemon/);
    assert.ok(result.stdout.lastIndexOf('\x1b[?25h') > result.stdout.lastIndexOf('\x1b[?25l'), `${words} ${signal}`);
  }
});

test('no animation and no colour off a terminal, with NO_COLOR, with --quiet or --json', async () => {
  const runs: [string[], object][] = [
    [[], {}],
    [[], { terminal: true, env: { NO_COLOR: '1' } }],
    [['--quiet'], { terminal: true }],
    [['--json'], { terminal: true }],
  ];
  finish();
  for (const [more, options] of runs) {
    const { exit, stdout, stderr } = await mt([...WORDS, ...more], { socket: server.socketPath, ...options });
    assert.is(exit, 0);
    assert.not.match(stdout + stderr, '\x1b', `${more} ${JSON.stringify(options)}`);
  }
  const coloured = await mt(['list_groups'], { socket: server.socketPath, terminal: true });
  assert.match(coloured.stdout, '\x1b[1m');
  const plain = await mt(['list_groups'], { socket: server.socketPath, terminal: true, env: { NO_COLOR: '1' } });
  assert.not.match(plain.stdout, '\x1b');
});

test('--json --progress: one document a line, the last is the result', async () => {
  finish();
  const { stdout, stderr } = await mt([...WORDS, '--json', '--progress'], { socket: server.socketPath });
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(lines, [row, stalled, { ...result, state: 'complete', warning: 'the share follows' }]);
  assert.is(stderr, 'Warning: the share follows\n');
});

test('--progress off a terminal: plain lines on stderr', async () => {
  finish();
  const { stderr } = await mt([...WORDS, '--progress'], { socket: server.socketPath });
  assert.match(stderr, /25% {2}25\.0 MB of 100\.0 MB {2}5\.0 MB\/s {2}15 s left {2}3 peers/);
  assert.not.match(stderr, '\x1b');
});

test('show_downloads --watch is redrawn in place until Ctrl-C', async () => {
  const running = new RunningMt(['show_downloads', '--watch'], { socket: server.socketPath, terminal: true });
  await running.shows('no seeder online');
  running.type('\x03');
  const { exit, stdout } = await running.done;
  assert.is(exit, 130);
  assert.match(stdout, /downloading.*lab.*f.*████.*25%.*5\.0 MB\/s.*15 s.*3/);
  assert.ok(stdout.includes('\x1b[2F\x1b[J'), 'two lines are drawn again');
  assert.ok(stdout.lastIndexOf('\x1b[?25h') > stdout.lastIndexOf('\x1b[?25l'));
});

test('show_downloads --watch off a terminal prints what changed', async () => {
  const running = new RunningMt(['show_downloads', '--watch'], { socket: server.socketPath });
  await running.shows('no seeder online');
  await until('another poll came', () => server.calls.length > 4);
  running.child.kill('SIGINT');
  const { exit, stdout } = await running.done;
  assert.is(exit, 130);
  assert.equal(stdout.trimEnd().split('\n'), [
    '[D] [lab] f  25% 5.0 MB/s 3 peers',
    '[D] [lab] f  25% 0 B/s 0 peers  no seeder online',
  ]);
});

test.run();
