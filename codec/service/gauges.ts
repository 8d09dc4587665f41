// A private Prometheus registry with what every daemon shows of its process: event-loop delay, memory, open files, garbage collection.
// prom-client is loaded by who asks for metrics only.
import type { Gauge, Registry } from 'prom-client';

/** A family of numbers, read when someone asks. */
export interface GaugeSpec {
  readonly name: string;
  readonly help: string;
  /** With labels: one row each. */
  readonly rows: () => readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
  readonly labels?: readonly string[];
  /** It only grows. */
  readonly isCounter?: boolean;
}

export interface Histogram {
  observe(seconds: number): void;
}

export interface Metrics {
  readonly registry: Registry;
  gauge(spec: GaugeSpec): void;
  /** @param buckets upper bounds in seconds. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
}

export async function createMetrics(version: string): Promise<Metrics> {
  const client = await import('prom-client');
  const registry = new client.Registry();
  client.collectDefaultMetrics({ register: registry });
  const metrics: Metrics = {
    registry,
    gauge: ({ name, help, rows, labels = [], isCounter = false }) => {
      const Family = isCounter ? client.Counter : client.Gauge;
      new Family({
        name,
        help,
        labelNames: [...labels],
        registers: [registry],
        collect() {
          this.reset();
          for (const [own, value] of rows()) (this as Gauge).inc({ ...own }, value);
        },
      });
    },
    histogram: (name, help, buckets) =>
      new client.Histogram({ name, help, buckets: [...buckets], registers: [registry] }),
  };
  metrics.gauge({
    name: 'mt_info',
    help: 'The version that runs',
    labels: ['version'],
    rows: () => [[{ version }, 1]],
  });
  return metrics;
}

/** One number without labels. */
export function single(value: () => number): GaugeSpec['rows'] {
  return () => [[{}, value()]];
}
