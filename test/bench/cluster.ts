// How fast three trackers on this machine are: real commands over the real encrypted protocol, durable on a majority. With --etcd the
// same loads run in turn against etcd, where it is installed, and the table says the ratios: absolute figures are the machine's.
//
//   npm run bench:cluster -- [--etcd] [--only writes,shares,reads,failover,restart,memory] [--callers 1,64,256] [--seconds 5]
//                            [--rounds 3] [--failovers 50] [--commands 200000] [--files 100000] [--profile DIR]
//
// Says how often the term rose while a load ran (a false election), and what a slow run would be slow of: the slowest second, how
// long the leader's commits took to be durable, how long its event loop stood still. --profile leaves a CPU profile of each tracker in DIR and shows
// where its time went (test/bench/profile.ts); the figures of that run are slower.
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type LoadResult, pause } from './closed-loop.ts';
import { EtcdCluster } from './etcd-cluster.ts';
import { printProfiles } from './profile.ts';
import { costOf, EtcdSide, type Side, TrackerSide } from './sides.ts';
import type { LoadOperation } from './tracker-load.ts';
import type { LoadInside } from './tracker-metrics.ts';

const PROBE_EVERY_MS = 10;
const OUTAGE_MS_MAX = 20_000;
const RESTARTS = 5;
const FILL_CALLERS = 256;
/** Of the memory run: enough to keep the trackers busy. */
const SHARE_CALLERS = 64;

const { values: flags } = parseArgs({
  options: {
    etcd: { type: 'boolean', default: false },
    only: { type: 'string', default: 'writes,shares,reads,failover,restart' },
    callers: { type: 'string', default: '1,64,256' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    failovers: { type: 'string', default: '50' },
    commands: { type: 'string', default: '200000' },
    files: { type: 'string', default: '100000' },
    profile: { type: 'string' },
  },
});

const LOADS: readonly { part: string; operation: LoadOperation; ours: string; theirs: string | null }[] = [
  { part: 'writes', operation: 'create_group', ours: 'create_group', theirs: 'put' },
  { part: 'shares', operation: 'share_file', ours: 'share_file of 64 MiB', theirs: null },
  { part: 'reads', operation: 'read', ours: 'linearizable read', theirs: 'linearizable range' },
];
/** Parts that begin with a cluster of their own: what is in it matters. */
const FRESH = { restart: measureRestart, memory: measureMemory } as const;

const parts = new Set(flags.only.split(','));
const sides: Side[] = [];
console.log(`load average before: ${loadavg()[0]!.toFixed(1)}`);
try {
  if (LOADS.some(({ part }) => parts.has(part)) || parts.has('failover')) await compareSides();
  for (const [part, measure] of Object.entries(FRESH)) {
    if (parts.has(part)) await withTrackers(measure);
  }
} finally {
  await Promise.all(sides.map((side) => side.stop()));
}
if (flags.profile) printProfiles(flags.profile);

async function compareSides(): Promise<void> {
  const trackers = await TrackerSide.start(flags.profile ? `--cpu-prof --cpu-prof-dir=${flags.profile}` : '');
  sides.push(trackers);
  if (flags.etcd) {
    if (EtcdCluster.isInstalled()) sides.push(await EtcdSide.start());
    else console.log('etcd is not installed here (Debian: etcd-server): without it');
  }
  for (const { part, operation, ours, theirs } of LOADS) {
    if (!parts.has(part)) continue;
    const compared = theirs === null ? sides.slice(0, 1) : sides;
    for (const callers of flags.callers.split(',').map(Number)) {
      await measureLoad(compared, operation, callers, [ours, theirs ?? '']);
    }
  }
  if (parts.has('failover')) for (const side of sides) await measureFailover(side);
  if (flags.profile) for (const { pid } of trackers.world.trackers.values()) process.kill(pid, 'SIGTERM');
  if (flags.profile) await Promise.all([...trackers.world.trackers.values()].map((program) => program.exit()));
}

async function measureLoad(compared: Side[], operation: LoadOperation, callers: number, names: string[]) {
  const loops = { seconds: Number(flags.seconds) };
  const results: LoadResult[][] = compared.map(() => []);
  const costs = compared.map(() => ({
    leader: 0,
    followers: 0,
    done: 0,
    elections: 0,
    resident: [] as number[],
    insides: [] as LoadInside[],
  }));
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const [i, side] of compared.entries()) {
      const leader = await side.leader();
      const term = await side.term();
      const inside = await side.watchInside(leader);
      let before: number[] = [];
      const result = await side.load(operation, callers, loops, () => {
        before = side.nodes.map((node) => costOf(side.pid(node)).cpuSeconds);
      });
      const cost = costs[i]!;
      cost.resident = [];
      for (const [at, node] of side.nodes.entries()) {
        const { cpuSeconds, residentMiB } = costOf(side.pid(node));
        cost[node === leader ? 'leader' : 'followers'] += cpuSeconds - before[at]!;
        cost.resident.push(residentMiB);
      }
      cost.done += result.done;
      const seen = await inside();
      if (seen) cost.insides.push(seen);
      cost.elections += (await side.term()) - term;
      results[i]!.push(result);
    }
  }
  for (const [i, side] of compared.entries()) {
    const median = (of: (result: LoadResult) => number) => middle(results[i]!.map(of));
    const cost = costs[i]!;
    const perOperation = (seconds: number) => `${Math.round((seconds / cost.done) * 1e6)} µs`;
    const rate = median((r) => r.operationsPerSecond);
    const first = middle(results[0]!.map((r) => r.operationsPerSecond));
    const row = [
      side.name.padEnd(12),
      (names[i] ?? '').padEnd(20),
      `${String(callers).padStart(3)} callers`,
      `${String(rate).padStart(6)}/s`,
      `p50 ${median((r) => r.p50Ms).toFixed(1)} ms`.padStart(12),
      `p99 ${median((r) => r.p99Ms).toFixed(1)} ms`.padStart(13),
      `CPU an operation: leader ${perOperation(cost.leader)}, follower ${perOperation(cost.followers / 2)}`,
      `resident ${cost.resident.join('/')} MiB`,
      `errors ${results[i]!.reduce((sum, r) => sum + r.errors, 0)}, term rose ${cost.elections} times`,
      i === 0 ? '' : `ours is ${(first / rate).toFixed(2)} times as many`,
    ];
    console.log(row.filter(Boolean).join('  '));
    const written = operation === 'read' ? null : cost.done;
    console.log(`              ${describeInside(results[i]!, cost.insides, written)}`);
  }
}

/** What a slow run was slow of: the worst of all rounds. @param written commands; null when all only read. */
function describeInside(results: readonly LoadResult[], insides: readonly LoadInside[], written: number | null) {
  const worst = (of: (inside: LoadInside) => number) => Math.max(...insides.map(of));
  const parts = [
    `slowest second ${Math.min(...results.map((r) => r.slowestSecond))}/s`,
    `slowest answer ${Math.max(...results.map((r) => r.maxMs)).toFixed(0)} ms`,
    `generator ${Math.max(...results.map((r) => r.generatorCpuPercent))} % CPU`,
  ];
  if (insides.length > 0) {
    const commits = insides.reduce((sum, inside) => sum + inside.commits, 0);
    if (written !== null) parts.push(`leader: ${(written / commits).toFixed(0)} commands a commit`);
    parts.push(
      `99 % durable within ${worst((inside) => inside.commitP99Ms)} ms`,
      `loop stood still for ${worst((inside) => inside.loopMaxMs).toFixed(0)} ms at most`,
      `garbage collection ${(worst((inside) => inside.gcShare) * 100).toFixed(0)} %`,
    );
  }
  return parts.join('  ');
}

/** The leader dies by kill -9; an open-loop probe at the others says how long nobody was served. */
async function measureFailover(side: Side): Promise<void> {
  const outages: number[] = [];
  const began = await side.term();
  for (let trial = 0; trial < Number(flags.failovers); trial++) {
    const victim = await side.leader();
    outages.push(await outageWithout(side, victim));
    await side.restart(victim);
  }
  const elections = (await side.term()) - began;
  outages.sort((a, b) => a - b);
  console.log(
    `${side.name.padEnd(12)}  kill -9 of the leader, ${outages.length} times: next acknowledged write after ` +
      `${middle(outages)} ms (median), ${outages[0]} to ${outages.at(-1)} ms; ${elections} terms for ${outages.length} kills`,
  );
}

async function outageWithout(side: Side, victim: number): Promise<number> {
  const probes = await Promise.all(side.nodes.filter((node) => node !== victim).map((node) => side.probe(node)));
  let killedAt = 0;
  let firstAt = 0;
  const timer = setInterval(() => {
    for (const probe of probes) {
      const sentAt = performance.now();
      probe.write().then(
        () => {
          if (killedAt > 0 && sentAt > killedAt && firstAt === 0) firstAt = performance.now();
        },
        () => {}, // refused or unknown while nobody leads
      );
    }
  }, PROBE_EVERY_MS);
  // A random moment of the heartbeat.
  await pause(300 + Math.random() * 200);
  killedAt = performance.now();
  process.kill(side.pid(victim), 'SIGKILL');
  while (firstAt === 0 && performance.now() - killedAt < OUTAGE_MS_MAX) await pause(1);
  clearInterval(timer);
  for (const probe of probes) probe.close();
  return Math.round((firstAt || performance.now()) - killedAt);
}

/** A follower whose log holds that many commands: from its start until it says that it is ready. */
async function measureRestart(side: TrackerSide): Promise<void> {
  const count = Number(flags.commands);
  const { operationsPerSecond } = await side.load('create_group', FILL_CALLERS, { seconds: 0, count });
  const leader = await side.leader();
  const follower = side.nodes.find((node) => node !== leader)!;
  const times: number[] = [];
  for (let trial = 0; trial < RESTARTS; trial++) {
    await side.world.trackers.get(follower)!.kill();
    const from = performance.now();
    await side.world.startTracker(follower);
    times.push(Math.round(performance.now() - from));
  }
  console.log(
    `restart with ${count} commands (written at ${operationsPerSecond}/s): ready after ${middle(times)} ms ` +
      `(${times.join(' ')}), resident ${resident(side)} MiB`,
  );
}

async function measureMemory(side: TrackerSide): Promise<void> {
  const count = Number(flags.files);
  const { operationsPerSecond } = await side.load('share_file', SHARE_CALLERS, { seconds: 0, count });
  const busy = resident(side);
  for (const node of side.nodes) await side.restart(node);
  console.log(
    `${count} files of 64 MiB (shared at ${operationsPerSecond}/s): resident ${busy} MiB right after the load, ` +
      `${resident(side)} MiB after a restart of each`,
  );
}

async function withTrackers(measure: (side: TrackerSide) => Promise<void>): Promise<void> {
  const side = await TrackerSide.start();
  sides.push(side);
  await measure(side);
  sides.splice(sides.indexOf(side), 1);
  await side.stop();
}

function resident(side: Side): string {
  return side.nodes.map((node) => costOf(side.pid(node)).residentMiB).join('/');
}

function middle(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}
