// Failed logins, per account and per address: the first ones cost nothing, then each doubles the wait. Only failures count. Names
// that no user has are treated like those of users, so the answer tells nothing. Logged, so it survives a failover.
import { MtError } from '../../codec/errors.ts';
import {
  FAILURE_ENTRIES_MAX,
  FAILURES_FORGOTTEN_MS,
  FREE_FAILURES_PER_ADDRESS,
  FREE_FAILURES_PER_USER,
  LOGIN_WAIT_FIRST_MS,
  LOGIN_WAIT_MAX_MS,
} from './limits.ts';
import { Failures } from './records.ts';
import type { State } from './state.ts';

type Kind = Failures['kind'];

/** Ms until the next attempt at this account from this address counts; 0 = now. */
export function loginWaitMs(state: State, userId: string, remote: string, nowMs: number): number {
  return Math.max(waitOf(state, 'user', userId, nowMs), waitOf(state, 'address', remote, nowMs));
}

/** @throws MtError TOO_MANY_ATTEMPTS. */
export function requireNoWait(state: State, userId: string, remote: string): void {
  const waitMs = loginWaitMs(state, userId, remote, state.now);
  if (waitMs === 0) return;
  const seconds = Math.ceil(waitMs / 1000);
  throw new MtError(
    'TOO_MANY_ATTEMPTS',
    `Too many failed logins: wait ${seconds} ${seconds === 1 ? 'second' : 'seconds'}`,
    `Try again in ${seconds} s`,
  );
}

export function countFailure(state: State, userId: string, remote: string): void {
  count(state, 'user', userId);
  count(state, 'address', remote);
}

/** After a success. The address's failures stay: one's own account must not wash off guesses at others. */
export function forgiveUser(state: State, userId: string): void {
  const failures = state.failures.user.get(userId);
  if (failures !== undefined) state.removeFailures(failures);
}

function count(state: State, kind: Kind, key: string): void {
  const queue = state.failuresByTime[kind];
  for (let { oldest } = queue; oldest !== null && isForgotten(oldest, state.now); { oldest } = queue) {
    state.removeFailures(oldest);
  }
  let failures = state.failures[kind].get(key);
  if (failures === undefined) {
    while (state.failures[kind].size >= FAILURE_ENTRIES_MAX) state.removeFailures(queue.oldest!);
    failures = new Failures(kind, key, state.now, state.index);
    state.addFailures(failures);
  }
  state.countFailure(failures);
}

function waitOf(state: State, kind: Kind, key: string, nowMs: number): number {
  const failures = state.failures[kind].get(key);
  if (failures === undefined || isForgotten(failures, nowMs)) return 0;
  const costly = failures.count - (kind === 'user' ? FREE_FAILURES_PER_USER : FREE_FAILURES_PER_ADDRESS);
  if (costly <= 0) return 0;
  const waitMs = Math.min(LOGIN_WAIT_FIRST_MS * 2 ** (costly - 1), LOGIN_WAIT_MAX_MS);
  return Math.max(0, failures.lastAt + waitMs - nowMs);
}

function isForgotten(failures: Failures, nowMs: number): boolean {
  return nowMs - failures.lastAt > FAILURES_FORGOTTEN_MS;
}
