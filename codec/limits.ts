// Every size that two programs must agree on, each with its reason. Related limits are asserted together below.
import assert from 'node:assert';

const KiB = 1024;
const MiB = 1024 * KiB;

/** The protocol versions this build speaks; each conversation's hello carries them. */
export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 1;

/** Longest user or group id, in characters (all ASCII). */
export const ID_LENGTH_MAX = 64;
/** What file systems take for one name. */
export const FILE_NAME_BYTES_MAX = 255;
/** Enough for any passphrase; bounds the work of hashing. */
export const PASSWORD_BYTES_MAX = 1024;
/** Host names: RFC 1035 §2.3.4. */
export const HOST_LENGTH_MAX = 253;

/** Type names in a frame are short ASCII words. */
export const FRAME_TYPE_BYTES_MAX = 24;
/** Pieces of a file, so that a manifest stays small; the piece size grows for very large files. */
export const PIECE_COUNT_MAX = 8_192;
export const PIECE_SIZE_MIN = 64 * KiB;
/** 8,192 pieces of 64 GiB: no file of today is larger than that. */
export const PIECE_SIZE_MAX = 64 * 1024 * MiB;
/** One SHA-1 and one SHA-256 a piece, and a little around them. */
export const MANIFEST_BYTES_MAX = PIECE_COUNT_MAX * (20 + 32) + KiB;
/** Files and directories of one shared directory: a downloader makes them all, and looks at them all to see whether they are unchanged. */
export const TREE_ENTRIES_MAX = 50_000;
/** The document that names them, at 160 bytes an entry: a downloader reads it whole. */
export const TREE_BYTES_MAX = 8 * MiB;
/** Its header, with no entry: an empty directory. */
export const TREE_BYTES_MIN = 12;
/** One path within it: leaves room for the destination in the 4,096 bytes that Linux takes. */
export const TREE_PATH_BYTES_MAX = 2_048;
/** Directories within directories: no tree that people made is deeper, and it bounds recursion. */
export const TREE_DEPTH_MAX = 64;
/** Content travels in blocks of at most this; 256 KiB measured best (1 MiB blocks stall, 16 KiB ones cost calls). */
export const BLOCK_SIZE = 256 * KiB;

/** A request or reply: large enough for a manifest and its envelope. */
export const RPC_PAYLOAD_BYTES_MAX = MANIFEST_BYTES_MAX + 64 * KiB;
/** Whole listings, uncapped, from a daemon to a program of the same user: about a million files. */
export const CONTROL_PAYLOAD_BYTES_MAX = 128 * MiB;
/** A batch of log entries, or a chunk of a snapshot, between trackers. */
export const RAFT_PAYLOAD_BYTES_MAX = 8 * MiB;
/** Log entries of one append message between trackers; the leader sends no more at a time. */
export const RAFT_APPEND_ENTRIES_MAX = 4_096;
/** A control message between peers: a full bitfield or a list of pieces fits. */
export const PEER_PAYLOAD_BYTES_MAX = 64 * KiB;
/** Nesting of decoded CBOR: our deepest message has 6 levels. */
export const CBOR_DEPTH_MAX = 12;
/** Items of one CBOR document: bounds the objects that a small hostile frame can make us build. */
export const CBOR_ITEMS_MAX = 200_000;

/** Requests that one connection may have unanswered; beyond it the reader pauses, so the sender feels it. */
export const RPC_IN_FLIGHT_MAX = 1_024;
/** Of them, those that are worked on at once where connections take turns: the others wait, for each ends in a burst of work. */
export const RPC_AT_WORK_MAX = 32;
/** The same over all connections that take turns: what one burst of answers costs everybody, some 20 ms. */
export const CALLS_AT_WORK_ALL_MAX = 256;
/** A call counts there for so long: one that waits for a password's hash, a quorum or news costs nobody anything. */
export const CALL_COUNTS_MS = 100;
/** From this size on a request counts as a large one … */
export const LARGE_CALL_BYTES_MIN = 4 * KiB;
/** … of which so many bytes are under way at once where connections take turns: some 20 ms of hashing, disk and network for all. */
export const LARGE_CALLS_AT_WORK_BYTES_MAX = 768 * KiB;
/** Requests that wait for their turn hold so many bytes; beyond it the reader pauses. Of one connection, and of all together. */
export const RPC_WAITING_BYTES_MAX = 1 * MiB;
export const RPC_WAITING_BYTES_ALL_MAX = 64 * MiB;
/** Event streams among them: they last, so beyond it a new one is refused, for pausing would stop the cancels that end them. */
export const RPC_STREAMS_MAX = 4_096;
/** Bytes that may wait unsent for one connection before its reader pauses too. */
export const RPC_UNSENT_BYTES_MAX = 4 * MiB;
/** Beyond it the connection ends: whoever streams did not heed the limit above, and the other side does not read. */
export const RPC_UNSENT_BYTES_HARD_MAX = 64 * MiB;
/** Nothing at all left for the other side in this time although something waits: it is given up. */
export const RPC_UNSENT_STUCK_MS = 60_000;
/**
 * The floor: a frame that was begun must be whole after this time and a millisecond more for every 8 of its bytes that came (8 KB/s).
 * Whoever sends slower than a modem of 1996 keeps us busy on purpose.
 */
export const FRAME_MS_MAX = 20_000;
export const FRAME_BYTES_PER_MS_MIN = 8;
/** Silence after which a connection is probed, and after which it is given up. */
export const KEEP_ALIVE_MS = 5_000;
export const KEEP_ALIVE_LOST_MS = 15_000;
/** A connection that has not finished TLS and hello by then is closed. */
export const HANDSHAKE_MS_MAX = 10_000;

/** Items in one page of a listing between programs; listings as a whole have no cap. */
export const PAGE_ITEMS_MAX = 1_000;

/** Damaged or lost shares that one heartbeat tells of: a frame holds them. Peers find out about the rest when they dial. */
export const SHORTFALLS_MAX = 1_000;
/** Downloads under way that it tells of, in the same frame; of the rest only listings do not know how far they are. */
export const PARTIALS_MAX = 250;
/** Peers of one file that a downloader is told of: a frame holds them, and it talks to far fewer. */
export const PEERS_TOLD_MAX = 800;

/** A ticket's life: a removed member whose seeder cannot hear any tracker is cut off after this. */
export const TICKET_LIFE_MS = 10 * 60_000;
/** A daemon that no tracker reported for this long is offline. */
export const LEASE_MS = 15_000;
/** How often a daemon tells its tracker that it lives, and trackers tell the leader who does. */
export const HEARTBEAT_MS = 3_000;
export const LEASE_REPORT_MS = 1_000;

assert(PIECE_SIZE_MIN <= BLOCK_SIZE);
assert(TREE_PATH_BYTES_MAX > FILE_NAME_BYTES_MAX && TREE_PATH_BYTES_MAX < 2 ** 16);
assert(MANIFEST_BYTES_MAX < RPC_PAYLOAD_BYTES_MAX);
assert(RPC_PAYLOAD_BYTES_MAX < RAFT_PAYLOAD_BYTES_MAX);
assert(Math.ceil(PIECE_COUNT_MAX / 8) * 4 < PEER_PAYLOAD_BYTES_MAX);
assert(RPC_UNSENT_BYTES_MAX + RAFT_PAYLOAD_BYTES_MAX < RPC_UNSENT_BYTES_HARD_MAX);
assert((SHORTFALLS_MAX + PARTIALS_MAX) * (ID_LENGTH_MAX + FILE_NAME_BYTES_MAX + 64) < RPC_PAYLOAD_BYTES_MAX);
assert(PEERS_TOLD_MAX * (ID_LENGTH_MAX + HOST_LENGTH_MAX + 192) < RPC_PAYLOAD_BYTES_MAX);
assert(HEARTBEAT_MS * 3 < LEASE_MS);
assert(KEEP_ALIVE_MS * 2 < KEEP_ALIVE_LOST_MS);
