/** The swarms that are measured, by name, each with the most that policy R may take (time ÷ fluid bound), or null: reported only. */
import { seededRandom } from './clock.ts';
import type { NodeSpec } from './sim-node.ts';
import type { SwarmSpec } from './swarm.ts';

const MiB = 2 ** 20;
const LAN_LATENCY_MS = 0.1;

export interface SwarmCase {
  readonly name: string;
  readonly ratioMax: number | null;
  readonly make: (seed: number) => SwarmSpec;
}

const leecher: NodeSpec = {
  uploadBytesPerS: 20 * MiB,
  downloadBytesPerS: Number.POSITIVE_INFINITY,
  isSeeder: false,
  hasPiece: () => false,
  userId: '',
  character: 'honest',
  joinAtMs: 0,
  dieAtMs: null,
};
const seeder: NodeSpec = { ...leecher, isSeeder: true };

const fastSeeder: NodeSpec = { ...seeder, uploadBytesPerS: 1000 * MiB };
const slowSeeder: NodeSpec = { ...seeder, uploadBytesPerS: 0.1 * MiB };

/** One seeder first, then `count` leechers, each changed by `change`. */
function swarm(
  count: number,
  change: (index: number) => Partial<NodeSpec> = () => ({}),
  spec: Partial<SwarmSpec> = {},
): SwarmSpec {
  const leechers = Array.from({ length: count }, (_, index) => ({ ...leecher, ...change(index) }));
  const nodes = [spec.nodes?.[0] ?? seeder, ...leechers].map((node, id) => ({
    ...node,
    userId: node.userId || `user${id}`,
  }));
  return { sizeBytes: 64 * MiB, latencyMs: LAN_LATENCY_MS, silenceMs: 5000, limitMs: 600_000, ...spec, nodes };
}

/** Upload speeds from 1 to 10, evenly in the logarithm, around 20 MiB/s, in random order. */
function tenfold(count: number, seed: number): number[] {
  const random = seededRandom(seed ^ 0x5eed);
  const speeds = Array.from({ length: count }, (_, index) => (20 * MiB * 10 ** (index / (count - 1))) / Math.sqrt(10));
  return speeds
    .map((speed) => ({ speed, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ speed }) => speed);
}

function tenfoldWithSeeder(seed: number): SwarmSpec {
  const speeds = tenfold(9, seed);
  return swarm(8, (index) => ({ uploadBytesPerS: speeds[index + 1]! }), {
    nodes: [{ ...seeder, uploadBytesPerS: speeds[0]! }],
  });
}

function tenfoldLeechers(seed: number): SwarmSpec {
  const speeds = tenfold(8, seed);
  return swarm(8, (index) => ({ uploadBytesPerS: speeds[index]! }));
}

const bad = (character: NodeSpec['character'], count: number) => (index: number) =>
  index < count ? { character } : {};

export const swarmCases: readonly SwarmCase[] = [
  { name: 'base', ratioMax: 1.05, make: () => swarm(8) },
  { name: 'x10', ratioMax: 1.05, make: tenfoldLeechers },
  { name: 'x10-seeder', ratioMax: 1.05, make: tenfoldWithSeeder },
  { name: 'free-riders', ratioMax: 1.06, make: () => swarm(8, bad('free-rider', 2)) },
  { name: 'wan', ratioMax: 1.12, make: () => swarm(8, undefined, { latencyMs: 25 }) },
  { name: 'wan-far', ratioMax: 1.12, make: () => swarm(8, undefined, { latencyMs: 50 }) },
  { name: 'thirty', ratioMax: 1.1, make: () => swarm(30) },
  { name: 'one', ratioMax: 1.05, make: () => swarm(1) },
  {
    name: 'one-fast',
    ratioMax: 1.05,
    make: () => swarm(1, () => ({}), { sizeBytes: 1024 * MiB, nodes: [fastSeeder] }),
  },
  { name: 'slow-source', ratioMax: 1.05, make: () => swarm(2, (index) => (index === 1 ? slowSeeder : {})) },
  {
    name: 'unequal-sources',
    ratioMax: 1.1,
    make: () => swarm(4, (index) => ({ isSeeder: index < 3, uploadBytesPerS: (40 * MiB) / 4 ** index })),
  },
  { name: 'partial', ratioMax: 1.05, make: (seed) => partial(seed) },
  {
    name: 'seeder-dies',
    ratioMax: null,
    make: () => swarm(8, (index) => (index === 0 ? { isSeeder: true } : {}), { nodes: [{ ...seeder, dieAtMs: 800 }] }),
  },
  { name: 'four-seeders', ratioMax: null, make: () => swarm(4, (index) => (index < 3 ? { isSeeder: true } : {})) },
  { name: 'downlinks', ratioMax: null, make: () => swarm(8, () => ({ downloadBytesPerS: 25 * MiB })) },
  {
    name: 'slow-takers',
    ratioMax: null,
    make: () => swarm(8, (index) => (index < 3 ? { downloadBytesPerS: 4 * MiB } : {})),
  },
  { name: 'staggered', ratioMax: null, make: () => swarm(8, (index) => ({ joinAtMs: index * 500 })) },
  { name: 'one-dies', ratioMax: null, make: () => swarm(8, (index) => (index === 0 ? { dieAtMs: 1500 } : {})) },
  { name: 'corrupt', ratioMax: null, make: () => swarm(8, bad('corrupt', 1)) },
  { name: 'stalling', ratioMax: null, make: () => swarm(8, bad('stalling', 1)) },
  { name: 'boaster', ratioMax: null, make: () => swarm(8, bad('boaster', 1)) },
  { name: 'hoarder', ratioMax: null, make: () => swarm(8, bad('hoarder', 1)) },
  { name: 'churn', ratioMax: null, make: (seed) => churn(seed) },
];

/** Nobody has everything, together they do: each piece is on two of the eight, and a seeder with nothing to say leaves at once. */
function partial(seed: number): SwarmSpec {
  return swarm(
    8,
    (index) => ({ hasPiece: (piece) => (piece * 7 + seed) % 8 === index || (piece * 5 + seed + 3) % 8 === index }),
    {
      nodes: [{ ...seeder, dieAtMs: 0, uploadBytesPerS: 1 }],
    },
  );
}

/** Eight stay; eight more come and go at random. */
function churn(seed: number): SwarmSpec {
  const random = seededRandom(seed ^ 0xc0de);
  return swarm(16, (index) => {
    if (index < 8) return {};
    const joinAtMs = random() * 2000;
    return { joinAtMs, dieAtMs: joinAtMs + 300 + random() * 1500 };
  });
}
