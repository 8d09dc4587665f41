// The thread for small files: calls of the system one after the other, without an await between them. What it may do to names is
// what tree-source.ts, scan.ts and unpack.ts may: it follows no link in the last part of a path, and replaces nothing.
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { STATS_LENGTH, type TreeAnswer, type TreeJob } from './tree-thread.ts';

type Job<O extends TreeJob['op']> = Extract<TreeJob, { op: O }>;

class Failed extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

parentPort!.on('message', (job: TreeJob & { id: number }) => {
  const answer: TreeAnswer = { id: job.id, ...run(job) };
  parentPort!.postMessage(answer);
});

function run(job: TreeJob): Omit<TreeAnswer, 'id'> {
  let path = '';
  /** Does something for each path, and knows at which it failed. */
  const each = (paths: readonly string[], act: (path: string, i: number) => void) => {
    for (const [i, next] of paths.entries()) {
      path = next;
      act(next, i);
    }
  };
  try {
    switch (job.op) {
      case 'read':
        return read(job, each);
      case 'look':
        return look(job.paths, each);
      case 'make':
        path = job.from;
        return make(job, each);
      case 'list': {
        path = job.directory;
        const names = readdirSync(job.directory, { encoding: 'buffer' }).map((raw) => {
          const name = raw.toString('utf8');
          path = `${job.directory}/${name}`;
          if (!Buffer.from(name).equals(raw)) throw new Failed('NOT_UTF8');
          return name;
        });
        const paths = names.map((name) => `${job.directory}/${name}`);
        return { names, ...look(paths, each) };
      }
    }
  } catch (error) {
    return { failed: { code: (error as NodeJS.ErrnoException).code ?? 'unknown error', path } };
  }
}

type Each = (paths: readonly string[], act: (path: string, i: number) => void) => void;

function read({ paths, expected, ranges, memory, at }: Job<'read'>, each: Each): Omit<TreeAnswer, 'id'> {
  let end = at;
  each(paths, (path, i) => {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(fd, { bigint: true });
      const is = [stats.ino, stats.mtimeNs, stats.size];
      if (!stats.isFile() || is.some((value, k) => BigInt.asIntN(64, value) !== expected[i * 3 + k])) {
        throw new Failed('CHANGED');
      }
      const count = ranges[i * 2 + 1]!;
      readFully(fd, new Uint8Array(memory, end, count), ranges[i * 2]!);
      end += count;
    } finally {
      closeSync(fd);
    }
  });
  return {};
}

function look(paths: readonly string[], each: Each): Omit<TreeAnswer, 'id'> {
  const stats = new BigInt64Array(paths.length * STATS_LENGTH);
  each(paths, (path, i) => {
    const found: BigIntStats = lstatSync(path, { bigint: true });
    stats.set([found.mode, BigInt.asIntN(64, found.ino), found.mtimeNs, found.size], i * STATS_LENGTH);
  });
  return { stats };
}

function make({ from, position, paths, sizes, modes }: Job<'make'>, each: Each): Omit<TreeAnswer, 'id'> {
  const content = Buffer.alloc(sizes.reduce((sum, size) => sum + Math.max(0, size), 0));
  const fd = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    readFully(fd, content, position);
  } finally {
    closeSync(fd);
  }
  let at = 0;
  each(paths, (path, i) => {
    const size = sizes[i]!;
    if (size < 0) return mkdirSync(path, modes[i]!);
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const to = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, modes[i]!);
    try {
      for (let done = 0; done < size; ) done += writeSync(to, content, at + done, size - done, done);
    } finally {
      closeSync(to);
    }
    at += size;
  });
  return {};
}

function readFully(fd: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length; ) {
    const count = readSync(fd, into, done, into.length - done, position + done);
    if (count === 0) throw new Failed('CHANGED');
    done += count;
  }
}
