// The image by itself: the programs by argument, who it runs as, its health, its volume, how it stops; and the compose file.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BINS, PROJECT } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { IMAGE, whyNoContainers } from './engine.ts';

const STOP_MS_MAX = 1_000;
/** On a busy machine the engine itself may take that long, once or twice. */
const STOP_TRIES = 4;
const HEALTHY_MS_MAX = 40_000;
const LABEL = 'org.testcontainers=true';
const reason = await whyNoContainers();
const compose = findCompose();
const test = suite('containers: image');
const run = randomBytes(4).toString('hex');
const volume = `mt-${run}-data`;

function docker(...args: string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8' }).trim();
}

/** One tracker, alone on its loopback, in the background. */
function startTracker(name: string): void {
  const script = 'echo 127.0.0.1:5353 > /data/trackers.txt; exec mt-trackerd /data/trackers.txt 1';
  docker('run', '-d', '--name', name, '--label', LABEL, '-v', `${volume}:/data`, IMAGE, 'sh', '-c', script);
}

function stateOf(name: string) {
  return JSON.parse(docker('inspect', '-f', '{{json .State}}', name)) as {
    ExitCode: number;
    FinishedAt: string;
    Health: { Status: string };
  };
}

/** SIGTERM. @returns ms until its end, without the engine's tidying up after it. */
function stop(name: string): number {
  const startedAt = Date.now();
  docker('stop', '-t', '10', name);
  return Date.parse(stateOf(name).FinishedAt) - startedAt;
}

test.before(() => {
  if (reason === null) docker('volume', 'create', '--label', LABEL, volume);
});
test.after(() => {
  if (reason !== null) return;
  const left = docker('ps', '-aq', '--filter', `name=mt-${run}`).split('\n').filter(Boolean);
  if (left.length > 0) docker('rm', '-fv', ...left);
  docker('volume', 'rm', volume);
});

testOrSkip(test, 'runs each program by argument, as a user without rights', reason, () => {
  const { version } = JSON.parse(execFileSync('cat', [join(PROJECT, 'package.json')], { encoding: 'utf8' }));
  for (const program of Object.keys(BINS).map((name) => (name === 'mt' ? 'mt' : `mt-${name}`))) {
    assert.is(docker('run', '--rm', IMAGE, program, '--version'), `${program} ${version}`);
  }
  assert.is(docker('run', '--rm', IMAGE, 'id', '-u'), '1000');
  const write = spawnSync('docker', ['run', '--rm', IMAGE, 'sh', '-c', 'touch /app/x']);
  assert.is.not(write.status, 0, 'its own program files are not its to change');
});

testOrSkip(
  test,
  'a tracker becomes healthy, keeps its data in the volume, and stops within a second',
  reason,
  async () => {
    const name = `mt-${run}-tracker`;
    startTracker(name);
    await until('it is healthy', () => stateOf(name).Health.Status === 'healthy', {
      timeoutMs: HEALTHY_MS_MAX,
      everyMs: 200,
    });
    const cluster = () => /"cluster":"([0-9a-f]+)"/.exec(logs(name))?.[1];
    assert.ok(cluster());
    let elapsedMs = stop(name);
    for (let tries = 1; elapsedMs >= STOP_MS_MAX && tries < STOP_TRIES; tries++) {
      docker('start', name);
      const isReady = () => logs(name).split(' ready on ').length > tries + 1;
      await until('it is ready once more', isReady, { timeoutMs: HEALTHY_MS_MAX, everyMs: 100 });
      elapsedMs = stop(name);
    }
    assert.is(stateOf(name).ExitCode, 0);
    assert.ok(elapsedMs < STOP_MS_MAX, `stopped in ${elapsedMs.toFixed(0)} ms`);
    docker('rm', name);
    startTracker(name);
    await until('it is ready again', () => / ready on /.test(logs(name)), { timeoutMs: HEALTHY_MS_MAX, everyMs: 100 });
    assert.is(cluster(), undefined, 'no second cluster was formed on the same volume');
    stop(name);
  },
);

function logs(name: string): string {
  const { stdout, stderr } = spawnSync('docker', ['logs', name], { encoding: 'utf8' });
  return stdout + stderr;
}

function findCompose(): string[] | null {
  for (const words of [['docker', 'compose'], ['docker-compose']]) {
    if (spawnSync(words[0]!, [...words.slice(1), 'version']).status === 0) return words;
  }
  return null;
}

const noCompose = reason ?? (compose ? null : 'there is neither docker compose nor docker-compose');
testOrSkip(test, 'the compose file brings up three trackers and two peers that share a file', noCompose, async () => {
  const env = { ...process.env, MT_IMAGE: IMAGE, COMPOSE_PROJECT_NAME: `mt-${run}` };
  const [program, ...words] = compose!;
  const composed = (...args: string[]) =>
    execFileSync(program!, [...words, ...args], {
      cwd: PROJECT,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const on = (service: string, ...args: string[]) => composed('exec', '-T', service, ...args);
  try {
    composed('up', '-d', '--no-build');
    await until('the trackers are there', () => attempt(() => on('peer-1', 'mt', 'create_user', 'ann', 'a password')), {
      timeoutMs: HEALTHY_MS_MAX,
      everyMs: 200,
    });
    on('peer-1', 'mt', 'login', 'ann', 'a password');
    on('peer-2', 'mt', 'create_user', 'bob', 'a password');
    on('peer-2', 'mt', 'login', 'bob', 'a password');
    on('peer-1', 'mt', 'create_group', 'lab');
    on('peer-2', 'mt', 'join_group', 'lab');
    on('peer-1', 'mt', 'accept_request', 'lab', 'bob');
    on('peer-1', 'mt', 'upload_file', '/app/package.json', 'lab');
    on('peer-2', 'mt', 'download_file', 'lab', 'package.json', '/data/');
    assert.is(on('peer-2', 'cat', '/data/package.json'), on('peer-1', 'cat', '/app/package.json'));
    const key = spawnSync(program!, [...words, 'exec', '-T', 'peer-1', 'cat', '/key/cluster.key'], {
      cwd: PROJECT,
      env,
    });
    assert.is.not(key.status, 0, 'peers do not see the key');
    const ids = composed('ps', '-q').split('\n').filter(Boolean);
    assert.is(ids.length >= 5, true);
    composed('stop');
    for (const id of ids) assert.is(stateOf(id).ExitCode, 0);
  } finally {
    composed('down', '-v');
  }
});

function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

test.run();
