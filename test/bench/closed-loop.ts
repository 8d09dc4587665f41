// A closed loop: N callers with one request outstanding each, for some seconds or for so many requests. Shared by the generators of
// bench:cluster, so that trackers and etcd are measured alike.

export interface LoopOptions {
  readonly seconds: number;
  /** Exactly this many operations instead, as fast as they go, all of them measured. */
  readonly count?: number;
}

export interface LoadResult {
  readonly operationsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of the whole seconds: what came through in the slowest. */
  readonly slowestSecond: number;
  readonly errors: number;
  /** All operations, also those of the warm-up. */
  readonly done: number;
  readonly generatorCpuPercent: number;
}

const WARM_UP_MS = 1_000;
/** Of the errors, shown; the others are counted. */
const ERRORS_SHOWN = 3;

/** Told to whoever started the generator: what comes before (logins, say) is no part of what is measured. */
export const STARTED = 'started';

export async function closedLoop<C>(
  callers: readonly C[],
  once: (caller: C) => Promise<unknown>,
  { seconds, count }: LoopOptions,
): Promise<LoadResult> {
  const latencies: number[] = [];
  const bySecond: number[] = [];
  let done = 0;
  let started = 0;
  let errors = 0;
  let recording = count !== undefined;
  let stopping = false;
  let from = 0;
  const noteDone = (startedAtMs: number) => {
    const nowMs = performance.now();
    latencies.push(nowMs - startedAtMs);
    const second = Math.floor((nowMs - from) / 1000);
    bySecond[second] = (bySecond[second] ?? 0) + 1;
  };
  const work = async (caller: C) => {
    while (!stopping && (count === undefined || started < count)) {
      started += 1;
      const startedAtMs = performance.now();
      try {
        await once(caller);
        done += 1;
        if (recording) noteDone(startedAtMs);
      } catch (error) {
        errors += 1;
        if (errors <= ERRORS_SHOWN) console.error(String(error));
      }
    }
  };
  console.log(STARTED);
  from = performance.now();
  let cpu = process.cpuUsage();
  const all = Promise.all(callers.map(work));
  if (count === undefined) {
    await pause(WARM_UP_MS);
    recording = true;
    from = performance.now();
    cpu = process.cpuUsage();
    await pause(seconds * 1000);
    recording = false;
    stopping = true;
  } else {
    await all;
  }
  const elapsedS = (performance.now() - from) / 1000;
  const used = process.cpuUsage(cpu);
  const measured = latencies.length;
  await all;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(measured - 1, Math.floor(measured * share))] ?? 0;
  return {
    operationsPerSecond: Math.round(measured / elapsedS),
    p50Ms: round(at(0.5)),
    p99Ms: round(at(0.99)),
    maxMs: round(at(1)),
    slowestSecond: Math.min(...Array.from({ length: Math.floor(elapsedS) }, (_, second) => bySecond[second] ?? 0)),
    errors,
    done,
    generatorCpuPercent: Math.round((used.user + used.system) / 1e4 / elapsedS),
  };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
