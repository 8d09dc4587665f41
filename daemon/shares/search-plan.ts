// When and in which order a lost file is looked for. Decides only: names, times and sizes come in, no disk and no clock is here.
import type { FileIdentity } from '../disk/file-identity.ts';

/** A move across file systems takes a while, and a disk may come back: again, less and less often. */
const SEARCH_MS_MIN = 5_000;
const SEARCH_MS_MAX = 15 * 60_000;
/** Files of the right size whose content is looked at in one search. */
export const CANDIDATES_MAX = 8;

export interface Candidate {
  readonly path: string;
  readonly name: string;
  readonly isDirectory: boolean;
  readonly identity: FileIdentity;
}

export interface SearchState {
  readonly attempts: number;
  readonly lastAtMs: number;
}

export function isSearchDue(state: SearchState | undefined, nowMs: number): boolean {
  if (!state) return true;
  const pauseMs = Math.min(SEARCH_MS_MAX, SEARCH_MS_MIN * 2 ** Math.min(state.attempts - 1, 16));
  return nowMs - state.lastAtMs >= pauseMs;
}

/** The very file that was shared, under another name: nothing of it was written since. */
export function isSameFileMoved(found: FileIdentity, lost: FileIdentity): boolean {
  return found.inode === lost.inode && found.sizeBytes === lost.sizeBytes && found.mtimeNs === lost.mtimeNs;
}

/**
 * Which files of the right size are worth reading, the likeliest first: the same name (moved to another directory), the same time
 * (moved to another file system by mv, cp -p or rsync), then in the order in which they were met.
 */
export function likeliest(
  candidates: readonly Candidate[],
  lost: FileIdentity & { readonly name: string },
): Candidate[] {
  const weight = ({ name, identity }: Candidate) =>
    (name === lost.name ? 2 : 0) + (identity.mtimeNs === lost.mtimeNs ? 1 : 0);
  return candidates
    .filter(
      ({ identity, name, isDirectory }) =>
        !isDirectory && identity.sizeBytes === lost.sizeBytes && !name.endsWith('.part'),
    )
    .map((candidate, at) => ({ candidate, at, weight: weight(candidate) }))
    .sort((a, b) => b.weight - a.weight || a.at - b.at)
    .slice(0, CANDIDATES_MAX)
    .map(({ candidate }) => candidate);
}
