// npm run test:limits: the crowds of SECURITY.md at their full size. Takes some minutes; prints a table; exit 1 when a promise broke.
// `-- --only TEXT` runs the scenes whose name has it.
import { parseArgs } from 'node:util';
import { inWorld } from '../harness/world.ts';
import type { CrowdOptions, CrowdReport } from './crowd.ts';
import { atDaemon, atTracker, honest, type Outcome } from './scenes.ts';

/** The promise for everyone else's commands. */
const FELT_MS_MAX = 100;
/** Ninety-nine of a hundred keep it on any machine; the slowest one may meet somebody else's work on a busy one. */
const SLOWEST_MS_MAX = 250;
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const rows: Outcome[] = [];
const done = ({ done }: CrowdReport) => done;

type Scene = [Pick<CrowdOptions, 'mode' | 'count'>, (report: CrowdReport) => boolean];
const SCENES: readonly Scene[] = [
  [{ mode: 'idle', count: 1 }, done],
  [{ mode: 'half', count: 10_000 }, done],
  [{ mode: 'slow', count: 2_000 }, ({ closed }) => closed > 100],
  [{ mode: 'begun', count: 500 }, ({ closed }) => closed >= 500],
  [{ mode: 'flood', count: 8 }, done],
  [{ mode: 'deaf', count: 50 }, done],
  [{ mode: 'logins', count: 8 }, done],
  [{ mode: 'writes', count: 4 }, ({ open }) => open === 4],
  [{ mode: 'manifests', count: 4 }, ({ open }) => open === 4],
  [{ mode: 'idle', count: 10_000 }, ({ open }) => open >= 10_000],
];

const show = (outcome: Outcome) => {
  rows.push(outcome);
  console.log(JSON.stringify(outcome));
};
for (const [options, gathered] of SCENES) {
  if (!`${options.count} ${options.mode}`.includes(values.only)) continue;
  await inWorld(async (world) => {
    await world.startTracker(1);
    const member = await honest(world);
    show(await atTracker(world, member, options, gathered));
    member.close();
  }, 1)();
}
for (const [mode, count] of [
  ['peers', 2_000],
  ['sponges', 100],
] as const) {
  if (!`${count} ${mode} at a daemon`.includes(values.only)) continue;
  await inWorld(async (world) => {
    await world.startTracker(1);
    show(await atDaemon(world, mode, count));
  }, 1)();
}

console.table(rows);
const slow = rows.filter(
  ({ scene, p99Ms, maxMs }) => !scene.includes('daemon') && (p99Ms > FELT_MS_MAX || maxMs > SLOWEST_MS_MAX),
);
for (const { scene, p99Ms, maxMs } of slow)
  console.error(`${scene}: others' commands took ${p99Ms} ms (p99), ${maxMs} ms at most`);
process.exitCode = slow.length > 0 ? 1 : 0;
