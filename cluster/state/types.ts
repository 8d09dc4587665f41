/**
 * The vocabulary of the replicated state machine: commands in, replies and events out. Owns shapes only.
 *
 * The public functions, all pure and deterministic:
 *
 *   commands.ts  encodeCommand(command) → bytes           what a log entry's data is; `at` may still be 0
 *                stampCommand(bytes, atMs)                 the leader writes the time in place, without decoding
 *                decodeCommand(bytes) → Command            MtError PROTOCOL when malformed; UnknownCommandError: halt the node.
 *                                                          A leader decodes before it proposes: what is in the log must apply.
 *   state.ts     emptyState() → State
 *                stateHash(state, sha256) → 32 bytes       of the whole content at state.index; cheap, ask at any index
 *   apply.ts     apply(state, index, command) → Applied    for each `command` entry, in order
 *                advance(state, index)                     for each `noop` and `config` entry
 *   queries.ts   every read of codec/tracker-rpc.ts, with the checks of who may see what
 *   lookups.ts   what a tracker needs for itself: logins, leases, watches, manifest storage
 *   snapshot.ts  takeSnapshot(state, sha256) → Snapshot    consistent though apply goes on between two chunks
 *   restore.ts   new SnapshotReader(sha256) .push(chunk) … .finish() → State
 */
import type { ErrorWire } from '../../codec/errors.ts';
import type { Address } from '../../codec/ids.ts';
import type { CommandType, Payloads } from './payloads.ts';

export type { CommandType, PasswordHash, Payloads } from './payloads.ts';

/** SHA-256, handed in: this folder knows no crypto module. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Who speaks. The receiving tracker fills it in from the TLS connection; null for commands of the cluster itself. */
export interface Actor {
  /** Of the daemon's TLS key. */
  readonly fingerprint: string | null;
  /** The session that the request names; `apply` checks that it is this daemon's. */
  readonly session: string | null;
}

interface CommandOf<T extends CommandType> {
  readonly type: T;
  /** The exactly-once client; null for `register_client` and for commands of the cluster itself. */
  readonly clientId: string | null;
  /** From 1 upwards within the client; 0 without one. */
  readonly seq: number;
  /** Every reply below this sequence has arrived. */
  readonly acked: number;
  readonly actor: Actor;
  /** Unix ms, stamped by the leader. `apply` never lets time go backwards. */
  readonly at: number;
  readonly payload: Payloads[T];
}
/** One entry of the log, its payload in the newest form. */
export type Command = { readonly [T in CommandType]: CommandOf<T> }[CommandType];

/** Results by type, as codec/tracker-rpc.ts has them; every other command answers {}. */
export interface Results {
  readonly register_client: { readonly client_id: string };
  readonly login: { readonly session: string; readonly epoch: number };
  readonly resume: { readonly user_id: string; readonly epoch: number };
  readonly share_file: { readonly new_file: boolean };
}
export type ResultOf<T extends CommandType> = T extends keyof Results ? Results[T] : Readonly<Record<never, never>>;

export type Reply<T extends CommandType = CommandType> =
  | { readonly ok: true; readonly result: ResultOf<T> }
  | { readonly ok: false; readonly error: ErrorWire };

/** What one entry did. */
export interface Applied {
  readonly index: number;
  /** Unix ms, monotonic over the log. */
  readonly at: number;
  /** The user whose session spoke; null without one. */
  readonly by: string | null;
  readonly reply: Reply;
  /**
   * In order; the key of an event is (index, its position here). Empty for a repetition, when nothing changed, and for an error
   * (but for a failed login, which is news too).
   */
  readonly events: readonly StateEvent[];
  /** The request was applied before: this is its first reply again. */
  readonly repeated: boolean;
}

/**
 * Why a session ended: `replaced` by another user's login on the same daemon, `renewed` by another login of the same user there
 * (its shares stay available and its transfers need no cut).
 */
export type SessionEnd = 'logout' | 'revoked' | 'replaced' | 'renewed';

interface OfUser {
  readonly user_id: string;
}
interface OfDaemon extends OfUser {
  readonly fingerprint: string;
}
interface OfGroup {
  readonly group_id: string;
}
interface OfFile extends OfGroup {
  readonly file_name: string;
}

/**
 * What changed, for watch streams and the audit. No secret in it, no session id either: a watcher of a session looks on
 * `session_ended` of its fingerprint whether its session still exists (lookups.ts, sessionInfo).
 *
 * A daemon's whole list of shares appears and disappears with `daemon_online` and `daemon_offline`: one event, however many
 * files. A watcher of a file asks `peerOf` (lookups.ts) whether the daemon shares that file.
 */
export type StateEvent =
  | ({ readonly type: 'user_created' | 'password_changed' } & OfUser)
  /** `user_id` as it was typed; it may not exist. */
  | ({ readonly type: 'login_failed'; readonly remote: string } & OfUser)
  | ({ readonly type: 'logged_in' } & OfDaemon)
  /** Its shares can be had at this address. Also when an online daemon's address changed. */
  | ({ readonly type: 'daemon_online'; readonly address: Address } & OfDaemon)
  | ({ readonly type: 'daemon_offline'; readonly reason: SessionEnd | 'expired' } & OfDaemon)
  /** Cut this daemon's transfers as this user, unless `renewed`. */
  | ({ readonly type: 'session_ended'; readonly reason: SessionEnd } & OfDaemon)
  | ({ readonly type: 'group_created' | 'join_requested' | 'request_withdrawn' | 'request_rejected' } & OfGroup &
      OfUser)
  | ({ readonly type: 'member_joined' } & OfGroup & OfUser)
  /** All shares of the user in the group have ended: cut its transfers. The group has a new epoch. */
  | ({ readonly type: 'member_left'; readonly removed: boolean; readonly epoch: number } & OfGroup & OfUser)
  | ({ readonly type: 'owner_changed'; readonly previous: string } & OfGroup & OfUser)
  | ({ readonly type: 'group_ended' } & OfGroup)
  /** A new name in the group; the publisher's `share_started` follows. */
  | ({ readonly type: 'file_added'; readonly size: number; readonly manifest_hash: Uint8Array } & OfFile & OfUser)
  /** A new sharer, in part or complete. */
  | ({ readonly type: 'share_started'; readonly complete: boolean } & OfFile & OfDaemon)
  /** A sharer in part has everything now. */
  | ({ readonly type: 'share_completed' } & OfFile & OfDaemon)
  /** Not sent for each share when a member leaves or a file is removed: those events imply it. */
  | ({ readonly type: 'share_stopped' } & OfFile & OfDaemon)
  /** The file left the group: by remove_file, or with its last complete sharer. */
  | ({
      readonly type: 'file_removed';
      readonly reason: 'removed' | 'last_share';
      readonly manifest_hash: Uint8Array;
    } & OfFile)
  | { readonly type: 'limits_changed'; readonly groups_per_user: number; readonly files_per_user: number }
  | { readonly type: 'upgraded'; readonly version: number };

/** What one user may have. */
export interface UserLimits {
  readonly groupsPerUser: number;
  readonly filesPerUser: number;
}

/** The bytes of a snapshot, one chunk at a time. */
export interface Snapshot {
  /** The log index whose state it holds. */
  readonly index: number;
  /**
   * The next chunk, at most 256 KiB, or null at the end. Between two calls the state may go on: what changes is kept aside as
   * it was. The same state gives the same bytes on every node.
   */
  next(): Uint8Array | null;
  /** Gives up; needed only when the end is not reached. */
  close(): void;
}
