// One run of a transfer scenario through mini-torrent's real programs: `mt download_file` from its start to its exit. While it
// runs, a control connection asks the daemons again and again, so that a busy event loop is seen from outside.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ControlApi } from '../../codec/control-api.ts';
import type { Result } from '../../codec/rpc.ts';
import { makeFile, sha1Of } from '../harness/files.ts';
import { until } from '../harness/until.ts';
import { type Daemon, World } from '../harness/world.ts';
import { ControlProbe } from './control-probe.ts';
import { scrape } from './tracker-metrics.ts';
import {
  type Contender,
  cpuSeconds,
  MIB,
  type Payload,
  peakMiB,
  type Run,
  type Scenario,
  sum,
  warmPages,
} from './transfer-scenarios.ts';

export const OWN_NAME = 'mini-torrent';
const GROUP = 'bench';
const FILE = 'payload';
const EARLIER_FILE = 'earlier';
/** What prom-client's histogram counts even when the loop does not stand still. */
const LOOP_RESOLUTION_MS = 10;

export interface OwnOptions {
  /** Where the daemons leave CPU profiles; empty: nowhere. Timings with profiles are not to be quoted. */
  readonly profileDir: string;
  /** Whether the first of each side is watched from inside too, which costs it some MiB and wake-ups. */
  readonly isLoopWatched: boolean;
  /** Size of another file that these very daemons transfer before, untimed, as daemons do that live for weeks; 0: none. */
  readonly earlierMiB: number;
}

export function ownTransfer({ profileDir, isLoopWatched, earlierMiB }: OwnOptions): Contender {
  return {
    name: earlierMiB > 0 ? `${OWN_NAME}, warm` : OWN_NAME,
    async run(scenario: Scenario, payload: Payload): Promise<Run> {
      const world = new World({ trackerCount: 1 });
      try {
        await world.startTrackers();
        if (profileDir) world.env.NODE_OPTIONS = `--cpu-prof --cpu-prof-dir=${profileDir}`;
        const result = await runIn(world, scenario, payload, { isLoopWatched, earlierMiB });
        if (profileDir) await Promise.all(world.daemons.map((daemon) => daemon.program.stop()));
        return result;
      } finally {
        await world.close();
      }
    },
  };
}

async function runIn(
  world: World,
  scenario: Scenario,
  payload: Payload,
  { isLoopWatched, earlierMiB }: Pick<OwnOptions, 'isLoopWatched' | 'earlierMiB'>,
): Promise<Run> {
  const limit = scenario.uploadLimit > 0 ? ['--upload-limit', String(scenario.uploadLimit)] : [];
  const start = async (role: string, i: number) =>
    world.daemon(`${role}-${i}`).start(...limit, ...(isLoopWatched && i === 0 ? ['--metrics-port', '0'] : []));
  const seeders: Daemon[] = [];
  for (let i = 0; i < scenario.seeders; i++) seeders.push(await start('seeder', i));
  const leechers: Daemon[] = [];
  for (let i = 0; i < scenario.leechers; i++) leechers.push(await start('leecher', i));
  delete world.env.NODE_OPTIONS;
  for (const daemon of world.daemons) await daemon.enter();
  await world.group(GROUP, seeders[0]!, ...seeders.slice(1), ...leechers);
  if (earlierMiB > 0) await transferEarlier(world, { seeders, leechers, sizeBytes: earlierMiB * MIB });
  const uploads: number[] = [];
  for (const seeder of seeders) {
    const from = performance.now();
    await seeder.ok('upload_file', payload.path, GROUP);
    uploads.push((performance.now() - from) / 1000);
  }

  const pids = (daemons: readonly Daemon[]) => daemons.map((daemon) => daemon.program.pid);
  const cpuOf = (daemons: readonly Daemon[]) => sum(pids(daemons).map(cpuSeconds));
  const before = { seeders: cpuOf(seeders), leechers: cpuOf(leechers) };
  const contentBefore = await contentOf(seeders, leechers);
  const watched = [seeders[0]!, leechers[0]!];
  const probe = await ControlProbe.start(watched);
  warmPages(payload, scenario); // last of all, as the others have it: warm pages are gone half a second later
  probe.begin();
  if (isLoopWatched) await Promise.all(watched.map(loopStandsMs)); // counted anew from here
  const from = performance.now();
  await Promise.all(leechers.map((leecher) => leecher.ok('download_file', GROUP, FILE, leecher.path('copy'))));
  const seconds = (performance.now() - from) / 1000;
  const after = { seeders: cpuOf(seeders), leechers: cpuOf(leechers) };
  const standsMs = isLoopWatched ? await Promise.all(watched.map(loopStandsMs)) : [];
  const latencies = await probe.end();

  const exitedAt = performance.now();
  await until('the copies are safe from a power loss', () => leechers.every(isSettled), { everyMs: 5 });
  const settledS = (performance.now() - exitedAt) / 1000;
  // Before the copies go: a daemon that misses a file starts threads to look for it elsewhere.
  const peakOf = (daemons: readonly Daemon[]) => Math.max(...pids(daemons).map(peakMiB));
  const peak = { seeders: peakOf(seeders), leechers: peakOf(leechers) };
  for (const leecher of leechers) {
    if (sha1Of(leecher.path('copy')) !== payload.sha1) throw new Error(`the copy of ${leecher.name} differs`);
    rmSync(leecher.path('copy'));
  }
  const content = await contentOf(seeders, leechers);
  const wanted = scenario.sizeBytes * scenario.leechers;
  return {
    seconds,
    seederCpu: after.seeders - before.seeders,
    leecherCpu: after.leechers - before.leechers,
    seederPeakMiB: peak.seeders,
    leecherPeakMiB: peak.leechers,
    more: {
      'upload s': uploads[0]!,
      'seeders sent / F': (content.served - contentBefore.served) / scenario.sizeBytes,
      'useless %': (100 * (content.fetched - contentBefore.fetched - wanted)) / wanted,
      'control p99 ms': latencies[Math.floor(latencies.length * 0.99)] ?? 0,
      'control max ms': latencies.at(-1) ?? 0,
      ...(isLoopWatched && { 'loop p99 ms': Math.max(...standsMs) }),
      'synced after s': settledS,
    },
  };
}

/** The same daemons move another file in the same way, to its end. */
async function transferEarlier(
  world: World,
  { seeders, leechers, sizeBytes }: { seeders: readonly Daemon[]; leechers: readonly Daemon[]; sizeBytes: number },
): Promise<void> {
  const path = join(world.dir, EARLIER_FILE);
  makeFile(path, sizeBytes, EARLIER_FILE);
  for (const seeder of seeders) await seeder.ok('upload_file', path, GROUP);
  await Promise.all(leechers.map((leecher) => leecher.ok('download_file', GROUP, EARLIER_FILE, leecher.dir)));
  await until('the earlier copies are synced', () => leechers.every(isSettled));
}

/** Bytes of content that seeders sent and leechers got, ever. */
async function contentOf(seeders: readonly Daemon[], leechers: readonly Daemon[]) {
  const served = await Promise.all(seeders.map(statusOf));
  const fetched = await Promise.all(leechers.map(statusOf));
  return {
    served: sum(served.map((status) => status.bytes_uploaded)),
    fetched: sum(fetched.map((status) => status.bytes_downloaded)),
  };
}

/** 99 % of the event loop's turns since the last call were shorter, ms. */
async function loopStandsMs({ program }: Daemon): Promise<number> {
  const port = Number(/"port":(\d+),"msg":"metrics/.exec(program.stderr)?.[1]);
  const seconds = (await scrape(port)).get('nodejs_eventloop_lag_p99_seconds') ?? 0;
  return Math.max(0, seconds * 1000 - LOOP_RESOLUTION_MS);
}

/** Its downloads are synced: then the maps of their pieces go. */
function isSettled(leecher: Daemon): boolean {
  return readdirSync(leecher.path('data', 'downloads')).every((name) => !name.endsWith('.map'));
}

async function statusOf(daemon: Daemon): Promise<Result<ControlApi, 'status'>> {
  return daemon.ok<Result<ControlApi, 'status'>>('status');
}
