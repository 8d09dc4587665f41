// The faults that a run throws at its cluster. Planned before the run, each with a seed of its own, so that a failing run can
// be repeated with some of them left out.

import { filler } from './app.ts';
import type { SimCluster } from './cluster.ts';
import { COMPOUNDS, type Inject, isolate } from './compounds.ts';
import { Prng } from './prng.ts';

export interface Fault {
  /** Virtual ms. */
  readonly at: number;
  readonly kind: FaultKind;
  readonly seed: number;
}

const FAULTS = {
  crash: (cluster, random) => cluster.crash(random.pick(cluster.nodes), random.int(50, 3_000)),
  crash_leader: (cluster, random) => cluster.leader && cluster.crash(cluster.leader, random.int(50, 3_000)),
  /** Every new leader dies soon: entries of many terms stay half replicated (figure 8). */
  leader_storm: (cluster, random) => {
    const until = cluster.world.now + random.int(1_000, 6_000);
    const strike = () => {
      if (cluster.world.now > until || cluster.isHealing) return;
      const { leader } = cluster;
      if (leader) cluster.crash(leader, random.int(20, 400));
      cluster.world.after(random.int(20, 400), strike);
    };
    strike();
    return 'leaders die one after another';
  },
  /**
   * Leaders that reach nobody, or die while they tell what they have: logs that end in entries of many terms, each on a few nodes
   * (figure 8 of the Raft paper, which needs four leaderships in the right order).
   */
  half_leaders: (cluster, random) => {
    const untilMs = cluster.world.now + random.int(2_000, 6_000);
    cluster.onNewLeader = (leader) => {
      if (cluster.world.now > untilMs) {
        cluster.onNewLeader = null;
        cluster.network.healAll();
        return;
      }
      const isMute = random.chance(0.5);
      if (isMute) isolate(cluster, leader);
      for (let i = random.int(0, 12); i > 0; i--) leader.propose(filler(random.int(0, 99)), () => {});
      const wait = isMute ? random.int(50, 500) : random.int(2, 80);
      cluster.world.after(wait, () => {
        if (cluster.isHealing) return;
        cluster.network.healAll();
        cluster.crash(leader, random.int(20, 800));
      });
    };
    return 'leaders reach nobody, or die while they speak';
  },
  /** Whoever has just voted dies before the next write of its disk; the one that was elected is alone. */
  amnesia: (cluster, random) => {
    let left = random.int(1, 4);
    cluster.onNewLeader = (leader) => {
      left -= 1;
      if (left === 0) cluster.onNewLeader = null;
      isolate(cluster, leader);
      for (const other of cluster.nodes) if (other !== leader) cluster.crash(other, random.int(5, 60));
      cluster.world.after(random.int(300, 900), () => {
        cluster.network.healAll();
        if (left > 0 && !cluster.isHealing) cluster.crash(leader, random.int(50, 500));
      });
    };
    return cluster.leader && cluster.crash(cluster.leader, random.int(50, 500));
  },
  crash_all: (cluster, random) => {
    for (const node of cluster.nodes) cluster.crash(node, random.int(50, 1_500));
    return 'all crash';
  },
  lying_disk: (cluster, random) => {
    const node = random.pick(cluster.nodes);
    return cluster.damage(node, () => cluster.crash(node, random.int(50, 2_000), random.int(1, 40)));
  },
  wipe: (cluster, random) => {
    const node = random.pick(cluster.nodes);
    return cluster.damage(node, () => cluster.wipe(node, random.int(50, 2_000)));
  },
  rot: (cluster, random) => {
    const node = random.pick(cluster.nodes);
    return cluster.damage(node, () => cluster.rot(node, random.int(50, 2_000)));
  },
  pause: (cluster, random) => cluster.pause(random.pick(cluster.nodes), random.int(100, 3_000)),
  pause_leader: (cluster, random) => cluster.leader && cluster.pause(cluster.leader, random.int(100, 1_500)),
  isolate: (cluster, random) => {
    const victim = random.pick(cluster.nodes);
    const oneWay = random.pick(['in', 'out', 'both']);
    for (const other of cluster.nodes) {
      if (oneWay !== 'out') cluster.network.cut(other.number, victim.number);
      if (oneWay !== 'in') cluster.network.cut(victim.number, other.number);
    }
    return cluster.healLater(random.int(300, 5_000), `${victim.id} cut off (${oneWay})`);
  },
  /** The leader is alone, and its clock so slow that it takes long to notice. */
  isolate_slow_leader: (cluster, random) => {
    const { leader } = cluster;
    if (!leader) return null;
    leader.clockRate = 0.4;
    isolate(cluster, leader);
    const durationMs = random.int(300, 1_500);
    cluster.world.after(durationMs, () => {
      leader.clockRate = 1;
    });
    return cluster.healLater(durationMs, `${leader.id} leads, slow and cut off`);
  },
  /** Several changes of membership at once, to a leader that reaches few. */
  membership_burst: (cluster, random) => {
    const { leader } = cluster;
    if (!leader || cluster.nodes.length < 3 || cluster.isAnyHurt) return null;
    const others = random.shuffle(cluster.nodes.filter((node) => node !== leader));
    for (const other of others.slice(1)) {
      cluster.network.cut(other.number, leader.number);
      cluster.network.cut(leader.number, other.number);
    }
    for (const victim of others.slice(1)) {
      leader.request((ref) => ({ type: 'change_membership', ref, change: { op: 'remove', node: victim.id } }));
    }
    return cluster.healLater(random.int(500, 3_000), `${leader.id} is asked to remove all but ${others[0]!.id}`);
  },
  split: (cluster, random) => {
    if (cluster.nodes.length < 2) return null;
    const order = random.shuffle(cluster.nodes);
    const size = random.int(1, order.length - 1);
    for (const a of order.slice(0, size)) {
      for (const b of order.slice(size)) {
        cluster.network.cut(a.number, b.number);
        cluster.network.cut(b.number, a.number);
      }
    }
    return cluster.healLater(random.int(300, 5_000), `split ${size}/${order.length - size}`);
  },
  partial_cuts: (cluster, random) => {
    for (const a of cluster.nodes) {
      for (const b of cluster.nodes) if (a !== b && random.chance(0.3)) cluster.network.cut(a.number, b.number);
    }
    return cluster.healLater(random.int(300, 4_000), 'random one-way cuts');
  },
  clog: (cluster, random) => {
    const [a, b] = random.shuffle(cluster.nodes);
    if (!a || !b) return null;
    cluster.network.clog(a.number, b.number, random.int(100, 2_000));
    return `link ${a.number} to ${b.number} clogged`;
  },
  weather: (cluster, random) => {
    const loss = random.pick([0, 0.02, 0.1, 0.3]);
    cluster.network.weather = {
      loss,
      duplication: random.pick([0, 0.05, 0.2]),
      delayMsMin: random.pick([0.1, 1, 5]),
      delayMsMean: random.pick([0.2, 2, 8]),
    };
    for (const client of cluster.clients) client.loss = loss / 2;
    return `weather: loss ${loss}`;
  },
  slow_disk: (cluster, random) => {
    const node = random.pick(cluster.nodes);
    node.disk.latencyMs = random.pick([0.3, 1, 5, 20]);
    return `${node.id} disk ${node.disk.latencyMs} ms`;
  },
  stalled_disk: (cluster, random) => {
    const node = cluster.leader ?? random.pick(cluster.nodes);
    node.disk.stalledUntil = cluster.world.now + random.int(200, 3_000);
    return `${node.id} disk stalls`;
  },
  full_disk: (cluster, random) => cluster.fillDisk(random.pick(cluster.nodes), random.int(500, 4_000)),
  transfer: (cluster) => cluster.transferLeadership(),
  clock: (cluster, random) => {
    const node = random.pick(cluster.nodes);
    node.clockRate = random.pick([0.8, 1, 1.25]);
    return `${node.id} clock runs at ${node.clockRate}`;
  },
  clock_jump: (cluster, random) => {
    const node = random.pick(cluster.nodes);
    node.clockOffsetMs = random.pick([-3_600_000, -5_000, 0, 5_000, 600_000]);
    return `${node.id} calendar jumps, wrong by ${node.clockOffsetMs} ms`;
  },
  grow: (cluster) => cluster.grow(),
  shrink: (cluster, random) => cluster.shrink(random),
  upgrade: (cluster, random) => cluster.upgrade(random.int(100, 2_000), random.chance(0.3)),
  unreachable: (cluster, random) => {
    const [a, b] = random.shuffle(cluster.nodes);
    if (!a || !b) return null;
    a.input({ type: 'unreachable', node: b.id });
    return `${a.id} lost its connection to ${b.id}`;
  },
} satisfies Record<string, Inject>;

export type FaultKind = keyof typeof FAULTS | keyof typeof COMPOUNDS;
const KINDS = Object.keys(FAULTS) as FaultKind[];
const COMPOUND_KINDS = Object.keys(COMPOUNDS) as FaultKind[];
const COMPOUND_GAP_MS = 6_000;

export function planFaults(random: Prng, durationMs: number): Fault[] {
  const faults: Fault[] = [];
  // A run favours some kinds, so that seeds differ in character.
  const favoured = random.shuffle(KINDS).slice(0, random.int(2, KINDS.length));
  const meanGapMs = random.pick([700, 1_200, 2_000]);
  for (let at = 500; at < durationMs; at += 50 + random.exponential(meanGapMs)) {
    faults.push({ at, kind: random.pick(favoured), seed: random.uint32() });
  }
  return faults;
}

/** Of every fourth seed, from a generator of their own. */
export function planCompounds(seed: number, durationMs: number): Fault[] {
  if (seed % 4 !== 0) return [];
  const random = new Prng(~seed);
  const faults: Fault[] = [];
  for (let at = 1_000; at < durationMs; at += 1_000 + random.exponential(COMPOUND_GAP_MS)) {
    faults.push({ at, kind: random.pick(COMPOUND_KINDS), seed: random.uint32() });
  }
  return faults;
}

/** @returns what happened in words; null when this fault does not apply just now. */
export function inject(cluster: SimCluster, fault: Fault): string | null {
  const all: Record<FaultKind, Inject> = { ...FAULTS, ...COMPOUNDS };
  return all[fault.kind](cluster, new Prng(fault.seed)) || null;
}
