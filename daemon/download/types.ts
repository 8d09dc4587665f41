// What the data plane offers to the control plane (`Downloads`, `Serving`), and what it asks of it (`DataPlanePorts`).
// Only types: the control-server calls the first, main.ts implements the second from the tracker client, session and shares.
import type { KeyObject } from 'node:crypto';
import type { ControlApi, DownloadRow } from '../../codec/control-api.ts';
import type { EventOf, Params, Result } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import type { PieceFile } from '../disk/piece-file.ts';
import type { BanReason } from '../pieces/types.ts';
import type { FetchRequest } from './piece-fetch.ts';

/** One file of one group: what names a download or a share. */
export interface FileRef {
  readonly groupId: string;
  readonly fileName: string;
}

export type DownloadRequest = Params<ControlApi, 'download_file'>;
export type DownloadAnswer = Result<ControlApi, 'download_file'>;
export type LocatedFile = Result<TrackerApi, 'locate_file'>;

export interface DownloadCallOptions {
  /** Aborted when the caller gave up (Ctrl-C): the call ends with CANCELLED, the download goes on. */
  readonly signal: AbortSignal;
  /** Called at once, and then a few times a second. */
  readonly onProgress: (row: DownloadRow) => void;
}

/** Transfer limits in bytes a second; 0 = none. */
export interface TransferLimits {
  readonly up: number;
  readonly down: number;
}

/** What the control-server calls. Everything is about the user who is logged in, but for the limits. */
export interface Downloads {
  /**
   * download_file: checks, starts, and answers when the file has its final name (at once with `detach`).
   * @throws MtError of many kinds (codec/errors.ts); NO_SEEDERS and DISK_FULL leave the download running in the daemon.
   */
  download(request: DownloadRequest, options: DownloadCallOptions): Promise<DownloadAnswer>;
  /** Every download this daemon remembers, oldest first. */
  list(): DownloadRow[];
  /** @throws MtError NO_SUCH_DOWNLOAD; pausing a paused download is no error. */
  pause(file: FileRef): Promise<void>;
  resume(file: FileRef): Promise<void>;
  /** Gives the download up: the `.part` file goes, the trackers are told. A finished one is only taken off the list. */
  cancel(file: FileRef): Promise<void>;
  /** Sets what is not null, for running transfers too; answers what holds now. */
  limits(change: { readonly up: number | null; readonly down: number | null }): TransferLimits;
  /** Content bytes a second now, both ways, over all transfers; and in all since the daemon started. */
  rates(): {
    readonly upload: number;
    readonly download: number;
    readonly bytesUploaded: number;
    readonly bytesDownloaded: number;
  };
  /** For the heartbeat: verified pieces of each running download, in its wire form. */
  partials(): Params<TrackerApi, 'heartbeat'>['downloads'];
}

/** News of the session, as the control plane hears them; they act at once. */
export interface DataPlaneEvents {
  /** Logged in (or resumed): interrupted downloads of this user go on. null: logged out, everything stops and is kept. */
  onSession(userId: string | null): void;
  /** Cut this user (only that daemon, when a fingerprint is given) in this group (everywhere, when null). */
  onRevoked(revoked: { userId: string; fingerprint: string | null; groupId: string | null }): void;
  /**
   * Tickets of an older epoch of this group are renewed (ours) and soon refused (others').
   * @param isGap it comes with a fresh picture: who left meanwhile was not told.
   */
  onEpoch(groupId: string, epoch: number, isGap: boolean): void;
  /** The news begin anew: what happened before may not have been told, and is asked for. */
  onGap(): void;
  /** This share or file is no longer to be served: its uploads end now. A download of a removed file fails. */
  onShareStopped(file: FileRef): void;
  onFileRemoved(file: FileRef): void;
  onGroupLeft(groupId: string): void;
}

export interface DataPlane extends Downloads, DataPlaneEvents {
  /** Fetches pieces to mend a shared file with (piece-fetch.ts). */
  fetchPieces(request: FetchRequest): Promise<PieceFile>;
  /** Stops listening, ends all transfers and writes what is to be remembered. */
  close(): Promise<void>;
}

/** A file on this daemon's disk that it may serve, as the share registry knows it. */
export interface ServableShare {
  readonly groupId: string;
  readonly fileName: string;
  /** Absolute. */
  readonly path: string;
  /** Encoded manifest (codec/manifest.ts) and its SHA-256. */
  readonly manifest: Uint8Array;
  readonly manifestHash: Uint8Array;
  /** What the file was when it was hashed; when the file differs it is no longer served. */
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  /** Pieces found damaged on the disk, as in a bitfield message: they are not served. Absent or null: none. */
  readonly rotten?: Uint8Array | null;
  /** Of a directory: what is in it, and what each file was when it was hashed (tree/tree-index.ts). Absent or null: it is a file. */
  readonly tree?: Uint8Array | null;
}

/** What the data plane needs of the trackers. Calls use the session of the logged-in user; without one: NOT_LOGGED_IN. */
export interface TrackerPort {
  locateFile(file: FileRef, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<LocatedFile>;
  /** The encoded manifest, not yet checked against its hash. */
  getManifest(file: FileRef, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<Uint8Array>;
  beginDownload(
    file: FileRef,
    manifestHash: Uint8Array,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<void>;
  /** Whether these holders of tickets are still logged in on their daemons and members of their groups; in their order. */
  checkHolders(
    holders: readonly { readonly userId: string; readonly fingerprint: string; readonly groupId: string }[],
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<readonly ('valid' | 'logged_out' | 'left')[]>;
  /** Tells the trackers that a source was banned; in the background, and once. */
  reportPeer(file: FileRef, peer: { userId: string; fingerprint: string }, reason: BanReason): void;
  /**
   * Watches until `signal` aborts, over failovers: after each reconnect an event with `reset` comes first. When the trackers say
   * that there is no such file (any more), an event with `removed`.
   */
  watchFile(file: FileRef, onEvent: (event: WatchFileEvent) => void, signal: AbortSignal): void;
  /** Whether a tracker answers now; what is wrong when not. */
  linkError(): { readonly code: string; readonly message: string } | null;
}
export type WatchFileEvent = EventOf<TrackerApi, 'watch_file'>;

/** What the data plane needs of the share registry. */
export interface SharePort {
  find(file: FileRef): ServableShare | null;
  /** The file behind a share is gone or another one now: it is no longer served, and shown so. */
  reportChanged(file: FileRef, state: 'missing' | 'changed'): void;
  /** A download begins: what its end will need of the trackers, and need not wait for its end, is done now. */
  prepare(): void;
  /**
   * A finished download becomes a share: remembered first, then recorded with the trackers (by the outbox when they have no quorum).
   * @returns null, or a warning when the trackers do not know of it yet.
   */
  addDownloaded(share: ServableShare): Promise<string | null>;
  /** Tells the trackers that a download was given up (by the outbox). */
  giveUp(file: FileRef): void;
}

/** Who this daemon is and whom it trusts, at this moment. */
export interface IdentityPort {
  readonly keyPem: string;
  readonly certPem: string;
  readonly fingerprint: string;
  /** null: nobody is logged in, and every ticket is refused. */
  userId(): string | null;
  /** Public keys of the cluster that tickets may be signed with; empty: no tracker was met yet. */
  clusterKeys(): readonly KeyObject[];
  /** The newest epoch known of a group, or null when it is not known (offline): tickets live on until they expire. */
  groupEpoch(groupId: string): number | null;
}

export interface DataPlanePorts {
  readonly trackers: TrackerPort;
  readonly shares: SharePort;
  readonly identity: IdentityPort;
}
