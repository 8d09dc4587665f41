// Walks the surroundings of a file that is not where it was: its directory first, then what is below, then the directory above and
// what is below that. Breadth first and bounded, names and times only; symbolic links and hidden directories are passed over.
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { identityOf } from '../disk/file-identity.ts';
import type { Candidate } from './search-plan.ts';

/** Names looked at in one search: a second or two of a disk's time. */
const ENTRIES_MAX = 20_000;
/** How far below a directory. */
const DEPTH_MAX = 3;

/**
 * Every regular file and directory in the neighbourhood of `path`, nearest first.
 * @param ownUid whose directories may be gone up to: what is above a home or a mount is nobody's neighbourhood.
 */
export async function* neighbourhood(path: string, ownUid = process.getuid!()): AsyncGenerator<Candidate> {
  const home = await nearestDirectory(dirname(path));
  const above = dirname(home);
  const seen = new Set<string>();
  const budget = { entries: ENTRIES_MAX };
  const isOwn = async (directory: string) =>
    directory !== '/' && (await lstat(directory).catch(() => null))?.uid === ownUid;
  if (home === dirname(path) || (await isOwn(home))) yield* below(home, seen, budget);
  if (above !== home && (await isOwn(above))) yield* below(above, seen, budget);
}

async function* below(root: string, seen: Set<string>, budget: { entries: number }): AsyncGenerator<Candidate> {
  let level = [root];
  for (let depth = 0; depth < DEPTH_MAX && level.length > 0; depth++) {
    const next: string[] = [];
    for (const directory of level) {
      if (seen.has(directory)) continue;
      seen.add(directory);
      const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
      for (const entry of entries) {
        if (budget.entries-- <= 0) return;
        const path = join(directory, entry.name);
        if (entry.isDirectory() && !entry.name.startsWith('.')) next.push(path);
        if (!entry.isFile() && !entry.isDirectory()) continue;
        const stats = await lstat(path, { bigint: true }).catch(() => null);
        if (!stats?.isFile() && !stats?.isDirectory()) continue;
        yield { path, name: entry.name, isDirectory: stats.isDirectory(), identity: identityOf(stats) };
      }
    }
    level = next;
  }
}

/** The directory itself, or what is left above it when it was moved too. */
async function nearestDirectory(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const stats = await lstat(at).catch(() => null);
    if (stats?.isDirectory() || at === '/') return at;
  }
}
