// The thread of control-probe.ts: one control connection to each daemon, one question at a time on each.
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { ControlClient } from '../../cli/control-client.ts';
import { pause } from './closed-loop.ts';

/** Often enough for a 99th percentile of some hundred answers, rare enough to leave the cores to those who are measured. */
const PROBE_MS = 25;
const CALL_MS_MAX = 10_000;
/** Of this thread; the administrator alone may give it. */
const NICENESS = -10;

const { signal } = new AbortController();
let isOver = false;

async function ask(client: ControlClient): Promise<number> {
  const from = performance.now();
  await client.call('show_downloads', {}, { signal, timeoutMs: CALL_MS_MAX });
  return performance.now() - from;
}

async function probe(client: ControlClient): Promise<number[]> {
  const latencies: number[] = [];
  while (!isOver) {
    latencies.push(await ask(client));
    await pause(PROBE_MS);
  }
  client.close();
  return latencies;
}

try {
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), NICENESS);
} catch {
  // Then it waits for a core like everybody else.
}
const sockets = workerData as readonly string[];
const clients = await Promise.all(
  sockets.map((socket) => ControlClient.open(socket, { signal, timeoutMs: CALL_MS_MAX })),
);
await Promise.all(clients.map(ask));
parentPort!.postMessage('ready');
await once(parentPort!, 'message');
parentPort!.once('message', () => {
  isOver = true;
});
const latencies = await Promise.all(clients.map(probe));
parentPort!.postMessage(latencies.flat());
