// npm run test:large [-- --gib N]: a file far beyond 4 GiB (20 GiB) through the real programs. The source is sparse, the copy is not: it
// needs that much room where temporary files are kept. Prints times and peak memory; exit 1 when the copy is not the file.
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { until } from '../harness/until.ts';
import { inWorld } from '../harness/world.ts';

const GiB = 2 ** 30;
const MARK_BYTES = 4096;
/** Ten times what 20 GiB took on two cores. */
const DOWNLOAD_MS_MAX = 15 * 60_000;
const { values } = parseArgs({ options: { gib: { type: 'string', default: '20' } } });
const size = Number(values.gib) * GiB + 12_345;

/** Where something other than zeros stands: the ends, and both sides of each place where 32 bits could run over. */
const marks = [0, 2 * GiB - 100, 4 * GiB - 100, 8 * GiB - 100, size - MARK_BYTES].filter(
  (at) => at + MARK_BYTES <= size,
);

function markAt(position: number): Buffer {
  return Buffer.alloc(MARK_BYTES, `mark at ${position}.`);
}

function makeSparse(path: string): void {
  const file = openSync(path, 'wx');
  ftruncateSync(file, size);
  for (const position of marks) writeSync(file, markAt(position), 0, MARK_BYTES, position);
  closeSync(file);
}

function hasMarks(path: string): boolean {
  const file = openSync(path, 'r');
  const found = Buffer.alloc(MARK_BYTES);
  const isRight = marks.every((position) => {
    readSync(file, found, 0, MARK_BYTES, position);
    return found.equals(markAt(position));
  });
  closeSync(file);
  return isRight && statSync(path).size === size;
}

function peakMiB(pid: number): number {
  return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);
}

await inWorld(async (world) => {
  await world.startTracker(1);
  const { alice, bob } = await world.people('alice', 'bob');
  await world.group('lab', alice, bob);
  const path = alice.path('large');
  makeSparse(path);
  const seconds = async <T>(work: () => Promise<T>) => {
    const beganMs = performance.now();
    const result = await work();
    return { result, seconds: Math.round((performance.now() - beganMs) / 100) / 10 };
  };
  const up = await seconds(() => alice.ok('upload_file', path, 'lab'));
  const memory = { upload: peakMiB(alice.program.pid), seeder: 0, leecher: 0 };
  await bob.ok('download_file', 'lab', 'large', '.', '--detach');
  const isDown = async () => {
    const { downloads } = await bob.ok<{ downloads: { state: string; reason: string | null }[] }>('show_downloads');
    const [row] = downloads;
    if (row?.state === 'complete') return true;
    if (row?.state !== 'downloading') throw new Error(`it does not go on: ${JSON.stringify(row)}`);
    return false;
  };
  const limits = { timeoutMs: DOWNLOAD_MS_MAX, everyMs: 500 };
  const down = await seconds(() => until('the download is complete', isDown, limits));
  Object.assign(memory, { seeder: peakMiB(alice.program.pid), leecher: peakMiB(bob.program.pid) });
  const isRight = hasMarks(bob.path('large'));
  console.log(`${size} bytes in ${up.result.piece_count} pieces, SHA-1 ${up.result.sha1}`);
  console.log(`upload ${up.seconds} s, download ${down.seconds} s, the copy is ${isRight ? 'right' : 'WRONG'}`);
  console.log(`peak memory, MiB: ${JSON.stringify(memory)}`);
  if (!isRight) process.exitCode = 1;
}, 1)();
