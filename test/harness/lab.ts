// The scene of most tests: one tracker, people with a daemon each, all of them in the group `lab`.
import { type Daemon, inWorld, type World } from './world.ts';

/** Runs a test in such a world. @param names the first of them owns the group. */
export function inLab<const N extends string>(
  names: readonly [N, ...N[]],
  body: (people: Record<N, Daemon>, world: World) => Promise<void>,
): () => Promise<void> {
  return inWorld(async (world) => {
    await world.startTracker(1);
    const people = await world.people(...names);
    const [owner, ...members] = names.map((name) => people[name]);
    await world.group('lab', owner!, ...members);
    await body(people, world);
  }, 1);
}
