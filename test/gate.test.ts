// The gate is tried with each of the ways in which a test file can look green without being so.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const GATE = join(import.meta.dirname, 'gate.ts');
const FIXTURES = join(import.meta.dirname, 'fixtures', 'gate');

interface Outcome {
  code: number | null;
  output: string;
  lastLine: string;
}

function gate(root: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [GATE, '--root', join(FIXTURES, root), '--limit', '5', ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output, lastLine: output.trimEnd().split('\n').at(-1)! }));
  });
}

/** A zombie that nobody reaps (a container without an init) is dead too. */
function isAlive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const test = suite('gate');

test('passes a good file, and prints skips with their reasons', async () => {
  const { code, output, lastLine } = await gate('good');
  assert.is(lastLine, '2 passed, 0 failed', output);
  assert.is(code, 0);
  assert.match(output, 'left out: the machine has no such thing');
});

/** Each fixture, what the last line must be, and what the output must say. */
const BAD: [fixture: string, lastLine: string, says: RegExp][] = [
  ['failing', '1 passed, 1 failed', /one is not two/],
  ['before-throws', '0 passed, 1 failed', /1 of 1 tests did not pass/],
  ['no-run', '1 passed, 1 failed', /\.run\(\) is missing/],
  ['never-run', '0 passed, 1 failed', /\.run\(\) is missing/],
  ['only-left', '1 passed, 1 failed', /a \.only is left/],
  ['empty', '0 passed, 1 failed', /no test was executed/],
  ['exits-early', '0 passed, 1 failed', /no totals were printed/],
  ['leftover', '1 passed, 1 failed', /left running: \d+ sleep 600/],
  ['silent-skip', '1 passed, 1 failed', /1 skipped, but 0 reasons/],
  ['late-throw', '1 passed, 1 failed', /too late for uvu/],
  ['under-floor', '2 passed, 1 failed', /only 2 tests ran, test\/floor\.json asks for 3/],
];
for (const [fixture, lastLine, says] of BAD) {
  test(`fails: ${fixture}`, async () => {
    const outcome = await gate(fixture);
    assert.is(outcome.lastLine, lastLine, outcome.output);
    assert.is(outcome.code, 1);
    assert.match(outcome.output, says);
    const child = /child (\d+)/.exec(outcome.output)?.[1];
    if (child) assert.not.ok(isAlive(child), `process ${child} should be dead`);
  });
}

test('a failure is shown at once, below the line of its file, and once more in full at the end', async () => {
  const { output } = await gate('failing');
  const [first, rest] = output.split('──── x.test.ts');
  assert.match(first!, /^FAIL .*x\.test\.ts.*\n {4}│ {4}FAIL {2}failing {2}"fails"\n {4}│ {5}one is not two/);
  assert.not.match(first!, 'Total:');
  assert.match(rest!, /one is not two[\s\S]*Total:/);
});

test('fails a file that hangs, and kills its whole process group', async () => {
  const { code, output, lastLine } = await gate('hanging');
  assert.is(lastLine, '1 passed, 1 failed', output);
  assert.is(code, 1);
  assert.match(output, 'still running after 5 s');
  const child = /child (\d+)/.exec(output)![1]!;
  assert.not.ok(isAlive(child), `process ${child} should be dead`);
});

test('fails when nothing matches', async () => {
  const { code, lastLine } = await gate('good', ['--only', 'no such file']);
  assert.is(lastLine, '0 passed, 1 failed');
  assert.is(code, 1);
});

test('the floor holds for whole runs only', async () => {
  const { code, lastLine } = await gate('under-floor', ['--only', 'x.test']);
  assert.is(lastLine, '2 passed, 0 failed');
  assert.is(code, 0);
});

test('container tests may not skip with MT_REQUIRE_ENGINE=1', async () => {
  assert.is((await gate('engine')).lastLine, '1 passed, 0 failed', 'not run unless asked for');
  assert.match((await gate('engine', ['--only', 'containers'])).output, 'needs an engine: there is none');
  const { code, output, lastLine } = await gate('engine', [], { MT_REQUIRE_ENGINE: '1' });
  assert.is(lastLine, '2 passed, 1 failed');
  assert.is(code, 1);
  assert.match(output, 'MT_REQUIRE_ENGINE=1, but tests were skipped');
});

test.run();
