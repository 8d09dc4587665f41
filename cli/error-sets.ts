// Which errors whole kinds of command give: the help lists them, with the exit numbers of codec/errors.ts.
import { type ErrorCode, EXIT_OF } from '../codec/errors.ts';

/** Any command that talks to the daemon. */
export const DAEMON_ERRORS: readonly ErrorCode[] = ['USAGE', 'DAEMON_UNREACHABLE', 'DAEMON_VERSION', 'INTERRUPTED'];
/** Asks the trackers, as somebody. */
export const READ_ERRORS: readonly ErrorCode[] = [
  ...DAEMON_ERRORS,
  'NOT_LOGGED_IN',
  'TRACKER_UNREACHABLE',
  'NO_QUORUM',
  'TIMEOUT',
];
/** Changes something at the trackers, as somebody. */
export const CHANGE_ERRORS: readonly ErrorCode[] = [
  ...DAEMON_ERRORS,
  'NOT_LOGGED_IN',
  'TRACKER_UNREACHABLE',
  'NO_QUORUM',
  'OUTCOME_UNKNOWN',
];

/** `[exit, codes]` rows in the order of the numbers, each code once. */
export function byExit(codes: readonly ErrorCode[]): [number, ErrorCode[]][] {
  const rows = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) rows.set(EXIT_OF[code], [...(rows.get(EXIT_OF[code]) ?? []), code]);
  return [...rows].sort(([a], [b]) => a - b);
}
