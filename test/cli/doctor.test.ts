// mt doctor: well, and each ailment with its advice and exit number.
import { chmodSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding } from '../../cli/doctor/checks.ts';
import { ControlServer, refuses } from './control-server.ts';
import { mt } from './run-mt.ts';

const test = suite('mt doctor');
let server: ControlServer;
let peerPort: Server;
let port = 0;
/** What a test changes before it asks. */
let ailment: {
  status?: object;
  tracker?: object;
  leader?: number | null;
  reachable?: boolean;
  share?: string;
  clocks?: { number: number; ahead_ms: number }[];
  outside?: { verdict: 'unreachable' | 'somebody_else' | 'not_tried'; why: string };
};

test.before.each(async () => {
  ailment = {};
  peerPort = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => peerPort.listen(0, '127.0.0.1', resolve));
  port = (peerPort.address() as AddressInfo).port;
  server = await ControlServer.start({
    status: () =>
      ({
        version: '0.1.0',
        pid: process.pid,
        uptime_ms: 1,
        data_dir: server.folder,
        socket: server.socketPath,
        address: `127.0.0.1:${port}`,
        fingerprint: 'f'.repeat(64),
        user_id: 'alice',
        tracker: { address: '127.0.0.1:5353', connected: true, leader: 1, outbox: 0, error: null, ...ailment.tracker },
        shares: 1,
        downloads: { downloading: 0, complete: 0, failed: 0, paused: 0 },
        upload_rate: 0,
        download_rate: 0,
        bytes_uploaded: 0,
        bytes_downloaded: 0,
        ...ailment.status,
      }) as never,
    tracker_status: () => ({
      trackers: [1, 2].map((number) => ({
        number,
        address: `127.0.0.${number}:5353`,
        role: number === 1 ? ('leader' as const) : ('follower' as const),
        term: 1,
        last_index: 1,
        commit_index: 1,
        applied_index: 1,
        lag: 0,
        reachable: number === 1 || ailment.reachable !== false,
      })),
      leader: ailment.leader === undefined ? 1 : ailment.leader,
    }),
    check_clocks: () => ({ within_ms: 2, trackers: ailment.clocks ?? [{ number: 1, ahead_ms: 40 }] }),
    check_port: () => ({
      address: `127.0.0.1:${port}`,
      tracker: '127.0.0.1:5353',
      verdict: 'reachable' as const,
      why: null,
      ...ailment.outside,
    }),
    show_shares: () => ({
      shares: [{ group_id: 'lab', file_name: 'f', path: '/f', state: (ailment.share ?? 'shared') as 'shared' }],
    }),
  });
  chmodSync(server.socketPath, 0o600);
  writeFileSync(join(server.folder, 'identity.pem'), '', { mode: 0o600 });
});
test.after.each(async () => {
  peerPort.close();
  await server.stop();
});

async function problems(): Promise<{ exit: number | null; bad: Finding[] }> {
  const { exit, stdout } = await mt(['doctor', '--json'], { socket: server.socketPath });
  const { checks } = JSON.parse(stdout) as { checks: Finding[] };
  for (const { ok, advice, code } of checks) assert.is(ok, advice === null && code === null);
  return { exit, bad: checks.filter(({ ok }) => !ok) };
}

test('all is well', async () => {
  const { exit, stdout, stderr } = await mt(['doctor'], { socket: server.socketPath });
  assert.equal([exit, stderr], [0, '']);
  assert.is(stdout.split('\n').filter((line) => line.startsWith('ok  ')).length, 13, stdout);
});

test('each ailment has its line, its advice and its exit number', async () => {
  const cases: [string, number, typeof ailment][] = [
    ['version', 3, { status: { version: '9.9.9' } }],
    ['login', 4, { status: { user_id: null } }],
    ['tracker', 7, { tracker: { connected: false } }],
    ['quorum', 7, { leader: null }],
    ['quorum', 7, { reachable: false }],
    ['waiting', 7, { tracker: { outbox: 2 } }],
    ['shares', 6, { share: 'missing' }],
    ['from outside', 7, { outside: { verdict: 'unreachable', why: 'no answer: a firewall?' } }],
    ['from outside', 7, { outside: { verdict: 'somebody_else', why: 'another program answers there' } }],
    ['clock', 5, { clocks: [{ number: 1, ahead_ms: -90_000 }] }],
  ];
  for (const [check, number, change] of cases) {
    ailment = change;
    const { exit, bad } = await problems();
    assert.equal([bad.map((finding) => finding.check), exit], [[check], number]);
  }
});

test('whose clock is wrong', async () => {
  const cases: [number[], RegExp][] = [
    [[100_000, 100_050, 99_950], /this computer's clock is 1 min 40 s slow/],
    [[-100_000, -100_050], /this computer's clock is 1 min 40 s fast/],
    [[5, -100_000, 20], /the clock of tracker 2 is 1 min 40 s slow/],
    [[5, 20, 100_000], /the clock of tracker 3 is 1 min 40 s fast/],
  ];
  for (const [ahead, says] of cases) {
    ailment = { clocks: ahead.map((ahead_ms, index) => ({ number: index + 1, ahead_ms })) };
    assert.match((await problems()).bad[0]!.detail, says);
  }
});

test('what no tracker could check is no ailment', async () => {
  ailment = { outside: { verdict: 'not_tried', why: 'the tracker is busy' } };
  assert.equal(await problems(), { exit: 0, bad: [] });
});

test('a key or a socket that others can open', async () => {
  chmodSync(join(server.folder, 'identity.pem'), 0o644);
  assert.equal(
    (await problems()).bad.map(({ check, code }) => [check, code]),
    [['keys', 'PERMISSION']],
  );
  chmodSync(server.socketPath, 0o666);
  assert.equal(
    (await problems()).bad.map(({ check }) => check),
    ['socket', 'keys'],
  );
});

test('a port that nobody answers', async () => {
  await new Promise<void>((resolve) => peerPort.close(() => resolve()));
  const { exit, bad } = await problems();
  assert.equal([bad[0]!.check, exit], ['peer port', 9]);
  assert.match(bad[0]!.detail, `${port}: ECONNREFUSED`);
});

test('a check that the daemon refuses is a finding; no daemon is the only one', async () => {
  const other = await ControlServer.start({ status: refuses('INTERNAL', 'broken') });
  try {
    const { exit, stdout } = await mt(['doctor'], { socket: other.socketPath });
    assert.is(exit, 1);
    assert.match(stdout, 'broken');
  } finally {
    await other.stop();
  }
  const { exit, stdout } = await mt(['doctor'], { socket: '/nonexistent/s' });
  assert.is(exit, 3);
  assert.match(stdout, /^BAD daemon .*no such socket\n.*mt-peerd/);
});

test.run();
