/**
 * Refuses a configuration that cannot work, in words an operator understands. The core starts with a checked one only.
 */
import type { RaftConfig } from './types.ts';

/**
 * A heartbeat may be lost and the next one late, and the answer takes a round trip: with less room than this, a healthy
 * leader is replaced again and again (scenario 6).
 */
const ELECTION_OVER_CONTACT_MIN = 3;

/** A setting that cannot work. The message names the setting, what was expected and what came. */
export class RaftConfigError extends Error {
  override readonly name = 'RaftConfigError';
}

const AT_LEAST_ONE = [
  'boot',
  'electionTicks',
  'heartbeatTicks',
  'diskStallTicks',
  'entryBytesMax',
  'appendBytesMax',
  'inflightMessagesMax',
  'inflightBytesMax',
  'uncommittedBytesMax',
  'cacheBytesMax',
  'pendingReadsMax',
] as const satisfies readonly (keyof RaftConfig)[];

/** Throws RaftConfigError. */
export function checkConfig(config: RaftConfig): void {
  if (config.id === '') throw new RaftConfigError('id: expected a node id, got an empty string');
  for (const name of AT_LEAST_ONE) {
    const value = config[name];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RaftConfigError(`${name}: expected a whole number >= 1, got ${value}`);
    }
  }
  if (!Number.isSafeInteger(config.roundTripTicks) || config.roundTripTicks < 0) {
    throw new RaftConfigError(`roundTripTicks: expected a whole number >= 0, got ${config.roundTripTicks}`);
  }
  if (!Number.isSafeInteger(config.seed)) {
    throw new RaftConfigError(`seed: expected a whole number, got ${config.seed}`);
  }
  const contactTicks = config.heartbeatTicks + config.roundTripTicks;
  if (config.electionTicks < ELECTION_OVER_CONTACT_MIN * contactTicks) {
    throw new RaftConfigError(
      `electionTicks: ${config.electionTicks} is too short, expected at least ${ELECTION_OVER_CONTACT_MIN} x ` +
        `(heartbeatTicks ${config.heartbeatTicks} + roundTripTicks ${config.roundTripTicks}) = ` +
        `${ELECTION_OVER_CONTACT_MIN * contactTicks}: a healthy leader would be replaced again and again`,
    );
  }
  if (config.uncommittedBytesMax < config.entryBytesMax) {
    throw new RaftConfigError(
      `uncommittedBytesMax: ${config.uncommittedBytesMax} is less than entryBytesMax ${config.entryBytesMax}`,
    );
  }
}
