// npm run bench:transfer [-- --only one,four,flash,limited,upload] [--rounds 3]
// Transfers through the real programs: from the first `mt download_file` to the last one's exit, every copy compared. CPU seconds and
// peak memory of the daemons beside the time. Everything is encrypted, and every piece and every whole file is checked.
import { readFileSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { sha1Of } from '../harness/files.ts';
import { type Daemon, World } from '../harness/world.ts';

const MIB = 1 << 20;
/** Kernel ticks a second in /proc/PID/stat. */
const TICKS_PER_SECOND = 100;
const GROUP = 'bench';

interface Scenario {
  readonly name: string;
  readonly seeders: number;
  readonly leechers: number;
  readonly sizeMiB: number;
  /** Bytes a second that each daemon may upload; 0: no limit. */
  readonly uploadLimit: number;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'one', seeders: 1, leechers: 1, sizeMiB: 1024, uploadLimit: 0 },
  { name: 'four', seeders: 4, leechers: 1, sizeMiB: 512, uploadLimit: 0 },
  { name: 'flash', seeders: 1, leechers: 4, sizeMiB: 256, uploadLimit: 0 },
  { name: 'limited', seeders: 1, leechers: 8, sizeMiB: 64, uploadLimit: 20_000_000 },
];

interface Run {
  readonly seconds: number;
  readonly uploadSeconds: number;
  readonly seederCpu: number;
  readonly leecherCpu: number;
  readonly seederPeakMiB: number;
  readonly leecherPeakMiB: number;
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'one,four,flash,limited' },
    rounds: { type: 'string', default: '3' },
  },
});
const chosen = new Set(values.only.split(','));

for (const scenario of SCENARIOS) {
  if (!chosen.has(scenario.name)) continue;
  const runs: Run[] = [];
  for (let round = 0; round < Number(values.rounds); round++) runs.push(await run(scenario));
  report(scenario, runs);
}

async function run(scenario: Scenario): Promise<Run> {
  const world = new World({ trackerCount: 1 });
  try {
    await world.startTrackers();
    const limit = scenario.uploadLimit > 0 ? ['--upload-limit', String(scenario.uploadLimit)] : [];
    const make = async (name: string) => (await world.daemon(name).start(...limit)).enter();
    const seeders: Daemon[] = [];
    for (let i = 0; i < scenario.seeders; i++) seeders.push(await make(`seeder-${i}`));
    const leechers: Daemon[] = [];
    for (let i = 0; i < scenario.leechers; i++) leechers.push(await make(`leecher-${i}`));
    await world.group(GROUP, seeders[0]!, ...seeders.slice(1), ...leechers);
    const { path, sha1 } = seeders[0]!.file('payload', scenario.sizeMiB * MIB);
    const uploadFrom = performance.now();
    for (const seeder of seeders) await seeder.ok('upload_file', path, GROUP);
    const uploadSeconds = (performance.now() - uploadFrom) / 1000 / seeders.length;
    const before = [...seeders, ...leechers].map(cpuSeconds);
    const from = performance.now();
    await Promise.all(leechers.map((leecher) => leecher.ok('download_file', GROUP, 'payload', leecher.path('copy'))));
    const seconds = (performance.now() - from) / 1000;
    const used = [...seeders, ...leechers].map((daemon, i) => cpuSeconds(daemon) - before[i]!);
    const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
    for (const leecher of leechers) {
      if (sha1Of(leecher.path('copy')) !== sha1) throw new Error(`the copy of ${leecher.name} differs`);
      rmSync(leecher.path('copy'));
    }
    return {
      seconds,
      uploadSeconds,
      seederCpu: sum(used.slice(0, seeders.length)),
      leecherCpu: sum(used.slice(seeders.length)),
      seederPeakMiB: Math.max(...seeders.map(peakMiB)),
      leecherPeakMiB: Math.max(...leechers.map(peakMiB)),
    };
  } finally {
    await world.close();
  }
}

function report(scenario: Scenario, runs: readonly Run[]): void {
  const median = (of: (run: Run) => number) => runs.map(of).sort((a, b) => a - b)[runs.length >> 1]!;
  const seconds = median((r) => r.seconds);
  const bytes = scenario.sizeMiB * MIB * scenario.leechers;
  const { uploadLimit, leechers, seeders } = scenario;
  // Kumar and Ross 2006: nobody can be faster than the seeder's link, nor all than all uploads together.
  const size = scenario.sizeMiB * MIB;
  const bound =
    uploadLimit > 0
      ? Math.max(size / (uploadLimit * seeders), (leechers * size) / (uploadLimit * (seeders + leechers)))
      : 0;
  console.log(
    [
      `${scenario.name.padEnd(8)} ${seeders} -> ${leechers}, ${scenario.sizeMiB} MiB:`,
      `${seconds.toFixed(2)} s (${runs.map((r) => r.seconds.toFixed(2)).join(' ')})`,
      `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`,
      bound > 0 ? `${(seconds / bound).toFixed(3)} x the bound of ${bound.toFixed(2)} s` : '',
      `CPU ${median((r) => r.seederCpu).toFixed(2)} + ${median((r) => r.leecherCpu).toFixed(2)} s`,
      `peak ${median((r) => r.seederPeakMiB)} / ${median((r) => r.leecherPeakMiB)} MiB (seeder / leecher)`,
      `upload ${median((r) => r.uploadSeconds).toFixed(2)} s`,
    ]
      .filter(Boolean)
      .join('  '),
  );
}

function cpuSeconds(daemon: Daemon): number {
  const fields = readFileSync(`/proc/${daemon.program.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function peakMiB(daemon: Daemon): number {
  const status = readFileSync(`/proc/${daemon.program.pid}/status`, 'utf8');
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024);
}
