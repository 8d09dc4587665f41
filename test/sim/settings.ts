// Time and limits of every simulated tracker: small ones, so that each is met often.
import type { RaftConfig } from '../../cluster/raft/types.ts';

export const TICK_MS = 10;

/** What a seed or a start decides is left out. */
export const SETTINGS = {
  electionTicks: 15,
  heartbeatTicks: 3,
  roundTripTicks: 2,
  diskStallTicks: 40,
  entryBytesMax: 4_096,
  inflightBytesMax: 8_192,
  uncommittedBytesMax: 16_384,
  cacheBytesMax: 4_096,
  pendingReadsMax: 64,
} satisfies Partial<RaftConfig>;
