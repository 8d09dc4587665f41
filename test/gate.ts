// The test gate: runs every test/**/*.test.ts as a process of its own and cannot report a failure as success.
//
// uvu alone exits 0 when a before hook throws, a suite is never run, a `.only` is left or nothing matches, and hangs on a
// leaked socket. So a file passes here only when it exits 0 in time, prints totals, ran at least one test, passed all of
// them, gave a reason for each skip, and left no process behind. Files under test/e2e start real programs: they come last.
//
//   node test/gate.ts [--long] [--only TEXT]... [--skip TEXT]... [--root DIR] [--limit SECONDS] [--jobs N]
//
// gate-lists.ts names the files that are left out every day and run with `--long` (CI does both) or where `--only` names
// them, and those that run with nothing beside them.
// Container tests run with `--only containers` or MT_REQUIRE_ENGINE=1; with the latter they may not skip. Never imported by a test: test/gate.test.ts runs it as people do.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { ALONE, LONG, LONGEST, WAITS } from './gate-lists.ts';

/** A unit test file that needs longer is doing something else than testing a unit. */
const UNIT_LIMIT_MS = 180_000;
const E2E_LIMIT_MS = 360_000;
/** Images are built, machines pulled apart and healed. */
const CONTAINERS_LIMIT_MS = 900_000;
/** Two files at a time on the two cores that we promise to be content with. */
const JOBS = 2;
/** One more of those that mostly wait for time-outs and for each other's programs. */
const MORE_END_TO_END = 1;
/** Lines of a failure that are shown at once, below its line: who reads the beginning of a long output sees what is wrong. */
const EXCERPT_LINES_MAX = 24;
/** Output of one file that is kept; the end matters most. */
const OUTPUT_CHARS_MAX = 4_000_000;
/** How long processes that a file started may take to be gone after it has exited; looked at now and then. */
const LEFT_GRACE_MS = 3_000;
const LEFT_LOOK_MS = 100;
const CONTAINERS = `containers${sep}`;

interface FileResult {
  file: string;
  /** Why the file failed; empty = it passed. */
  problems: string[];
  passed: number;
  failed: number;
  skips: string[];
  output: string;
  elapsedMs: number;
}

interface Exit {
  code: number | null;
  signal: string | null;
  timedOut: boolean;
  output: string;
  /** Processes that outlived the file. */
  left: string[];
}

const running = new Set<ChildProcess>();
const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    skip: { type: 'string', multiple: true, default: [] },
    long: { type: 'boolean', default: false },
    root: { type: 'string', default: import.meta.dirname },
    limit: { type: 'string' },
    jobs: { type: 'string', default: String(JOBS) },
  },
});
const root = flags.root;
/** They need an engine and minutes: only where they are asked for. */
const mustHaveEngine = process.env.MT_REQUIRE_ENGINE === '1';
const wantsContainers = mustHaveEngine || flags.only.some((text) => text.includes('containers'));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}
process.exitCode = await main();

function longestFirst(files: readonly string[]): string[] {
  return [...[...LONGEST].filter((file) => files.includes(file)), ...files.filter((file) => !LONGEST.has(file))];
}

function isNamed(file: string): boolean {
  return flags.only.some((text) => file.includes(text));
}

async function main(): Promise<number> {
  const startedAt = performance.now();
  const whole = flags.only.length === 0 && flags.skip.length === 0 && !flags.long;
  const files = globSync('**/*.test.ts', { cwd: root })
    .filter((file) => !file.startsWith(`fixtures${sep}`))
    .filter((file) => (flags.only.length === 0 ? LONG.has(file) === flags.long : isNamed(file)))
    .filter((file) => !flags.skip.some((text) => file.includes(text)))
    .filter((file) => !file.startsWith(CONTAINERS) || wantsContainers)
    .sort();
  const isEndToEnd = (file: string) => file.startsWith(`e2e${sep}`);
  const isContainers = (file: string) => file.startsWith(CONTAINERS);
  const jobs = Number(flags.jobs);
  const waiting = runAll(
    files.filter((file) => WAITS.has(file)),
    1,
  );
  const working = files.filter((file) => !WAITS.has(file) && !ALONE.has(file));
  const results = [
    ...(await runAll(
      working.filter((file) => !isEndToEnd(file) && !isContainers(file)),
      jobs,
    )),
    ...(await runAll(longestFirst(working.filter(isEndToEnd)), jobs + MORE_END_TO_END)),
    ...(await waiting),
    ...(await runAll(
      files.filter((file) => ALONE.has(file)),
      1,
    )),
    // One at a time: each has six containers already.
    ...(await runAll(working.filter(isContainers), 1)),
  ];

  const sum = (of: (result: FileResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const passed = sum((result) => result.passed);
  let failed = sum((result) => result.failed);
  const problems: string[] = [];
  if (files.length === 0) problems.push('no test file was found');
  if (root === import.meta.dirname) {
    for (const file of new Set([...LONG, ...ALONE, ...LONGEST, ...WAITS]))
      if (!existsSync(join(root, file))) problems.push(`the gate names ${file}, which is gone`);
  }
  const floor = whole ? readFloor() : 0;
  if (passed + failed < floor) problems.push(`only ${passed + failed} tests ran, test/floor.json asks for ${floor}`);
  if (results.length !== files.length) problems.push(`${files.length} files were found, ${results.length} ran`);
  failed += problems.length;

  for (const result of results.filter(({ problems }) => problems.length > 0)) {
    console.log(`\n──── ${result.file}: ${result.problems.join('; ')}\n${result.output.trimEnd()}`);
  }
  const skips = results.flatMap(({ file, skips }) => skips.map((skip) => `  ${file}: ${skip}`));
  if (skips.length > 0) console.log(`\nSkipped:\n${skips.join('\n')}`);
  for (const problem of problems) console.log(`\nFAILED: ${problem}`);
  console.log(`\n${files.length} files in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Tests that a full run must execute at least; raised by hand when tests are added. */
function readFloor(): number {
  const { executed } = JSON.parse(readFileSync(join(root, 'floor.json'), 'utf8')) as { executed: number };
  if (!Number.isInteger(executed) || executed < 1)
    throw new Error('floor.json: "executed" should be a positive number');
  return executed;
}

async function runAll(files: string[], jobs: number): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file);
      results.push(result);
      console.log(line(result));
      if (result.problems.length > 0) console.log(excerpt(result.output));
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results.sort((a, b) => (a.file < b.file ? -1 : 1));
}

function line({ file, problems, passed, failed, skips, elapsedMs }: FileResult): string {
  const state = problems.length === 0 ? 'ok  ' : 'FAIL';
  const time = `${(elapsedMs / 1000).toFixed(1)} s`.padStart(8);
  const counts = [`${passed} passed`, failed > 0 && `${failed} failed`, skips.length > 0 && `${skips.length} skipped`];
  return `${state} ${time}  ${file}  ${counts.filter(Boolean).join(', ')}${problems.length > 0 ? `: ${problems[0]}` : ''}`;
}

/** The first failing assertion; where uvu printed none, the end of the output. */
function excerpt(output: string): string {
  const lines = stripVTControlCharacters(output)
    .split('\n')
    .filter((text) => text.trim() !== '' && !text.includes('/node_modules/uvu/'));
  const first = lines.findIndex((text) => /^ {3}FAIL {2}/.test(text));
  const end = lines.findIndex((text) => /^ {2}Total: /.test(text));
  const shown =
    first >= 0
      ? lines.slice(first, end < first ? undefined : end).slice(0, EXCERPT_LINES_MAX)
      : lines.slice(-EXCERPT_LINES_MAX);
  return shown.map((text) => `    │ ${text}`.trimEnd()).join('\n');
}

async function runFile(file: string): Promise<FileResult> {
  const startedAt = performance.now();
  const mark = `${process.pid}-${basename(file)}-${Math.round(startedAt * 1000)}`;
  const limitMs = flags.limit ? Number(flags.limit) * 1000 : limitOf(file);
  const exit = await runProcess(join(root, file), mark, limitMs);
  const verdict = judge(exit, limitMs, file);
  if (exit.left.length > 0 && !exit.timedOut) verdict.problems.push(`left running: ${exit.left.join(', ')}`);
  if (verdict.problems.length > 0 && verdict.failed === 0) verdict.failed = 1;
  return { file, ...verdict, output: exit.output, elapsedMs: performance.now() - startedAt };
}

function limitOf(file: string): number {
  if (file.startsWith(CONTAINERS)) return CONTAINERS_LIMIT_MS;
  return file.startsWith(`e2e${sep}`) ? E2E_LIMIT_MS : UNIT_LIMIT_MS;
}

/** What a finished file is worth. Every way in which uvu looks green without being so is a problem here. */
function judge(exit: Exit, limitMs: number, file: string) {
  const problems = sourceProblems(readFileSync(join(root, file), 'utf8'));
  const text = stripVTControlCharacters(exit.output);
  const totals = [...text.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)\n/gm)];
  const skips = [...text.matchAll(/^SKIP (.+: .+)$/gm)].map((match) => match[1]!);
  if (exit.timedOut) problems.push(`still running after ${limitMs / 1000} s`);
  else if (exit.signal) problems.push(`killed by ${exit.signal}`);
  else if (exit.code !== 0) problems.push(`exit code ${exit.code}`);
  if (totals.length !== 1) {
    problems.push(totals.length === 0 ? 'no totals were printed' : `${totals.length} totals were printed`);
    return { problems, passed: 0, failed: 1, skips };
  }
  const [total, passed, skipped] = totals[0]!.slice(1).map(Number) as [number, number, number];
  if (total === 0 && skipped === 0) problems.push('no test was executed');
  if (passed !== total) problems.push(`${total - passed} of ${total} tests did not pass`);
  if (skipped !== skips.length)
    problems.push(`${skipped} skipped, but ${skips.length} reasons (a .only counts as skips)`);
  if (mustHaveEngine && file.startsWith(CONTAINERS) && skipped > 0) {
    problems.push('MT_REQUIRE_ENGINE=1, but tests were skipped');
  }
  return { problems, passed, failed: total - passed, skips };
}

/** What the source alone shows: a forgotten `.run()`, which leaves a whole suite out in silence, or a left `.only`. */
function sourceProblems(source: string): string[] {
  const problems: string[] = [];
  const suites = [...source.matchAll(/= suite(?:<[^\n]*>)?\(/g)].length;
  const runs = [...source.matchAll(/^\s*[\w.]+\.run\(\);?$/gm)].length;
  if (runs < Math.max(1, suites)) problems.push(`${suites} suites, but ${runs} are run: .run() is missing`);
  if (/^\s*\w+\.only\(/m.test(source)) problems.push('a .only is left');
  return problems;
}

function runProcess(path: string, mark: string, limitMs: number): Promise<Exit> {
  return new Promise((resolve) => {
    const env = { ...process.env, MT_GATE_MARK: mark };
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path], {
      cwd: dirname(root),
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a process group of its own, so that all of it can be killed
    });
    running.add(child);
    let output = '';
    let timedOut = false;
    const keep = (chunk: string) => {
      output = (output + chunk).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child);
    }, limitMs);
    let swept = Promise.resolve<string[]>([]);
    child.on('error', (error) => keep(`${error}\n`));
    child.on('exit', () => {
      clearTimeout(timer);
      swept = sweep(mark).finally(() => killGroup(child));
    });
    child.on('close', async (code, signal) => {
      running.delete(child);
      const left = await swept; // a survivor may have closed our pipes
      resolve({ code, signal, timedOut, output, left });
    });
  });
}

/** Ends what a file left running, and names it. */
async function sweep(mark: string): Promise<string[]> {
  const left = await leftAfterGrace(mark);
  for (const { pid } of left) killQuietly(pid);
  if (left.length > 0) await leftAfterGrace(mark);
  return left.map(({ pid, command }) => `${pid} ${command}`);
}

async function leftAfterGrace(mark: string): Promise<{ pid: number; command: string }[]> {
  const deadline = performance.now() + LEFT_GRACE_MS;
  for (;;) {
    const left = findMarked(mark);
    if (left.length === 0 || performance.now() > deadline) return left;
    await sleep(LEFT_LOOK_MS);
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined) killQuietly(-child.pid);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** Living processes, in any process group, whose environment carries the mark of a test file (Linux). */
function findMarked(mark: string): { pid: number; command: string }[] {
  if (!existsSync('/proc/self/environ')) return [];
  const found: { pid: number; command: string }[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`MT_GATE_MARK=${mark}\0`)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 4).join(' ').trim();
      if (command !== '') found.push({ pid: Number(pid), command }); // none: a zombie, dead and not yet reaped
    } catch {
      // Gone meanwhile, or not ours to look at.
    }
  }
  return found;
}
