/**
 * The public face of the transfer policy: what the shell tells it (events) and what it answers (actions).
 *
 *     const transfer = new Transfer(options);
 *     for (const action of transfer.step(event, nowMs)) perform(action);
 *
 * The shell owns clocks, sockets, memory and disks; the policy owns every decision. One Transfer is one file on one node,
 * for downloading and for serving alike. `nowMs` is any monotonic clock in milliseconds and never runs backwards.
 */
import type { BlockRun, PieceMessage } from './messages.ts';
import type { UserFiles } from './user-shares.ts';

/** A remote daemon, numbered by the shell. A daemon that restarted is a new neighbour: a new number. */
export type NeighbourId = number;

/**
 * The direction of data on a link, seen from here: `download` = I dialled, I receive; `upload` = it dialled, I send.
 * At most one link per neighbour and role; before a replacement comes up, the old one goes down.
 */
export type LinkRole = 'download' | 'upload';

export interface TransferOptions {
  /** File size in bytes, and the piece size of its manifest. */
  readonly sizeBytes: number;
  readonly pieceSizeBytes: number;
  /** Verified pieces at the start, as a `bitfield` message carries them (toBytes); null: none. */
  readonly have: Uint8Array | null;
  /** Uniform in [0, 1), seeded by the caller. */
  readonly random: () => number;
  /** How many files users take from this node; default: this one. */
  readonly userFiles?: UserFiles;
  /** Partly received pieces that may wait in memory for another source; beyond that the oldest is discarded. Default 8. */
  readonly orphansMax?: number;
}

/** Some of a piece for one receiver; `runs` are never empty here, and `reverse` means last block first. */
export interface UploadJob {
  readonly neighbour: NeighbourId;
  readonly piece: number;
  readonly runs: readonly BlockRun[];
  readonly reverse: boolean;
}

export type TransferEvent =
  /** Both sides are authenticated. The policy answers with its bitfield; the other side's comes as a message. */
  | {
      readonly type: 'link-up';
      readonly neighbour: NeighbourId;
      readonly role: LinkRole;
      readonly userId: string;
      /** null: not measured yet. */
      readonly rttMs: number | null;
    }
  | { readonly type: 'link-down'; readonly neighbour: NeighbourId; readonly role: LinkRole }
  | {
      readonly type: 'message';
      readonly neighbour: NeighbourId;
      readonly role: LinkRole;
      readonly message: PieceMessage;
    }
  /**
   * A whole block arrived on the download link. The shell asked `wantsBlock` when its header came; `kept`: all its bytes lie in
   * the piece's slot (not so if the answer was no, or the slot was given up while they came).
   */
  | {
      readonly type: 'block';
      readonly neighbour: NeighbourId;
      readonly piece: number;
      readonly offset: number;
      readonly size: number;
      readonly kept: boolean;
    }
  /** Any byte came on the download link since the last report: part of a block, a keepalive. Once in 100 ms is enough. */
  | { readonly type: 'alive'; readonly neighbour: NeighbourId }
  /**
   * The shell itself does not read from the download link (download limit, no memory): neither silence nor slowness is the
   * neighbour's fault. Needed once a second while that lasts.
   */
  | { readonly type: 'held'; readonly neighbour: NeighbourId }
  /** The answer to `verify`: the hash matched and the piece is written … */
  | { readonly type: 'verified'; readonly piece: number }
  /** … or the hash did not match. The piece's memory is free again. */
  | { readonly type: 'rejected'; readonly piece: number }
  /** The piece could not be written (the shell pauses the download by itself); it is as if it had never come. */
  | { readonly type: 'write-failed'; readonly piece: number }
  /** The last byte of a job was handed to the socket. */
  | { readonly type: 'upload-sent'; readonly neighbour: NeighbourId; readonly piece: number }
  /** A job could not be read from disk: the policy withdraws the piece and no longer offers it. */
  | { readonly type: 'upload-failed'; readonly neighbour: NeighbourId; readonly piece: number }
  /** This neighbour's socket is full while a job waits in it / takes data again. The shell goes on with the job by itself. */
  | { readonly type: 'upload-blocked'; readonly neighbour: NeighbourId }
  | { readonly type: 'upload-writable'; readonly neighbour: NeighbourId }
  /** What this node can send in total: its limit, or what it measured. */
  | { readonly type: 'upload-rate'; readonly bytesPerS: number }
  | { readonly type: 'rtt'; readonly neighbour: NeighbourId; readonly rttMs: number }
  /** Stop receiving: partial pieces are discarded, offers declined. Serving goes on. */
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  /** Due at `wakeAtMs()`; earlier or later by some milliseconds does no harm. */
  | { readonly type: 'tick' };

export type TransferAction =
  | {
      readonly type: 'send';
      readonly neighbour: NeighbourId;
      readonly role: LinkRole;
      readonly message: PieceMessage;
    }
  /**
   * Send this job's blocks after those of earlier jobs to the same neighbour, then report `upload-sent`. One job runs at a time, plus
   * those whose socket is full.
   */
  | ({ readonly type: 'upload' } & UploadJob)
  /** Send no more blocks of this job (a block half written is finished); no `upload-sent` is due for it. */
  | { readonly type: 'upload-stop'; readonly neighbour: NeighbourId; readonly piece: number }
  /** Every block of the piece is in its slot: hash it, write it, answer `verified`, `rejected` or `write-failed`. */
  | { readonly type: 'verify'; readonly piece: number }
  /** Throw the received blocks of this piece away and free its slot. */
  | { readonly type: 'discard'; readonly piece: number }
  /** This neighbour lied or broke the protocol for this file: close both links and do not dial it again for it. */
  | { readonly type: 'ban'; readonly neighbour: NeighbourId; readonly reason: BanReason }
  /** Nobody I can receive from has any piece that I lack. Said once each time that this becomes so. */
  | { readonly type: 'source-needed' }
  /** Every piece is verified. Said once. */
  | { readonly type: 'complete' };

/** `corrupt`: pieces that it alone sent did not match their hash; `protocol`: an impossible message; `stalls`: accepted and never sent. */
export type BanReason = 'corrupt' | 'protocol' | 'stalls';

/** What a header claims to bring: bytes of the piece. */
export interface BlockClaim {
  readonly piece: number;
  readonly offset: number;
  readonly size: number;
}

/** Figures for show_downloads and for the checks of a real run. Bytes count payload only. */
export interface TransferStats {
  readonly piecesTotal: number;
  readonly piecesVerified: number;
  readonly bytesVerified: number;
  /** Blocks that came though they were here already, or came for a cancelled piece. */
  readonly bytesUseless: number;
  /** Neighbours that I can receive from and that have a piece I lack. */
  readonly sources: number;
  readonly offersSent: number;
  readonly offersDeclined: number;
}

/** What `Transfer` in transfer.ts offers. */
export interface TransferPolicy {
  /** Takes one event and answers what to do, in order. Never throws on anything that a neighbour sent. */
  step(event: TransferEvent, nowMs: number): TransferAction[];
  /**
   * Whether a block, or a part of one, whose header just came is wanted; false: read it into nowhere (but report the whole block as a
   * `block` event all the same).
   * A `verify` or `discard` of that piece may come while the payload is still arriving (endgame: another source was
   * faster): from then on the rest goes into nowhere too, because the slot may already belong to another piece.
   */
  wantsBlock(neighbour: NeighbourId, claim: BlockClaim): boolean;
  /** The jobs likely to start next, for read-ahead; changes nothing. */
  upcomingJobs(limit: number): UploadJob[];
  /** When the next `tick` is due at the latest, on the clock of `step`. */
  wakeAtMs(): number;
  /** The verified pieces, as a `bitfield` message carries them. */
  bitfieldBytes(): Uint8Array;
  stats(): TransferStats;
  readonly complete: boolean;
}
