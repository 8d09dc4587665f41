// The state's own limits, each with its reason. All of them are part of the deterministic behaviour: changing one needs a new
// state-machine version (upgrade), or nodes of different builds would disagree.

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** The newest state-machine version that this build can run. A log that asks for a later one halts the node. */
export const STATE_VERSION_MAX = 1;

/** What one user may have unless `set_limits` says otherwise. */
export const GROUPS_PER_USER_DEFAULT = 100_000;
export const FILES_PER_USER_DEFAULT = 100_000;
/** Daemons of one user that are logged in; at the limit the longest-offline one makes room. */
export const SESSIONS_PER_USER_MAX = 256;

/** Exactly-once clients in all: several times the daemons that a cluster serves. Who makes room: clients.ts. */
export const CLIENTS_MAX = 65_536;
/** Replies kept in all, so that hostile clients that never acknowledge cannot fill the memory. */
export const REPLIES_MAX = 262_144;
/** Of a full table, one part in so many makes room at once: looking at all of it (some 5 ms) is then rare. */
export const EVICTED_SHARE = 64;
/** Unacknowledged requests of one client. */
export const REPLIES_PER_CLIENT_MAX = 1_024;
/** A client that sent nothing for this long has ended: daemons register anew at each start. */
export const CLIENT_IDLE_MS = 7 * 24 * HOUR_MS;

/** Failed logins that cost nothing. An address has more, since a team may sit behind one. */
export const FREE_FAILURES_PER_USER = 5;
export const FREE_FAILURES_PER_ADDRESS = 20;
/** The first wait; it doubles with each failure up to the longest one. */
export const LOGIN_WAIT_FIRST_MS = SECOND_MS;
/** Long enough to stop guessing, short enough that nobody can lock another user out for good. */
export const LOGIN_WAIT_MAX_MS = 5 * MINUTE_MS;
/** Failures are forgotten after this much quiet. */
export const FAILURES_FORGOTTEN_MS = HOUR_MS;
/** Accounts, and addresses, whose failures are remembered; the longest quiet one makes room. */
export const FAILURE_ENTRIES_MAX = 10_000;

/** Expiries in one command: keeps it, and its apply, short. */
export const EXPIRED_PER_COMMAND_MAX = 1_000;

/** Bytes of a snapshot's chunk: well under a frame between trackers, encoded in about a millisecond. */
export const SNAPSHOT_CHUNK_BYTES_MAX = 256 * 1024;
