// One seed from start to verdict: chaos under invariants, then healing, convergence within a bound, and the clients' history.
import { App } from './app.ts';
import { SimCluster } from './cluster.ts';
import { type Fault, inject, planCompounds, planFaults } from './faults.ts';
import { groupsModel } from './groups-model.ts';
import { Violation } from './invariants.ts';
import { checkLinearizable } from './linearizability.ts';
import { Prng } from './prng.ts';
import { World } from './world.ts';

const CHAOS_MS = 62_000;
/** A healed majority must be one cluster again within this much virtual time. */
const CONVERGE_MS_MAX = 15_000;
const LOG_MATCHING_EVERY_MS = 2_000;

export interface RunResult {
  readonly seed: number;
  /** Null when all is well; else what was violated. */
  readonly violation: string | null;
  readonly timeline: readonly string[];
  readonly virtualMs: number;
  readonly convergeMs: number;
  readonly faults: number;
  readonly commands: number;
  readonly unknown: number;
  readonly entries: number;
  readonly checks: number;
}

/** @param keep which of the planned faults to inject; all when absent. */
export function runSeed(seed: number, keep?: ReadonlySet<number>): RunResult {
  const random = new Prng(seed);
  const world = new World();
  const timeline: string[] = [];
  const note = (text: string) => timeline.push(`${(world.now / 1000).toFixed(3).padStart(8)}  ${text}`);
  const size = random.pick([1, 2, 3, 3, 3, 3, 3, 5, 5, 5]);
  const plan = planAll(seed, random.fork());
  const cluster = new SimCluster(world, random.fork(), size, note);
  note(`${size} trackers, ${plan.length} faults planned`);
  let injected = 0;
  let convergeMs = 0;
  let violation: string | null = null;
  try {
    schedule(world, cluster, plan, keep, (text) => {
      injected += 1;
      note(text);
    });
    cluster.start();
    world.runUntil(CHAOS_MS);
    cluster.heal();
    convergeMs = converge(world, cluster);
    replayFromZero(cluster);
    checkHistory(cluster);
  } catch (error) {
    violation = error instanceof Violation ? error.message : String((error as Error).stack ?? error);
    note(`VIOLATION ${violation}`);
  }
  const sum = (of: 'acknowledged' | 'unknown') =>
    cluster.clients.reduce((total, client) => total + client.tally[of], 0);
  return {
    seed,
    violation,
    timeline,
    virtualMs: world.now,
    convergeMs,
    faults: injected,
    commands: sum('acknowledged') + sum('unknown'),
    unknown: sum('unknown'),
    entries: cluster.invariants.committed.length,
    checks: cluster.invariants.checks,
  };
}

function planAll(seed: number, random: Prng): Fault[] {
  return [...planFaults(random, CHAOS_MS), ...planCompounds(seed, CHAOS_MS)];
}

/** The faults that matter: leaves out, half by half, those without which the run still fails. */
export function shrink(seed: number): RunResult {
  const planned = planAll(seed, forkOf(seed)).length;
  let keep = new Set(Array.from({ length: planned }, (_, i) => i));
  let result = runSeed(seed, keep);
  const kind = kindOf(result);
  for (let size = Math.ceil(keep.size / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (const start of [...keep].filter((_, i) => i % size === 0)) {
      const members = [...keep];
      const from = members.indexOf(start);
      if (from < 0) continue;
      const fewer = new Set([...members.slice(0, from), ...members.slice(from + size)]);
      const attempt = runSeed(seed, fewer);
      if (!attempt.violation || kindOf(attempt) !== kind) continue;
      keep = fewer;
      result = attempt;
    }
  }
  return result;
}

/** The first words of a violation, without ids and numbers. */
function kindOf(result: RunResult): string {
  return (result.violation ?? '').replace(/[\d.]+/g, '').slice(0, 24);
}

/** The generator that `runSeed` plans its faults with. */
function forkOf(seed: number): Prng {
  const random = new Prng(seed);
  random.uint32(); // the size
  return random.fork();
}

function schedule(
  world: World,
  cluster: SimCluster,
  plan: readonly Fault[],
  keep: ReadonlySet<number> | undefined,
  onInjected: (text: string) => void,
): void {
  for (const [i, fault] of plan.entries()) {
    if (keep && !keep.has(i)) continue;
    world.after(fault.at, () => {
      const text = inject(cluster, fault);
      if (text) onInjected(`#${i} ${text}`);
    });
  }
  for (let at = LOG_MATCHING_EVERY_MS; at < CHAOS_MS; at += LOG_MATCHING_EVERY_MS) {
    world.after(at, () => cluster.invariants.logMatching());
  }
}

/** @returns how long the healed cluster took to be one again and to answer every client. */
function converge(world: World, cluster: SimCluster): number {
  const healedAt = world.now;
  const deadline = healedAt + CONVERGE_MS_MAX;
  let served = 0;
  for (const client of cluster.clients) client.stop();
  const ask = (client: (typeof cluster.clients)[number]) => client.probe((ok) => (ok ? served++ : ask(client)));
  for (const client of cluster.clients) ask(client);
  let why: string | null = 'not looked yet';
  while (world.now < deadline) {
    world.runUntil(world.now + 100);
    why = served === cluster.clients.length ? cluster.whyNotConverged() : 'clients are not served';
    if (why === null) break;
  }
  cluster.invariants.logMatching();
  if (why !== null) throw new Violation(`no convergence within ${CONVERGE_MS_MAX} virtual ms: ${why}`);
  return world.now - healedAt;
}

/** Event sourcing: all that was ever committed, applied once more to nothing, is the state that the nodes came to by way of snapshots. */
function replayFromZero(cluster: SimCluster): void {
  const app = App.empty(2);
  const hashes = new Map<number, string>();
  for (const entry of cluster.invariants.committed) {
    app.apply(entry);
    if (cluster.nodes.some((node) => node.isUp && node.appliedIndex === entry.index))
      hashes.set(entry.index, app.hash());
  }
  for (const node of cluster.nodes.filter(({ isUp, appliedIndex }) => isUp && appliedIndex > 0)) {
    if (node.app.hash() !== hashes.get(node.appliedIndex))
      throw new Violation(`replay: ${node.id} has another state at ${node.appliedIndex} than the log gives`);
  }
}

function checkHistory(cluster: SimCluster): void {
  const history = cluster.clients.flatMap((client) => client.history);
  const verdict = checkLinearizable(history, groupsModel);
  if (verdict.ok) return;
  const { key, operations, longest } = verdict;
  const inPrefix = new Set(longest);
  const lines = operations
    .filter((_, i) => i >= longest.length - 8 && i < longest.length + 12)
    .map((operation) => {
      const i = operations.indexOf(operation);
      const { user, op } = operation.input;
      const whom = 'whom' in operation.input ? ` ${operation.input.whom}` : '';
      const end = Number.isFinite(operation.returnAt) ? operation.returnAt.toFixed(0) : '?';
      return `${inPrefix.has(i) ? ' ' : '!'} ${operation.callAt.toFixed(0)}-${end} ${user} ${op}${whom}: ${operation.output ?? 'unknown'}`;
    });
  throw new Violation(`history of group ${key} is not linearizable; around where it breaks:\n${lines.join('\n')}`);
}
