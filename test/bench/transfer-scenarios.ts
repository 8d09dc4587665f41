// What bench:transfer measures of anybody who can move a file: the scenarios, the figures of one run, and what bounds them.
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const MIB = 1 << 20;
/** Kernel ticks a second in /proc/PID/stat. */
const TICKS_PER_SECOND = 100;

export interface Scenario {
  readonly name: string;
  readonly seeders: number;
  readonly leechers: number;
  readonly sizeBytes: number;
  /** Bytes a second that each peer may upload; 0: no limit. */
  readonly uploadLimit: number;
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'one', seeders: 1, leechers: 1, sizeBytes: 1024 * MIB, uploadLimit: 0 },
  { name: 'four', seeders: 4, leechers: 1, sizeBytes: 512 * MIB, uploadLimit: 0 },
  { name: 'flash', seeders: 1, leechers: 4, sizeBytes: 256 * MIB, uploadLimit: 0 },
  { name: 'limited', seeders: 1, leechers: 8, sizeBytes: 64 * MIB, uploadLimit: 20_000_000 },
];

/** The same file for everybody. */
export interface Payload {
  readonly path: string;
  readonly sha1: string;
  /** Where contenders may put their copies; on the same disk. */
  readonly dir: string;
}

/** One run: from the first command to the last leecher's end. Seconds, MiB; sums over the seeders and over the leechers. */
export interface Run {
  readonly seconds: number;
  readonly seederCpu: number;
  readonly leecherCpu: number;
  readonly seederPeakMiB: number;
  readonly leecherPeakMiB: number;
  /** Further figures that this contender can tell, by name. */
  readonly more: Readonly<Record<string, number>>;
}

export interface Contender {
  readonly name: string;
  /** @throws when it does not finish, or when a copy differs. */
  run(scenario: Scenario, payload: Payload): Promise<Run>;
}

/** Seconds that nobody can be faster than (Kumar and Ross 2006): the seeders' links, and all uploads together. 0: no limit. */
export function boundOf({ uploadLimit, seeders, leechers, sizeBytes }: Scenario): number {
  if (uploadLimit === 0) return 0;
  const alone = sizeBytes / (uploadLimit * seeders);
  return Math.max(alone, (leechers * sizeBytes) / (uploadLimit * (seeders + leechers)));
}

/** CPU seconds of all threads of a process so far, user and system. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function peakMiB(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);
}

/**
 * Makes the kernel's free pages warm: on a virtual machine the first touch of a page that its host had taken back costs ten
 * times the write itself. Everybody's timed part begins after this.
 */
export function warmPages({ dir }: Payload, { sizeBytes, leechers }: Scenario): void {
  const path = join(dir, 'warm');
  const chunk = Buffer.alloc(MIB, 1);
  const file = openSync(path, 'w');
  for (let done = 0; done < sizeBytes * leechers + 256 * MIB; done += MIB) writeSync(file, chunk);
  closeSync(file);
  rmSync(path);
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
