// npm run fuzz -- --seconds S [--seed N] [--only TEXT]: mutates bytes for every parser that meets bytes of others. Only declared
// errors may come out, and memory may not grow. A finding prints target, seed and input; exit 1.
import { parseArgs } from 'node:util';
import { fuzz } from './run.ts';
import { TARGETS } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
/** Beyond what was in use after the first tenth of the run: the parsers keep nothing. */
const GROWTH_MIB_MAX = 64;
const REPORT_MS = 5_000;

const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const seconds = Number(values.seconds);
const targets = TARGETS.filter(({ name }) => name.includes(values.only));
console.log(`seed ${seed}, ${targets.length} parsers, ${seconds} s`);

process.on('unhandledRejection', (error) => {
  console.error('UNHANDLED', error);
  process.exit(1);
});
const startedAt = performance.now();
const heapMiB = () => {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
};
let base: number | null = null;
let reportedAt = startedAt;
const result = await fuzz({
  targets,
  seed,
  untilMs: startedAt + seconds * 1_000,
  inputsMax: Number.POSITIVE_INFINITY,
  onProgress: (inputs) => {
    const now = performance.now();
    if (base === null && now - startedAt > seconds * 100) base = heapMiB();
    if (now - reportedAt < REPORT_MS) return;
    reportedAt = now;
    console.log(
      `${inputs} inputs, ${Math.round((inputs / (now - startedAt)) * 1_000)}/s, heap ${Math.round(heapMiB())} MiB`,
    );
  },
});
const elapsedS = (performance.now() - startedAt) / 1_000;
const growthMiB = base === null ? 0 : heapMiB() - base;
console.log(
  `${result.inputs} inputs in ${elapsedS.toFixed(1)} s (${Math.round(result.inputs / elapsedS)}/s), ` +
    `${Math.round((result.accepted / result.inputs) * 100)} % accepted, memory ${growthMiB >= 0 ? '+' : ''}${growthMiB.toFixed(1)} MiB`,
);
if (result.finding) {
  const { target, input, error } = result.finding;
  console.error(`FOUND in "${target}" (seed ${seed}, input ${result.inputs}):`, error);
  console.error(`input: ${Buffer.from(input).toString('hex').slice(0, 4_000)}`);
}
const grew = globalThis.gc !== undefined && growthMiB > GROWTH_MIB_MAX;
if (grew) console.error(`memory grew by ${growthMiB.toFixed(1)} MiB`);
process.exit(result.finding || grew ? 1 : 0);
