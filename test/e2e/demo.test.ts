// `npm run demo` does what the README says of it, and leaves nothing behind: at its end, with --keep, and on Ctrl-C midway.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BINS, PROJECT } from '../harness/program.ts';
import { until } from '../harness/until.ts';

function startDemo(...args: string[]) {
  // Whatever it makes is in here.
  const dir = mkdtempSync(join(tmpdir(), 'mtd-'));
  const child = spawn(process.execPath, [join(PROJECT, 'test', 'demo.ts'), ...args], {
    cwd: PROJECT,
    env: { ...process.env, TMPDIR: dir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const demo = { child, dir, output: '', code: undefined as number | null | undefined };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      demo.output += text;
    });
  }
  child.on('close', (code) => {
    demo.code = code;
  });
  return demo;
}

/** Processes whose command line names that directory. */
function livingIn(dir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir);
    } catch {
      return false;
    }
  });
}

async function leftNothing(dir: string): Promise<void> {
  assert.equal(readdirSync(dir), []);
  rmSync(dir, { recursive: true });
  await until('nothing lives', () => livingIn(dir).length === 0);
}

const test = suite('demo');

test('ends with three equal copies after a leader was killed in the middle, and with nothing left', async () => {
  const demo = startDemo();
  await until('it ends', () => demo.code !== undefined, { timeoutMs: 120_000, everyMs: 50 });
  assert.is(demo.code, 0, demo.output);
  const text = demo.output;
  const order = [
    'mt-trackerd 3 ready on',
    'mt-peerd ready on',
    'create_user alice',
    'create_group lab',
    'join_group lab',
    'accept_request lab carol',
    'upload_file',
    'Bob fetches it from Alice',
    'Carol fetches it from both at once',
    'kill -9',
    'Fetched ',
    'leads now',
    'sha1sum',
    'All three are equal',
  ];
  let at = 0;
  for (const mark of order) {
    const found = text.indexOf(mark, at);
    assert.ok(found >= 0, `"${mark}" should come next:\n${text.slice(at)}`);
    at = found;
  }
  assert.match(text, /[1-9]\d?%.*2 peers/, 'progress from two peers');
  const sums = [...text.matchAll(/^([0-9a-f]{40}) {2}\S/gm)].map((match) => match[1]);
  assert.is(sums.length, 3);
  assert.is(new Set(sums).size, 1);
  assert.not.match(text, 'secret-of-', 'passwords are not on screen');
  await leftNothing(demo.dir);
});

test('--keep leaves it running with commands that work; Ctrl-C stops and removes everything', async () => {
  const demo = startDemo('--keep');
  await until('it is done', () => demo.output.includes('Ctrl-C here') || demo.code !== undefined, {
    timeoutMs: 120_000,
    everyMs: 50,
  });
  assert.is(demo.code, undefined, demo.output);
  const socket = /export MT_SOCKET=(\S+)/.exec(demo.output)![1]!;
  const env = { ...process.env, MT_SOCKET: socket };
  const whoami = execFileSync(process.execPath, [BINS.mt, 'whoami', '--json'], { env, encoding: 'utf8' });
  assert.equal(JSON.parse(whoami), { user_id: 'alice' });
  execFileSync(process.execPath, [BINS.mt, 'upload_file', join(PROJECT, 'LICENSE'), 'lab'], { env });
  demo.child.kill('SIGINT');
  await until('it ends', () => demo.code !== undefined, { timeoutMs: 30_000 });
  assert.is(demo.code, 130);
  await leftNothing(demo.dir);
});

test('Ctrl-C in the middle cleans up too', async () => {
  const demo = startDemo();
  await until('bob fetches', () => demo.output.includes('Bob fetches') || demo.code !== undefined, {
    timeoutMs: 60_000,
    everyMs: 10,
  });
  demo.child.kill('SIGINT');
  await until('it ends', () => demo.code !== undefined, { timeoutMs: 30_000 });
  assert.is(demo.code, 130, demo.output);
  await leftNothing(demo.dir);
});

test.run();
