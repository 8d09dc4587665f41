// What a soak does to its trackers, one thing after another, drawn from a seed: kill -9 of one or two, planned stops, freezes, wiped
// disks, flipped bits, full disks. At most one disk at a time is wiped or damaged, and only while the others are whole: the cluster promises no more.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TrackerStatus } from '../../codec/tracker-rpc.ts';
import { pause } from '../bench/closed-loop.ts';
import type { World } from '../harness/world.ts';
import type { Prng } from '../sim/prng.ts';

export type FaultKind = 'kill' | 'double kill' | 'planned stop' | 'freeze' | 'wipe' | 'flipped bit' | 'full disk';

const WEIGHTS: readonly [FaultKind, number][] = [
  ['kill', 60],
  ['double kill', 8],
  ['planned stop', 20],
  ['freeze', 12],
  ['wipe', 6],
  ['flipped bit', 8],
  ['full disk', 6],
];
const PAUSE_MS: readonly [number, number] = [50, 1_000];
const DOWN_MS: readonly [number, number] = [0, 1_000];
const FREEZE_MS: readonly [number, number] = [500, 4_000];
const FULL_MS: readonly [number, number] = [1_000, 4_000];
/** A wiped tracker refills and is promoted again within this; else the next wipe waits for the next draw. */
const WELL_MS = 15_000;
/** The disk that can be full is one of its own; it holds what a tracker writes in an hour of soak. */
const SMALL_DISK = 3;
const SMALL_DISK_MIB = 384;
const FILES = /^(tracker\.sqlite(-wal)?|promised)$/;

export class Faults {
  readonly counts: Partial<Record<FaultKind, number>> = {};
  kills = 0;
  readonly #world: World;
  readonly #random: Prng;
  readonly #status: () => Promise<TrackerStatus | null>;
  readonly #numbers = [1, 2, 3];
  #mounted = false;

  constructor(world: World, random: Prng, status: () => Promise<TrackerStatus | null>) {
    this.#world = world;
    this.#random = random;
    this.#status = status;
    for (const number of this.#numbers) mkdirSync(this.dataDir(number), { recursive: true, mode: 0o700 });
    this.#mount();
  }

  dataDir(number: number): string {
    return join(this.#world.dir, `data-${number}`, 'tracker');
  }

  launch(number: number): void {
    this.#world.launchTracker(number, '--data-dir', this.dataDir(number));
  }

  /** Does one fault, and ends it. */
  async one(): Promise<void> {
    await this.#wait(PAUSE_MS);
    const kind = this.#draw();
    const done = await this.#inflict(kind);
    if (done) this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }

  /** Trackers that ended although nobody killed them. */
  died(): string[] {
    return this.#numbers.map((n) => this.#world.trackers.get(n)!).flatMap((p) => (p.isRunning ? [] : [p.log()]));
  }

  /** Leader and followers, nobody refilling, nobody behind. */
  async isWell(): Promise<boolean> {
    const status = await this.#status();
    if (!status || status.leader === null || status.trackers.length !== this.#numbers.length) return false;
    return status.trackers.every(({ role, lag }) => (role === 'leader' || role === 'follower') && lag === 0);
  }

  unmount(): void {
    if (this.#mounted) execFileSync('umount', ['-l', join(this.dataDir(SMALL_DISK), '..')]);
    this.#mounted = false;
  }

  async #inflict(kind: FaultKind): Promise<boolean> {
    switch (kind) {
      case 'kill':
        return this.#down([await this.#victim()]);
      case 'double kill':
        return this.#down(this.#random.shuffle(this.#numbers).slice(1));
      case 'planned stop':
        return this.#stop(await this.#victim());
      case 'freeze': {
        const program = this.#world.trackers.get(await this.#victim())!;
        program.freeze();
        await this.#wait(FREEZE_MS);
        program.thaw();
        return true;
      }
      case 'wipe':
        return this.#onOneDisk((number) => rmSync(this.dataDir(number), { recursive: true, force: true }));
      case 'flipped bit':
        return this.#onOneDisk((number) => this.#flip(number));
      case 'full disk':
        return this.#fill();
    }
  }

  async #down(numbers: readonly number[], meanwhile: (number: number) => void = () => {}): Promise<true> {
    for (const number of numbers) await this.#world.trackers.get(number)!.kill();
    this.kills += numbers.length;
    for (const number of numbers) meanwhile(number);
    await this.#wait(DOWN_MS);
    for (const number of numbers) this.launch(number);
    return true;
  }

  /** SIGTERM: a leader hands over first. @throws when it does not end well. */
  async #stop(number: number): Promise<boolean> {
    const program = this.#world.trackers.get(number)!;
    const hasStarted = program.ready(WELL_MS).then(
      () => true,
      () => false,
    );
    if (!(await hasStarted)) return false; // it may not know the signal yet
    await program.stop();
    await this.#wait(DOWN_MS);
    this.launch(number);
    return true;
  }

  async #onOneDisk(harm: (number: number) => void): Promise<boolean> {
    const deadline = performance.now() + WELL_MS;
    while (!(await this.isWell())) {
      if (performance.now() > deadline) return false;
      await pause(100);
    }
    const number = this.#random.pick(this.#numbers);
    return this.#down([number], harm);
  }

  #flip(number: number): void {
    const dir = this.dataDir(number);
    const files = readdirSync(dir).filter((name) => FILES.test(name) && statSync(join(dir, name)).size > 0);
    const path = join(dir, this.#random.pick(files));
    const fd = openSync(path, 'r+');
    const at = this.#random.int(0, statSync(path).size - 1);
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, at);
    byte[0]! ^= 1 << this.#random.int(0, 7);
    writeSync(fd, byte, 0, 1, at);
    closeSync(fd);
  }

  async #fill(): Promise<boolean> {
    if (!this.#mounted) return false;
    const filler = join(this.dataDir(SMALL_DISK), '..', 'filler');
    takeAllRoom(filler);
    await this.#wait(FULL_MS);
    rmSync(filler);
    return true;
  }

  /** The leader as often as not. */
  async #victim(): Promise<number> {
    const leader = this.#random.chance(0.5) ? (await this.#status())?.leader : null;
    return leader ?? this.#random.pick(this.#numbers);
  }

  #draw(): FaultKind {
    let left = this.#random.float() * WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [kind, weight] of WEIGHTS) {
      left -= weight;
      if (left < 0) return kind;
    }
    return 'kill';
  }

  #wait([least, most]: readonly [number, number]): Promise<void> {
    return pause(this.#random.int(least, most));
  }

  /** A small disk needs the right to mount one: without it no disk is ever full, and the report says so. */
  #mount(): void {
    const dir = join(this.dataDir(SMALL_DISK), '..');
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK_MIB}m`, 'tmpfs', dir], { stdio: 'ignore' });
      this.#mounted = existsSync(dir);
    } catch {
      this.#mounted = false;
    }
  }

  get hasSmallDisk(): boolean {
    return this.#mounted;
  }
}

/** The tracker writes at the same time: what was free a moment ago may be taken, then less is asked for. */
function takeAllRoom(path: string): void {
  for (let triesLeft = 10; ; triesLeft--) {
    try {
      const { bavail, bsize } = statfsSync(join(path, '..'));
      execFileSync('fallocate', ['-l', String(Math.max(1, bavail - 1) * bsize), path], { stdio: 'ignore' });
      return;
    } catch (error) {
      if (triesLeft === 0) throw error;
    }
  }
}
