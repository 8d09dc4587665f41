// When a file in a watched directory is shared: what its name says, what the looks at it said, and what became of the last attempt.
// Decides only; knows no disk and no clock.
import type { ErrorCode } from '../../codec/errors.ts';
import { type FileIdentity, sameFile } from '../disk/file-identity.ts';

/** Unchanged for so long, a file counts as complete: copies and downloads write every second or more often. */
export const SETTLE_MS = 2_000;
/** After an error that time may heal. */
const RETRY_MS = 10_000;

/** Errors that say nothing about the file: tried again. All others wait for another file under that name. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'TRACKER_UNREACHABLE',
  'NO_QUORUM',
  'OUTCOME_UNKNOWN',
  'TIMEOUT',
  'OVERLOADED',
  'CLOSED',
  'CANCELLED',
  'CLIENT_EXPIRED',
  'NOT_LOGGED_IN',
  'NOT_MEMBER',
  'NO_SUCH_GROUP',
  'INTERNAL',
]);

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** One name in a watched directory. Times are those of one monotonic clock. */
export interface Watched {
  readonly identity: FileIdentity;
  /** When it was first seen as it is now. */
  readonly sinceMs: number;
  readonly isShared: boolean;
  readonly failure: Failure | null;
  readonly triedAtMs: number;
}

/** Hidden, or what editors, browsers and copies call a file that is not finished, or its backup. */
export function isPassedOver(name: string): boolean {
  return (
    name.startsWith('.') ||
    name.endsWith('~') ||
    /^#.*#$/.test(name) ||
    /\.(part|partial|crdownload|download|tmp|temp|swp|swx|lock)$/i.test(name)
  );
}

/** What is known of a name after another look at it. */
export function lookedAt(before: Watched | undefined, identity: FileIdentity, nowMs: number): Watched {
  if (before && sameFile(before.identity, identity)) return before;
  return { identity, sinceMs: nowMs, isShared: false, failure: null, triedAtMs: Number.NEGATIVE_INFINITY };
}

/** How long until it is to be shared; 0: now, null: not as it is. */
export function dueInMs(watched: Watched, nowMs: number): number | null {
  if (watched.isShared) return null;
  if (!watched.failure) return Math.max(0, watched.sinceMs + SETTLE_MS - nowMs);
  return PASSING.has(watched.failure.code) ? Math.max(0, watched.triedAtMs + RETRY_MS - nowMs) : null;
}
