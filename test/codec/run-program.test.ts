// The door of the programs under an older Node, in a package made for the test. Skipped where there is no older Node.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';

/** A Node below 24 that this machine happens to have. */
function olderNode(): string | null {
  for (const folder of [...process.env.PATH!.split(delimiter), '/usr/bin', '/usr/local/bin']) {
    const node = join(folder, 'node');
    if (folder.includes('node_modules') || !existsSync(node)) continue;
    const version = execFileSync(node, ['-v'], { encoding: 'utf8' });
    if (Number(/^v(\d+)/.exec(version)![1]) < 24) return node;
  }
  return null;
}

const old = olderNode();
const reason = old ? null : 'there is no Node below 24 on this machine';
const MAIN = `
  const [what] = process.argv.slice(2);
  if (what === 'wait') { process.on('SIGTERM', () => { console.log('asked to end'); process.exit(3); }); setInterval(() => {}, 1000); }
  console.log(JSON.stringify({ version: process.version, args: process.argv.slice(2), pid: process.pid, env: process.env.MT_PARENT_PIPE_FD }));
  if (what === 'exit') process.exit(7);
  if (what === 'cat') process.stdin.pipe(process.stderr);
`;

function makePackage({ withNode = true, isBuilt = true } = {}): { dir: string; bin: string } {
  const dir = mkdtempSync(join(tmpdir(), 'mt-'));
  mkdirSync(join(dir, 'codec', 'bin'), { recursive: true });
  copyFileSync(
    join(import.meta.dirname, '../../codec/bin/run-program.cjs'),
    join(dir, 'codec', 'bin', 'run-program.cjs'),
  );
  const bin = join(dir, 'bin.cjs');
  writeFileSync(bin, "require('./codec/bin/run-program.cjs')('mt-test', 'dist/main.cjs');");
  mkdirSync(join(dir, 'dist'));
  if (isBuilt) writeFileSync(join(dir, 'dist', 'main.cjs'), MAIN);
  if (withNode) {
    mkdirSync(join(dir, 'node_modules', 'node', 'bin'), { recursive: true });
    symlinkSync(process.execPath, join(dir, 'node_modules', 'node', 'bin', 'node'));
  }
  return { dir, bin };
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const test = suite('run program');

testOrSkip(
  test,
  'an older Node hands over to the one in node_modules, with arguments, input and exit code',
  reason,
  () => {
    const { dir, bin } = makePackage();
    try {
      const { stdout, status } = spawnSync(old!, [bin, 'exit', 'a b', '--flag'], { encoding: 'utf8' });
      const { version, args, env } = JSON.parse(stdout);
      assert.equal([version, args, env, status], [process.version, ['exit', 'a b', '--flag'], undefined, 7]);
      assert.is(spawnSync(old!, [bin, 'cat'], { encoding: 'utf8', input: 'typed' }).stderr, 'typed');
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

testOrSkip(test, 'signals pass on, and kill -9 of the outer process ends the inner one', reason, async () => {
  const { dir, bin } = makePackage();
  try {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const outer = spawn(old!, [bin, 'wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let stdout = '';
      outer.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      const closed = new Promise<number | null>((resolve) => outer.on('close', resolve));
      await until('the inner process speaks', () => stdout.includes('\n'));
      const { pid } = JSON.parse(stdout.split('\n')[0]!) as { pid: number };
      assert.is.not(pid, outer.pid);
      outer.kill(signal);
      const code = await closed;
      await until('the inner process is gone', () => !isAlive(pid));
      if (signal === 'SIGTERM') assert.equal([code, stdout.includes('asked to end')], [3, true]);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

testOrSkip(test, 'an older Node alone says in one sentence what is needed', reason, () => {
  const { dir, bin } = makePackage({ withNode: false });
  try {
    const { stdout, stderr, status } = spawnSync(old!, [bin], { encoding: 'utf8' });
    assert.equal([stdout, status], ['', 1]);
    assert.match(stderr, /^mt-test needs Node 24 or newer; this is Node \d+\.\d+\.\d+\.\n$/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a package that is not built says so', () => {
  const { dir, bin } = makePackage({ isBuilt: false });
  try {
    const { stdout, stderr, status } = spawnSync(process.execPath, [bin], { encoding: 'utf8' });
    assert.equal([stdout, stderr, status], ['', 'mt-test is not built yet. Run: npm run build\n', 1]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('Node 24 runs the program itself, in the same process', () => {
  const { dir, bin } = makePackage({ withNode: false });
  try {
    const result = spawnSync(process.execPath, [bin, 'exit'], { encoding: 'utf8' });
    assert.equal([JSON.parse(result.stdout).pid, result.status], [result.pid, 7]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
