// Faults in several acts: each brings about one story that single faults, thrown at random, hardly ever tell. Those of a run are
// drawn from a generator of their own, and only every fourth seed has any: the others stay what they were.
import { filler } from './app.ts';
import type { SimCluster } from './cluster.ts';
import type { SimNode } from './node.ts';
import type { Prng } from './prng.ts';

/** @returns what happens, in words; null when it does not apply just now. */
export type Inject = (cluster: SimCluster, random: Prng) => string | null;

/** Nobody hears it, and it hears nobody. */
export function isolate(cluster: SimCluster, node: SimNode): void {
  for (const other of cluster.nodes) {
    cluster.network.cut(other.number, node.number);
    cluster.network.cut(node.number, other.number);
  }
}

function fill(node: SimNode, count: number, random: Prng): void {
  for (let i = 0; i < count; i++) node.propose(filler(random.int(0, 99)), () => {});
}

/** The leader, and the other voters in random order. */
function cast(cluster: SimCluster, random: Prng): { leader: SimNode; others: SimNode[] } | null {
  const { leader } = cluster;
  const voters = leader?.raft?.status().membership.voters ?? [];
  if (!leader || voters.length < 3) return null;
  return { leader, others: random.shuffle(cluster.nodes.filter(({ id }) => id !== leader.id && voters.includes(id))) };
}

/** Looks every virtual ms, until `ready` or for `limitMs`; then `act`, unless the chaos is over. */
function when(cluster: SimCluster, limitMs: number, ready: () => boolean, act: (isReady: boolean) => void): void {
  const untilMs = cluster.world.now + limitMs;
  const look = () => {
    if (cluster.isHealing) return;
    const isReady = ready();
    if (isReady || cluster.world.now > untilMs) act(isReady);
    else cluster.world.after(1, look);
  };
  look();
}

export const COMPOUNDS = {
  /**
   * A member loses rows that it had promised while as many others as may be are cut off. No sooner has it been sent them again
   * than it dies, with all who have them durably, before its own disk has them: its vote now decides between those that lag.
   */
  relapse: (cluster, random) => {
    const roles = cast(cluster, random);
    if (!roles || cluster.isAnyHurt) return null;
    const { leader, others } = roles;
    const laggards = others.slice(0, others.length / 2);
    const victim = others[laggards.length]!;
    for (const laggard of laggards) isolate(cluster, laggard);
    fill(leader, random.int(0, 20), random);
    cluster.world.after(random.int(100, 900), () => {
      if (cluster.isHealing || !victim.isUp || victim.isPaused) return;
      const hurt = () => cluster.crash(victim, random.int(5, 60), random.int(1, 15));
      if (!cluster.damage(victim, hurt)) return cluster.network.healAll();
      victim.disk.stalledUntil = cluster.world.now + 500;
      const isSentAll = () => {
        const status = victim.raft?.status();
        const goal = leader.raft?.status().commitIndex ?? 0;
        return status !== undefined && status.durableIndex < goal && goal <= status.commitIndex;
      };
      when(cluster, 400, isSentAll, (isReady) => {
        cluster.network.healAll();
        victim.disk.stalledUntil = 0;
        if (!isReady) return;
        cluster.crash(victim, random.int(5, 100));
        for (const node of [leader, ...others.slice(laggards.length + 1)]) cluster.crash(node, random.int(800, 2_500));
      });
    });
    return `${laggards.map(({ id }) => id).join(', ')} cut off; ${victim.id} will lose rows and die while it is refilled, and the rest with it`;
  },
  /** A follower that applies slowly is cut off until the others have purged what it needs, and is sent a snapshot while it still applies. */
  late_snapshot: (cluster, random) => {
    const roles = cast(cluster, random);
    if (!roles) return null;
    const { leader, others } = roles;
    const victim = others[0]!;
    victim.applyStalledUntil = cluster.world.now + random.int(1_000, 4_000);
    fill(leader, random.int(10, 60), random);
    cluster.world.after(random.int(20, 200), () => {
      if (cluster.isHealing) return;
      isolate(cluster, victim);
      let nextFillAt = 0;
      const isPurged = () => {
        if (cluster.world.now >= nextFillAt) {
          nextFillAt = cluster.world.now + 40;
          if (cluster.leader && cluster.leader !== victim) fill(cluster.leader, 30, random);
        }
        const first = cluster.leader?.raft?.status().firstIndex ?? 0;
        return first > (victim.raft?.status().lastIndex ?? 0) + 1;
      };
      when(cluster, 1_500, isPurged, () => {
        cluster.network.healAll();
        if (random.chance(0.5)) return;
        // A restart while the snapshot is on its way: the next one may overtake it.
        cluster.world.after(random.int(5, 150), () => !cluster.isHealing && cluster.crash(victim, random.int(5, 40)));
      });
    });
    return `${victim.id} applies slowly and is cut off until it needs a snapshot`;
  },
  /**
   * One leader after the other is cut off, with a clock so slow that it believes for long that it leads, while the others notice
   * at once and go on without it: whoever asks the old one must not be told what was.
   */
  deposed_leaders: (cluster, random) => {
    if (!cast(cluster, random)) return null;
    let left = random.int(2, 5);
    const depose = () => {
      const old = cluster.leader;
      if (cluster.isHealing || !old || left === 0) return;
      left -= 1;
      old.clockRate = 0.3;
      isolate(cluster, old);
      for (const other of cluster.nodes) if (other !== old) other.input({ type: 'unreachable', node: old.id });
      cluster.world.after(random.int(300, 600), () => {
        old.clockRate = 1;
        if (cluster.isHealing) return;
        cluster.network.healAll();
        cluster.world.after(random.int(100, 400), depose);
      });
    };
    depose();
    return 'leaders are cut off one after another, and notice late';
  },
} satisfies Record<string, Inject>;
