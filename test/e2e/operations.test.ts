// The programs as those who run them see them: configuration, SIGHUP, monitoring, systemd's readiness, life in the background.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BINS, PROJECT, type Program } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const MiB = 1024 * 1024;
const test = suite('operations');

interface Answer {
  readonly status: number;
  readonly text: string;
}

function get(port: number, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, text }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Where a program that chose a free port says that it serves its metrics. */
function metricsPort(program: Program): Promise<number> {
  return until('it says its port', () => Number(/"port":(\d+),"msg":"metrics/.exec(program.stderr)?.[1] ?? 0));
}

/** The value of a sample: its name with its labels, as Prometheus writes it. */
function sample(text: string, name: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  assert.ok(line, `${name} is not in\n${text}`);
  return Number(line.slice(name.length + 1));
}

test(
  'trackers show role, term, lag, disk and connections, and whether they can serve',
  inWorld(async (world) => {
    const trackers = [1, 2, 3].map((number) => world.launchTracker(number, '--metrics-port', '0'));
    const ports = await Promise.all(trackers.map(metricsPort));
    const { quentin } = await world.people('quentin');
    await quentin.ok('create_group', 'zebras');
    for (const port of ports) {
      assert.equal(await get(port, '/healthz'), { status: 200, text: 'ok\n' });
      await until('it is ready', async () => (await get(port, '/readyz')).status === 200);
    }
    const texts = await Promise.all(ports.map(async (port) => (await get(port, '/metrics')).text));
    // Not every tracker need have heard of the others' links by now, nor all of them of one leader.
    const text = await until('one leads, with two links', async () => {
      const now = await Promise.all(ports.map(async (port) => (await get(port, '/metrics')).text));
      const leaders = now.filter((each) => sample(each, 'mt_tracker_role{role="leader"}') === 1);
      const [leader] = leaders;
      return leaders.length === 1 && sample(leader!, 'mt_tracker_connections{with="tracker"}') === 2 ? leader : null;
    });
    assert.ok(sample(text, 'mt_tracker_term') >= 1);
    assert.ok(sample(text, 'mt_tracker_applied_index') >= 3);
    assert.is(sample(text, 'mt_tracker_commit_lag'), 0);
    assert.ok(sample(text, 'mt_tracker_commit_seconds_count') >= 3);
    assert.ok(sample(text, 'nodejs_eventloop_lag_p99_seconds') >= 0);
    assert.not.match(texts.join(''), /quentin|zebras/, 'numbers only');

    await Promise.all(trackers.slice(1).map((tracker) => tracker.kill()));
    await until('alone it is not ready', async () => (await get(ports[0]!, '/readyz')).status === 503);
    assert.is((await get(ports[0]!, '/healthz')).status, 200);
  }),
);

test(
  'a daemon shows transfers, limits and queues, to who means this machine only',
  inWorld(async (world) => {
    await world.startTrackers();
    const daemon = await world.daemon('ann').start('--metrics-port', '0', '--upload-limit', '3M');
    await daemon.enter();
    await daemon.ok('create_group', 'lab');
    await daemon.ok('upload_file', daemon.file('a.bin', 100_000).path, 'lab');
    const port = await metricsPort(daemon.program);
    const { text } = await get(port, '/metrics');
    assert.is(sample(text, 'mt_peer_shares'), 1);
    assert.is(sample(text, 'mt_peer_logged_in'), 1);
    assert.is(sample(text, 'mt_peer_limit_bytes_per_second{direction="up"}'), 3 * MiB);
    assert.is(sample(text, 'mt_peer_queue_depth{queue="outbox"}'), 0);
    assert.is(sample(text, 'mt_peer_downloads{state="complete"}'), 0);
    assert.is(sample(text, 'mt_peer_sources'), 0);
    assert.is(sample(text, 'mt_peer_transfer_bytes_per_second{direction="down"}'), 0);
    assert.is(sample(text, 'mt_peer_transfer_bytes_total{direction="up"}'), 0);
    assert.ok(sample(text, 'nodejs_eventloop_lag_p99_seconds') >= 0);
    assert.is((await get(port, '/readyz')).status, 200);
    assert.is((await get(port, '/metrics', { host: 'pages.example' })).status, 403);
    assert.is((await get(port, '/secrets')).status, 404);
  }, 1),
);

test(
  'SIGHUP reads limits and log level again; a broken file changes nothing',
  inWorld(async (world) => {
    const daemon = world.daemon('ann');
    const config = daemon.path('peerd.toml');
    writeFileSync(config, 'upload-limit = "1M"\nlog-level = "warn"\n');
    await daemon.start('--config', config);
    const { pid } = daemon.program;
    assert.equal(await daemon.ok('limits'), { up: MiB, down: 0 });
    writeFileSync(config, 'upload-limit = "2M"\ndownload-limit = "5M"\nlog-level = "info"\n');
    process.kill(pid, 'SIGHUP');
    await until('the new limits hold', async () => (await daemon.ok<{ up: number }>('limits')).up === 2 * MiB);
    assert.equal(await daemon.ok('limits'), { up: 2 * MiB, down: 5 * MiB });
    await until('the new level holds', () => daemon.program.stderr.includes('read again'));
    writeFileSync(config, 'upload-limit = "plenty"\n');
    process.kill(pid, 'SIGHUP');
    await until('it says so', () => daemon.program.stderr.includes('all stays as it was'));
    assert.equal(await daemon.ok('limits'), { up: 2 * MiB, down: 5 * MiB });
    await daemon.program.stop();
  }, 1),
);

test(
  'mt daemon starts a daemon in the background, small, shows it, and stops it',
  inWorld(async (world) => {
    const daemon = world.daemon('ann');
    const { stdout } = spawnSync(process.execPath, [BINS.peerd, ...daemon.args, '--print-config'], { env: world.env });
    writeFileSync(daemon.path('peerd.toml'), stdout);
    const config = ['--config', daemon.path('peerd.toml')];
    await daemon.fails('DAEMON_UNREACHABLE', 'daemon', 'status');
    const { pid } = await daemon.ok<{ pid: number }>('daemon', 'start', ...config);
    try {
      assert.is((await daemon.ok<{ pid: number }>('daemon', 'status')).pid, pid);
      assert.is((await daemon.ok<{ pid: number }>('daemon', 'start', ...config)).pid, pid, 'twice is once');
      const ownMiB = Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
      assert.ok(ownMiB < 30, `its first start left ${ownMiB} MiB of its own: what is needed once does not stay`);
      const log = daemon.path('data', 'peerd.log');
      assert.ok(existsSync(log));
      const second = await other(world, daemon);
      assert.is(second.code, 'DATA_DIR_LOCKED');
      assert.equal(await daemon.ok('daemon', 'stop'), { stopped: pid });
      assert.not.ok(isAlive(pid));
      assert.equal(await daemon.ok('daemon', 'stop'), { stopped: null });
      assert.not.match(readFileSync(log, 'utf8'), /fatal/);
    } finally {
      if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    }
  }, 1),
);

/** A process that has ended, and that nobody has asked after yet, has no command line. */
function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
}

/** A second daemon on the same data directory, started with another socket. */
async function other(world: World, daemon: Daemon) {
  const config = ['--config', daemon.path('peerd.toml')];
  const result = await world.mt(
    daemon.path('run', 'o'),
    ['daemon', 'start', ...config, '--socket', daemon.path('run', 'o'), '--json'],
    daemon.dir,
  );
  return (JSON.parse(result.stdout) as { error: { code: string } }).error;
}

const PERL = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, sockaddr_un($ARGV[0])) or die; $| = 1;
while (defined recv(S, my $m, 4096, 0)) { print "$m\\n"; }`;
const has = (program: string) => spawnSync(program, ['--version']).status === 0;
const noNotify = has('systemd-notify') && has('perl') ? null : 'systemd-notify and perl are needed';

testOrSkip(
  test,
  'systemd is told when a service is ready, and when it stops',
  noNotify,
  inWorld(async (world) => {
    const path = `${world.dir}/notify`;
    const receiver = spawn('perl', ['-e', PERL, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let heard = '';
    receiver.stdout.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
    });
    try {
      await until('it listens', () => existsSync(path));
      world.env.NOTIFY_SOCKET = path;
      const daemon = await world.daemon('ann').start();
      const tracker = await world.startTracker(1);
      await until('both are ready', () => heard.match(/READY=1/g)?.length === 2);
      await daemon.program.stop();
      await tracker.stop();
      await until('both said that they stop', () => heard.match(/STOPPING=1/g)?.length === 2);
    } finally {
      receiver.kill('SIGKILL');
    }
  }, 1),
);

testOrSkip(
  test,
  'systemd finds nothing wrong with the units, and the tracker is shut in',
  has('systemd-analyze') ? null : 'systemd-analyze is needed',
  () => {
    const units = ['cluster/bin/mt-trackerd@.service', 'daemon/bin/mt-peerd.service'].map((unit) =>
      join(PROJECT, unit),
    );
    const verified = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' });
    assert.equal([verified.status, verified.stdout, verified.stderr], [0, '', '']);
    const args = ['security', '--offline=true', '--threshold=25', units[0]!]; // in tenths: systemd's own daemons have 20 to 90
    const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    assert.is(status, 0, stdout);
  },
);

test.run();
