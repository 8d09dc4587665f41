// What a tracker's own metrics say about a load: how many durable commits it took, how long they were, how long the event loop stood
// still, what garbage collection cost. So that a slow run explains itself.
import { get } from 'node:http';

type Samples = ReadonlyMap<string, number>;

export interface LoadInside {
  readonly commits: number;
  /** Upper bound of the bucket that the 99th of 100 commits is in, ms. */
  readonly commitP99Ms: number;
  /** Longest that the loop stood still, ms. */
  readonly loopMaxMs: number;
  /** Share of the time in garbage collection on the main thread. */
  readonly gcShare: number;
}

const COMMIT = 'mt_tracker_commit_seconds';
const LOOP_MAX = 'nodejs_eventloop_lag_max_seconds';
const GC_SUM = 'nodejs_gc_duration_seconds_sum';

/** Begins a measurement. @returns ends it. */
export async function watchInside(port: number): Promise<() => Promise<LoadInside>> {
  const before = await scrape(port); // the loop's delay is counted anew from here
  const from = performance.now();
  return async () => {
    const after = await scrape(port);
    const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    const commits = grown(`${COMMIT}_count`);
    const buckets = [...after.keys()].filter((name) => name.startsWith(`${COMMIT}_bucket`));
    const p99 = buckets.find((name) => grown(name) >= commits * 0.99);
    const gc = [...after.keys()].filter((name) => name.startsWith(GC_SUM));
    return {
      commits,
      commitP99Ms: Number(/le="([^"]+)"/.exec(p99 ?? '')?.[1]) * 1000,
      loopMaxMs: (after.get(LOOP_MAX) ?? 0) * 1000,
      gcShare: gc.reduce((sum, name) => sum + grown(name), 0) / ((performance.now() - from) / 1000),
    };
  };
}

/** Lines of Prometheus' text format: name with labels, value. */
export function scrape(port: number): Promise<Samples> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', reject);
      response.on('end', () => {
        const samples = new Map<string, number>();
        for (const line of text.split('\n')) {
          const space = line.lastIndexOf(' ');
          if (space > 0 && !line.startsWith('#')) samples.set(line.slice(0, space), Number(line.slice(space + 1)));
        }
        resolve(samples);
      });
    }).on('error', reject);
  });
}
