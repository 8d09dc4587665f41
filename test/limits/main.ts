// npm run test:limits: the crowds of SECURITY.md at their full size. Takes some minutes; prints a table; exit 1 when a promise broke.
import { inWorld } from '../harness/world.ts';
import { atDaemon, atTracker, honest, type Outcome } from './scenes.ts';

/** The promise for everyone else's commands. */
const FELT_MS_MAX = 100;
const rows: Outcome[] = [];

await inWorld(async (world) => {
  await world.startTracker(1);
  const member = await honest(world);
  const done = ({ done }: { done: boolean }) => done;
  rows.push(await atTracker(world, member, { mode: 'idle', count: 1 }, done));
  rows.push(await atTracker(world, member, { mode: 'half', count: 10_000 }, done));
  rows.push(await atTracker(world, member, { mode: 'slow', count: 2_000 }, ({ closed }) => closed > 100));
  rows.push(await atTracker(world, member, { mode: 'begun', count: 500 }, ({ closed }) => closed >= 500));
  rows.push(await atTracker(world, member, { mode: 'flood', count: 8 }, done));
  rows.push(await atTracker(world, member, { mode: 'deaf', count: 50 }, done));
  rows.push(await atTracker(world, member, { mode: 'idle', count: 10_000 }, ({ open }) => open >= 10_000));
  member.close();
}, 1)();
await inWorld(async (world) => {
  await world.startTracker(1);
  rows.push(await atDaemon(world, 2_000));
}, 1)();

console.table(rows);
const slow = rows.filter(({ scene, medianMs }) => !scene.includes('daemon') && medianMs > FELT_MS_MAX);
for (const { scene, medianMs } of slow) console.error(`${scene}: others' commands took ${medianMs} ms`);
process.exitCode = slow.length > 0 ? 1 : 0;
