// The tracker's timing and limits, each with its reason. What depends on each other is asserted at load.
import assert from 'node:assert';
import {
  MANIFEST_BYTES_MAX,
  RAFT_PAYLOAD_BYTES_MAX,
  RPC_PAYLOAD_BYTES_MAX,
  RPC_UNSENT_BYTES_HARD_MAX,
} from '../../codec/limits.ts';
import type { AdmissionLimits } from '../../codec/service/admission.ts';
import type { RaftConfig } from '../raft/types.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** The consensus clock. */
export const TICK_MS = 20;
/** A pause (garbage, a stopped process) is made up for by this many ticks at most: what piled up meanwhile is heard first. */
export const TICKS_AT_ONCE_MAX = 2;
export const HEARTBEAT_TICKS = 3;
/** Round trip between trackers, a busy event loop and an fsync included. */
export const ROUND_TRIP_TICKS = 3;
/**
 * 400 to 800 ms of silence. A killed tracker is noticed by its broken links long before (some 100 ms), so this only matters for
 * machines that vanish, and must be well above what a loaded host with slow disks does to a healthy leader.
 */
export const ELECTION_TICKS = 20;
/** 2 s: nobody wants to wait longer for one write. */
export const DISK_STALL_TICKS = 100;

/** A command with a manifest. */
export const ENTRY_BYTES_MAX = MANIFEST_BYTES_MAX + 64 * KiB;
export const APPEND_BYTES_MAX = 1 * MiB;
export const INFLIGHT_MESSAGES_MAX = 64;
/** Per follower: what it writes in one transaction at most. More would keep a slow disk from answering heartbeats in time. */
export const INFLIGHT_BYTES_MAX = 4 * MiB;
/** Manifests of 600 files of 64 MiB; beyond it commands wait at the tracker that their daemon is connected to. */
export const UNCOMMITTED_BYTES_MAX = 16 * MiB;
/** Some 10,000 commands: a follower that is further behind is fed from the disk. */
export const ENTRY_CACHE_BYTES_MAX = 4 * MiB;
export const PENDING_READS_MAX = 10_000;

/** The core's settings, but for what differs from node to node. */
export const RAFT_SETTINGS = {
  electionTicks: ELECTION_TICKS,
  heartbeatTicks: HEARTBEAT_TICKS,
  roundTripTicks: ROUND_TRIP_TICKS,
  diskStallTicks: DISK_STALL_TICKS,
  entryBytesMax: ENTRY_BYTES_MAX,
  appendBytesMax: APPEND_BYTES_MAX,
  inflightMessagesMax: INFLIGHT_MESSAGES_MAX,
  inflightBytesMax: INFLIGHT_BYTES_MAX,
  uncommittedBytesMax: UNCOMMITTED_BYTES_MAX,
  cacheBytesMax: ENTRY_CACHE_BYTES_MAX,
  pendingReadsMax: PENDING_READS_MAX,
} as const satisfies Omit<RaftConfig, 'id' | 'boot' | 'seed'>;

/** Deadlines are looked at this often. */
export const SWEEP_TICKS = 4;
/** One frame of forwarded commands. */
export const FORWARD_BYTES_MAX = 4 * MiB;

/** Commands that wait for an answer on one tracker; beyond it: OVERLOADED. */
export const PENDING_COMMANDS_MAX = 20_000;
/** How long a command waits for a quorum when its caller did not say. */
export const COMMAND_MS_DEFAULT = 10_000;

export interface SnapshotSettings {
  /** Entries between two snapshots of the state; more when the state is large. */
  readonly everyEntries: number;
  /** Entries kept readable behind one, so that a follower that was away for a moment gets them instead of the snapshot. */
  readonly entriesKept: number;
}
/** Some 300 ms of replay at start. */
export const SNAPSHOTS_DEFAULT: SnapshotSettings = { everyEntries: 25_000, entriesKept: 10_000 };
/** Between two chunks of a snapshot being written: the loop is free for everyone else. */
export const SNAPSHOT_CHUNK_PAUSE_MS = 4;
/** Bytes of entries read at once when applying. */
export const APPLY_BYTES_MAX = 4 * MiB;

/**
 * Connections to one tracker: every daemon of a large cluster when all but one tracker are down, at some 60 KB each. One address may
 * be a whole team behind a router. Strangers have not finished TLS and hello, and have HANDSHAKE_MS_MAX to do so.
 */
export const CONNECTIONS_DEFAULT: AdmissionLimits = {
  total: 16_384,
  perAddress: 2_048,
  strangers: 2_048,
  strangersPerAddress: 512,
};

/**
 * What one address may begin that every tracker remembers: accounts and exactly-once clients. Whoever sets up a lab makes hundreds
 * at once; beyond the burst it is a trickle, so that no address can crowd the others out of the clients' table (65,536).
 */
export const ACCOUNTS_PER_ADDRESS = { burst: 500, perSecond: 1 } as const;
export const CLIENTS_PER_ADDRESS = { burst: 4_096, perSecond: 4 } as const;
/** Streams of news: one a daemon and one a download, at some 5 KB each. Each is asked for every piece of news that concerns it. */
export const STREAMS = { total: 65_536, perAddress: 16_384 } as const;
/** News that wait for one stream, and so what one command makes them name; beyond it the daemon looks for itself. Four frames. */
export const NEWS_ROWS_MAX = 4_000;
/** Of telling streams their news, in one turn of the event loop. */
export const DELIVERY_MS_MAX = 5;
/** Reports of banned sources that a tracker writes down: a download from a crowd of liars, then one in a minute. */
export const REPORTS_PER_USER = { burst: 30, perSecond: 1 / 60 } as const;
/** `mt doctor` asks to be dialled; somebody who mends a firewall asks a few times in a row. */
export const DIAL_BACKS_PER_ADDRESS = { burst: 10, perSecond: 0.2 } as const;

/** Re-dialling another tracker. */
export const DIAL_BACKOFF_MS_MIN = 50;
export const DIAL_BACKOFF_MS_MAX = 1_000;
/** A tracker whose host vanished is noticed after this; a killed one at once. */
export const LINK_KEEP_ALIVE = { probeMs: 500, lostMs: 2_000 } as const;

assert(FORWARD_BYTES_MAX + ENTRY_BYTES_MAX < RAFT_PAYLOAD_BYTES_MAX);
assert(APPEND_BYTES_MAX + ENTRY_BYTES_MAX < RAFT_PAYLOAD_BYTES_MAX);
assert(RPC_PAYLOAD_BYTES_MAX <= ENTRY_BYTES_MAX + 64 * KiB);
assert(INFLIGHT_BYTES_MAX + ENTRY_BYTES_MAX < RPC_UNSENT_BYTES_HARD_MAX);
assert(ELECTION_TICKS >= 3 * (HEARTBEAT_TICKS + ROUND_TRIP_TICKS));
