// What crowds do to trackers and daemons, at any size: the everyday test runs it small, `npm run test:limits` as large as promised.
// Each scene ends with what everybody else felt: the time of their commands, measured on a connection of their own.
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { manifestOf, sha1Of } from '../harness/files.ts';
import { Member } from '../harness/hostile-member.ts';
import { PROJECT, Program } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import type { Daemon, World } from '../harness/world.ts';
import type { CrowdOptions, CrowdReport } from './crowd.ts';

const GATHER_MS_MAX = 180_000;
const SAMPLES = 150;

export class Crowd {
  readonly #program: Program;

  private constructor(world: World, options: CrowdOptions) {
    const script = join(PROJECT, 'test', 'limits', 'crowd.ts');
    const args = [JSON.stringify(options)];
    this.#program = new Program({ name: `crowd ${options.mode}`, bin: script, args, env: world.env, cwd: world.dir });
  }

  /** A process of `count` connections; each crowd comes from a network of its own. */
  static gather(world: World, options: Omit<CrowdOptions, 'net'>): Crowd {
    return new Crowd(world, { ...options, net: `127.${randomInt(1, 255)}` });
  }

  get report(): CrowdReport {
    const lines = this.#program.stdout.split('\n');
    return JSON.parse(lines.at(-2) ?? '{"open":0,"closed":0,"done":false}') as CrowdReport;
  }

  async when(what: string, condition: (report: CrowdReport) => boolean): Promise<void> {
    await until(what, () => condition(this.report), { timeoutMs: GATHER_MS_MAX, everyMs: 100 }).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.report)}\n${this.#program.log()}`);
    });
  }

  async leave(): Promise<void> {
    await this.#program.kill();
  }
}

export interface Felt {
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** An honest user's commands and reads, one after the other. */
export async function feel(member: Member, samples = SAMPLES): Promise<Felt> {
  const times: number[] = [];
  for (let i = 0; i < samples; i++) {
    const startedAt = performance.now();
    if (i % 2 === 0)
      await member.rpc.call('create_group', { ...member.speaker, group_id: `g-${member.user}-${randomInt(2 ** 40)}` });
    else await member.rpc.call('list_groups', { session: member.session, after: null, limit: 10 });
    times.push(performance.now() - startedAt);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))]! * 10) / 10;
  return { medianMs: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), maxMs: at(1) };
}

export function memoryMiB(program: Program): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'))![1]) / 1024);
}

export async function honest(world: World, user = 'honest'): Promise<Member> {
  const address = world.daemon(user).address;
  return Member.join({ tracker: world.trackerAddress(1), address, user, isNew: true, localAddress: address.host });
}

export interface Outcome extends Felt {
  readonly scene: string;
  readonly rssMiB: number;
  readonly open: number;
  readonly closed: number;
}

/** A crowd at a tracker's door while an honest user works. */
export async function atTracker(
  world: World,
  member: Member,
  options: Pick<CrowdOptions, 'mode' | 'count' | 'addresses'>,
  gathered: (report: CrowdReport) => boolean,
  { samples = SAMPLES } = {},
): Promise<Outcome> {
  const crowd = Crowd.gather(world, { ...options, to: world.trackerAddress(1) });
  try {
    await crowd.when(`${options.mode}: gathered`, gathered);
    const felt = await feel(member, samples);
    const { open, closed } = crowd.report;
    return {
      scene: `${options.count} ${options.mode}`,
      ...felt,
      rssMiB: memoryMiB(world.trackers.get(1)!),
      open,
      closed,
    };
  } finally {
    await crowd.leave();
  }
}

/** A file of alice's group that bob may fetch, made when the first crowd comes. */
async function shared(world: World): Promise<{ alice: Daemon; bob: Daemon; path: string; sha1: string }> {
  const [known, other] = world.daemons;
  const path = known?.path('f') ?? '';
  if (known && other) return { alice: known, bob: other, path, sha1: sha1Of(path) };
  const { alice, bob } = await world.people('alice', 'bob');
  await world.group('lab', alice, bob);
  const file = alice.file('f', 4 << 20);
  await alice.ok('upload_file', file.path, 'lab');
  return { alice, bob, ...file };
}

/** Peers with tickets at a daemon's door, doing nothing or asking for what they never read, while another one downloads. */
export async function atDaemon(world: World, mode: 'peers' | 'sponges', count: number): Promise<Outcome> {
  const { alice, bob, path, sha1 } = await shared(world);
  const manifest = manifestOf(readFileSync(path));
  const hash = Buffer.from(manifestHash(encodeManifest(manifest))).toString('hex');
  const clusterKey = join(world.dir, 'state', 'mini-torrent', 'cluster.key');
  const share = { clusterKey, group: 'lab', file: 'f', hash, pieceCount: manifest.pieceCount };
  const crowd = Crowd.gather(world, { mode, count, to: alice.address, share });
  try {
    await crowd.when('the peers are in', ({ open }) => open >= count * 0.99);
    const times: number[] = [];
    for (let i = 0; i < 6; i++) {
      const startedAt = performance.now();
      await alice.ok('whoami');
      times.push(Math.round(performance.now() - startedAt));
    }
    times.sort((a, b) => a - b);
    assert.is((await bob.ok('download_file', 'lab', 'f', `copy-${mode}`)).sha1, sha1, 'others are served');
    await bob.ok('stop_share', 'lab', 'f');
    const { open, closed } = crowd.report;
    const felt = { medianMs: times[3]!, p90Ms: times[5]!, p99Ms: times[5]!, maxMs: times[5]! };
    return { scene: `${count} ${mode} at a daemon`, ...felt, rssMiB: memoryMiB(alice.program), open, closed };
  } finally {
    await crowd.leave();
  }
}
