import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Links } from '../../cluster/node/links.ts';
import { StateCheck } from '../../cluster/node/state-check.ts';
import { clusterKeyOf } from '../../cluster/node/tls.ts';
import { Supervisor } from '../../cluster/supervisor.ts';
import { makeClusterKeyPem, makeDaemonIdentity, parseClusterKeyPem } from '../../codec/identity.ts';
import { freePorts } from '../harness/free-ports.ts';
import { TestClient, until } from './harness.ts';

/** Three supervised trackers in this process: their states can be reached. */
class Supervised {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-states-'));
  readonly supervisors: Supervisor[] = [];
  readonly ports: number[];
  log = '';

  constructor(ports: number[]) {
    this.ports = ports;
    const key = clusterKeyOf(parseClusterKeyPem(makeClusterKeyPem()));
    const addresses = ports.map((port) => ({ host: '127.0.0.1', port }));
    const sink = new Writable({
      write: (chunk, _encoding, done) => {
        this.log += chunk;
        done();
      },
    });
    for (const [at, listen] of addresses.entries()) {
      const number = at + 1;
      const dataDir = this.dataDir(number);
      mkdirSync(dataDir);
      const log = pino({ level: 'info' }, sink);
      const onFatal = (error: unknown) => {
        throw error;
      };
      this.supervisors.push(new Supervisor({ number, addresses, listen, dataDir, key, log, onFatal }));
    }
  }

  dataDir(number: number): string {
    return join(this.dir, `t${number}`);
  }

  engine(number: number) {
    return this.supervisors[number - 1]!.tracker?.engine ?? null;
  }

  leader(): number | null {
    return [1, 2, 3].find((number) => this.engine(number)?.isLeader) ?? null;
  }

  /** As a flipped bit in memory would: one group is another one on this tracker only. */
  spoil(number: number): void {
    const { state } = this.engine(number)!;
    state.setEpoch(state.groups.get('g0')!, 4_711);
  }

  async stop(): Promise<void> {
    await Promise.all(this.supervisors.map((supervisor) => supervisor.stop()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const test = suite<{ world: Supervised; ann: TestClient }>('states are compared');
test.before.each(async (context) => {
  const world = new Supervised(await freePorts(3));
  await Promise.all(world.supervisors.map((supervisor) => supervisor.start()));
  context.world = world;
  context.ann = await (await TestClient.connect(world.ports[0]!, await makeDaemonIdentity(Date.now()))).signUp('ann');
  for (let i = 0; i < 20; i++) await context.ann.command('create_group', { group_id: `g${i}` });
});
test.after.each(async ({ world, ann }) => {
  ann.close();
  await world.stop();
});

async function healsAfterSpoiling(world: Supervised, victim: number): Promise<void> {
  const before = world.engine(victim)!.id;
  world.spoil(victim);
  const other = await TestClient.connect(world.ports[victim % 3]!, await makeDaemonIdentity(Date.now()));
  await other.signUp(`user${victim}`);
  for (let i = 0; i < 40; i++) await other.command('create_group', { group_id: `after-${victim}-${i}` });
  await until('the odd one has set its data aside', () =>
    readdirSync(world.dataDir(victim)).some((name) => name.startsWith('damaged-')),
  );
  await until('it is a voter again, with the state of the others', () => {
    const engine = world.engine(victim);
    if (!engine || engine.id === before || !engine.membership.voters.includes(engine.id)) return false;
    return engine.state.groups.get('g0')?.epoch === world.engine((victim % 3) + 1)?.state.groups.get('g0')?.epoch;
  });
  assert.is.not(world.engine(victim)!.state.groups.get('g0')!.epoch, 4_711);
  assert.match(world.log, /is not the one of most trackers/);
  other.close();
}

test('a follower whose state differs sets it aside and refills', async ({ world }) => {
  await healsAfterSpoiling(world, (world.leader()! % 3) + 1);
});

test('so does a leader: another one takes its place', async ({ world }) => {
  const leader = world.leader()!;
  await healsAfterSpoiling(world, leader);
  assert.is.not(world.leader(), null);
});

test('what is remembered of a state keeps nothing else in memory', async ({ world, ann }) => {
  const engine = world.engine(1)!;
  const log = pino({ level: 'silent' });
  const links = new Links(
    { identity: { keyPem: '', certPem: '' } as never, key: {} as never, log, hello: () => ({}) as never },
    {} as never,
  );
  const check = new StateCheck({ engine, links, log, onDiverged: () => assert.unreachable() });
  for (let i = 0; i < 20; i++) await ann.command('create_group', { group_id: `kept-${i}` });
  const index = 16 * Math.floor(engine.status().appliedIndex / 16);
  assert.is(check.hashAt(index)!.buffer.byteLength, 32);
});

test('states that agree are left alone', async ({ world, ann }) => {
  for (let i = 0; i < 40; i++) await ann.command('create_group', { group_id: `more-${i}` });
  const ids = [1, 2, 3].map((number) => world.engine(number)!.id);
  const started = performance.now();
  await until('two looks later', () => performance.now() - started > 2_200);
  assert.equal(
    [1, 2, 3].map((number) => world.engine(number)!.id),
    ids,
  );
  assert.not.match(world.log, /another state than most/);
});

test.run();
