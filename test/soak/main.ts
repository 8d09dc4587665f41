// Real trackers, real clients, real faults: is anything that was acknowledged ever lost, done twice, or undone?
//
//   npm run soak -- [--minutes 2] [--kills N] [--clients 6] [--seed N] [--plant]
//
// Ends after the minutes, or with --kills when so many trackers were killed. Then everything is healed, and the state that each
// tracker shows is compared with what the clients saw. Exits 1 on any loss, and when the healed cluster does not come together.
// With --plant a loss is made on purpose at the end: the soak must fail, and name it.
import { parseArgs } from 'node:util';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { enter } from '../bench/tracker-load.ts';
import { until } from '../harness/until.ts';
import { World } from '../harness/world.ts';
import { Prng } from '../sim/prng.ts';
import { Faults } from './faults.ts';
import { History } from './history.ts';
import { forget } from './plant.ts';
import { dialWithin, SoakClient } from './soak-client.ts';

const NUMBERS = [1, 2, 3];
const HEAL_MS = 90_000;
const STATUS_MS = 1_000;
const REPORT_EVERY_MS = 15_000;
const PAGE = 1_000;

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    kills: { type: 'string' },
    clients: { type: 'string', default: '6' },
    plant: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
  },
});
console.log(`seed ${flags.seed} (draws the faults; timing is the machine's)`);
const random = new Prng(Number(flags.seed));
const world = new World();
const addresses = NUMBERS.map((number) => world.trackerAddress(number));
const identity = await makeDaemonIdentity(Date.now());
const faults = new Faults(world, random.fork(), status);
const history = new History();
/** Names and shared groups whose history was compared with what is there. */
let checked = 0;
process.on('exit', () => faults.unmount());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
try {
  await soak();
  await heal();
  if (flags.plant) await plant();
  await judge();
} catch (error) {
  history.violations.push(String(error));
} finally {
  report('in the end');
  if (history.violations.length > 0) console.error(world.logs());
  faults.unmount();
  await world.close();
}
for (const violation of history.violations) console.error(violation);
console.log(
  history.violations.length === 0 ? 'nothing was lost' : `${history.violations.length} VIOLATIONS, seed ${flags.seed}`,
);
console.log(`${checked} passed, ${history.violations.length} failed (names and shared groups)`);
process.exit(history.violations.length === 0 ? 0 : 1);

async function soak(): Promise<void> {
  if (!faults.hasSmallDisk) console.log('no right to mount a small disk here: no disk will be full');
  for (const number of NUMBERS) faults.launch(number);
  await until('the cluster has formed', () => faults.isWell(), { timeoutMs: HEAL_MS, everyMs: 50 });
  const count = Number(flags.clients);
  const clients = await Promise.all(
    Array.from({ length: count }, (_, i) => SoakClient.start(i + 1, addresses, random.fork(), history)),
  );
  const users = clients.map(({ user }) => user);
  const work = Promise.all(clients.map((client) => client.run(users)));
  const deadline = performance.now() + Number(flags.minutes) * 60_000;
  const killsMax = flags.kills === undefined ? Number.POSITIVE_INFINITY : Number(flags.kills);
  let reportAt = performance.now() + REPORT_EVERY_MS;
  const isOver = () => (flags.kills === undefined ? performance.now() > deadline : faults.kills >= killsMax);
  while (!isOver() && history.violations.length === 0) {
    await faults.one();
    for (const log of faults.died()) history.violations.push(`a tracker ended by itself\n${log}`);
    if (performance.now() < reportAt) continue;
    report('so far');
    reportAt += REPORT_EVERY_MS;
  }
  for (const client of clients) client.stop();
  await work;
}

async function heal(): Promise<void> {
  await until('all trackers are level again', () => faults.isWell(), { timeoutMs: HEAL_MS, everyMs: 100 });
}

/** Does the checker see anything? One acknowledged command is taken out of all three logs. */
async function plant(): Promise<void> {
  const [groupId] = [...history.unique].findLast(([, { outcome }]) => outcome === 'acknowledged')!;
  for (const number of NUMBERS) await world.trackers.get(number)!.kill();
  for (const number of NUMBERS) forget(faults.dataDir(number), groupId);
  for (const number of NUMBERS) faults.launch(number);
  console.log(`planted: ${groupId} is taken out of every log`);
  await heal();
}

/** Every tracker's own answer, each behind a read barrier. */
async function judge(): Promise<void> {
  for (const number of NUMBERS) history.compare(number, await groupsAt(number));
  const groups = history.checkShared();
  checked = groups + history.unique.size;
  console.log(`${groups} shared groups checked for linearizability, ${history.unique.size} names for exactly once`);
}

async function groupsAt(number: number): Promise<Map<string, string>> {
  const { rpc, session } = await enter(world.trackerAddress(number));
  const listed = new Map<string, string>();
  let after: string | null = null;
  do {
    const page: { groups: { group_id: string; owner: string }[]; next: string | null } = await rpc.call('list_groups', {
      session,
      after,
      limit: PAGE,
    });
    for (const { group_id, owner } of page.groups) listed.set(group_id, owner);
    after = page.next;
  } while (after !== null);
  rpc.close();
  return listed;
}

/** As any tracker sees it that answers. */
async function status(): Promise<TrackerStatus | null> {
  for (const address of addresses) {
    try {
      const rpc = await dialWithin(address, identity);
      const answer = await rpc.call('tracker_status', {}, { timeoutMs: STATUS_MS }).finally(() => rpc.close());
      if (answer.leader !== null) return answer;
    } catch {
      // down, frozen, or not yet a member: the next one
    }
  }
  return null;
}

function report(when: string): void {
  const { acknowledged, failed, unknown } = history.tally;
  const kinds = Object.entries(faults.counts).map(([kind, count]) => `${kind} ${count}`);
  console.log(
    `${when}: ${faults.kills} kills (${kinds.join(', ')}); ${history.commands} commands; ` +
      `${acknowledged} operations acknowledged, ${failed} failed, ${unknown} unknown`,
  );
}
