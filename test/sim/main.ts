// npm run sim -- --seed N            replays one seed with a readable timeline; a failing one is cut short to what matters
// npm run sim -- --seeds N [--start S] [--seconds T] [--stop-at-first]   many, on all cores
// npm run sim -- --mutants [name]    puts known bugs back, one by one; each must be caught
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { checkMutants } from './mutants.ts';
import { type RunResult, runSeed, shrink } from './run.ts';

/** Nearly everything that a run makes is garbage within a virtual second: a twentieth of the time is saved by moving little of it. */
const YOUNG_GENERATION_MB = 192;

if (isMainThread) await main();
else {
  // Rejections are errors too, and their stacks cost more than the rest; a replay has them.
  Error.stackTraceLimit = 0;
  parentPort!.on('message', (seed: number) => parentPort!.postMessage(slim(runSeed(seed))));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      start: { type: 'string', default: '1' },
      seconds: { type: 'string' },
      threads: { type: 'string' },
      'stop-at-first': { type: 'boolean', default: false },
      mutants: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.seed !== undefined) return replay(Number(values.seed));
  const threads = values.threads === undefined ? availableParallelism() : Number(values.threads);
  if (values.mutants) process.exit((await checkMutants(positionals, threads)) ? 0 : 1);
  const ok = await runMany({
    start: Number(values.start),
    count: Number(values.seeds ?? 100),
    stopAtFirst: values['stop-at-first'],
    secondsMax: values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds),
    threads,
  });
  process.exit(ok ? 0 : 1);
}

function replay(seed: number): void {
  let result = runSeed(seed);
  if (result.violation) {
    console.log(`seed ${seed} fails: ${result.violation}\nLeaving out faults that do not matter …`);
    result = shrink(seed);
  }
  console.log(result.timeline.join('\n'));
  console.log(
    `seed ${seed}: ${result.violation ? 'FAILED' : 'ok'}; ${(result.virtualMs / 1000).toFixed(1)} virtual s, ${result.faults} faults, ` +
      `${result.commands} commands (${result.unknown} unknown), ${result.entries} entries, converged in ${result.convergeMs.toFixed(0)} virtual ms`,
  );
  process.exit(result.violation ? 1 : 0);
}

interface Many {
  readonly start: number;
  readonly count: number;
  readonly stopAtFirst: boolean;
  readonly secondsMax: number;
  readonly threads: number;
}

/** @returns whether every seed was clean. */
async function runMany({ start, count, stopAtFirst, secondsMax, threads }: Many): Promise<boolean> {
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1000;
  const results: RunResult[] = [];
  const failures: RunResult[] = [];
  let next = start;
  let shownAt = 0;
  const more = () => next < start + count && elapsed() < secondsMax && !(stopAtFirst && failures.length > 0);
  const onResult = (result: RunResult) => {
    results.push(result);
    if (result.violation) {
      failures.push(result);
      console.log(`seed ${result.seed} FAILED: ${result.violation}\n  replay: npm run sim -- --seed ${result.seed}`);
    }
    if (elapsed() - shownAt >= 20) {
      shownAt = elapsed();
      console.log(`  ${results.length} seeds, ${(results.length / elapsed()).toFixed(1)} seeds/s`);
    }
  };
  const takeSeed = () => (more() ? next++ : null);
  await Promise.all(Array.from({ length: threads }, () => runThread(takeSeed, onResult)));
  summarise(results, failures, elapsed());
  return failures.length === 0 && results.length > 0;
}

/** One worker for all of its seeds: each would compile everything anew. */
function runThread(takeSeed: () => number | null, onResult: (result: RunResult) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), {
      argv: process.argv.slice(2),
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const goOn = () => {
      const seed = takeSeed();
      if (seed === null) void worker.terminate();
      else worker.postMessage(seed);
    };
    worker.on('message', (result: RunResult) => {
      onResult(result);
      goOn();
    });
    worker.on('error', reject);
    worker.on('exit', () => resolve());
    goOn();
  });
}

function summarise(results: readonly RunResult[], failures: readonly RunResult[], seconds: number): void {
  const median = (of: (result: RunResult) => number) => results.map(of).sort((a, b) => a - b)[results.length >> 1] ?? 0;
  const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const shownFailures = failures
    .slice(0, 20)
    .map((r) => r.seed)
    .join(' ');
  console.log(
    [
      `${results.length} seeds in ${seconds.toFixed(1)} s: ${(results.length / seconds).toFixed(1)} seeds/s, ${(sum((r) => r.virtualMs) / 3_600_000).toFixed(1)} virtual hours`,
      `${sum((r) => r.faults)} faults, ${sum((r) => r.commands)} client commands checked (${sum((r) => r.unknown)} of unknown fate), ${sum((r) => r.entries)} entries, ${sum((r) => r.checks)} invariant checks`,
      `median per seed: ${(median((r) => r.virtualMs) / 1000).toFixed(0)} virtual s, ${median((r) => r.commands)} commands, ${median((r) => r.faults)} faults; healed in ${median((r) => r.convergeMs).toFixed(0)} virtual ms`,
      `failing seeds: ${shownFailures || 'none'}`,
      `${results.length - failures.length} passed, ${failures.length} failed (seeds)`,
    ].join('\n'),
  );
}

/** Timelines of clean runs are not worth sending between threads. */
function slim(result: RunResult): RunResult {
  return { ...result, timeline: [] };
}
