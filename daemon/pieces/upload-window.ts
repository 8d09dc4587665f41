/**
 * The window of outstanding pieces of an uploader: how many there may be, whose slots count, and who may be offered more.
 * It measures; uploader.ts moves the slots through their states.
 *
 * A slot is held from the offer until the receiver's `got`, and not until the last written byte, because a socket swallows
 * megabytes: the window must measure what reached the other side (measured: 1.02 × the bound against 1.24–1.89).
 */
import type { Core } from './core.ts';
import type { BlockRun } from './messages.ts';
import type { Neighbour } from './neighbour-table.ts';
import type { Candidate } from './offer-picker.ts';
import type { NeighbourId } from './types.ts';
import type { UserShares } from './user-shares.ts';

/** Outstanding pieces on a line without latency: enough to choose well ahead, few enough to choose late. */
const WINDOW_BASE = 3;
/** A lone receiver gets more ahead: nothing is to be chosen, and event loops pause for so long (garbage, TLS). */
const WINDOW_LONE = 5;
const LONE_PAUSE_MS = 10;
const WINDOW_MAX = 512;
/** A receiver that let a piece wait so long beyond two round trips is slow; its slots no longer hold up the others. */
const CLOGGED_MS = 500;

export type SlotState = 'offered' | 'queued' | 'running' | 'sent';

export interface Slot {
  readonly receiver: Receiver;
  readonly piece: number;
  state: SlotState;
  /** When the state began. */
  sinceMs: number;
  /** Blocks to send; empty until accepted or sent blind. */
  runs: readonly BlockRun[];
  reverse: boolean;
  /** What it added to the receiver's deficit; above 0: nobody had it when it was offered, so nobody else will send it. */
  burden: number;
}

export interface Receiver extends Candidate {
  readonly slots: Map<number, Slot>;
  /**
   * Giving away a piece that nobody had adds the number of receivers; each `have` of that piece subtracts 1. So a hoarder's
   * deficit grows and fresh pieces go to those who spread them.
   */
  deficit: number;
  /** Its socket is full. */
  blocked: boolean;
  /** When it last heard `alive`. */
  aliveAtMs: number;
  /** No endgame offer before this, … */
  endgameFromMs: number;
  /** … and not of these pieces: piece → when it may be asked again. */
  readonly endgamePause: Map<number, number>;
}

export class UploadWindow {
  readonly receivers = new Map<NeighbourId, Receiver>();
  /** Bytes a second that this node sends in total, limited or measured; 0: unknown. */
  bytesPerS = 0;
  private readonly core: Core;
  private readonly shares: UserShares;

  constructor(core: Core, shares: UserShares) {
    this.core = core;
    this.shares = shares;
  }

  join(neighbour: Neighbour): void {
    this.shares.join(neighbour.userId);
    this.receivers.set(neighbour.id, {
      neighbour,
      slots: new Map(),
      deficit: 0,
      blocked: false,
      aliveAtMs: this.core.nowMs,
      endgameFromMs: 0,
      endgamePause: new Map(),
    });
  }

  leave({ neighbour }: Receiver): void {
    this.shares.leave(neighbour.userId);
    this.receivers.delete(neighbour.id);
  }

  open(receiver: Receiver, piece: number, burden: number): Slot {
    const sinceMs = this.core.nowMs;
    const slot: Slot = { receiver, piece, state: 'offered', sinceMs, runs: [], reverse: false, burden };
    receiver.slots.set(piece, slot);
    this.shares.serve(receiver.neighbour.userId, this.core.geometry.pieceSizeBytes);
    return slot;
  }

  get isEmpty(): boolean {
    for (const receiver of this.receivers.values()) if (receiver.slots.size > 0) return false;
    return true;
  }

  /** Pieces that may be offered now. */
  get room(): number {
    return this.receivers.size === 0 ? 0 : this.size() - this.outstandingCount;
  }

  takesOthers({ neighbour }: Receiver): boolean {
    return this.shares.takesOthers(neighbour.userId);
  }

  /** Slots that count: those of receivers that take what they get. */
  get outstandingCount(): number {
    let count = 0;
    for (const receiver of this.receivers.values()) if (!this.isClogged(receiver)) count += receiver.slots.size;
    return count;
  }

  /**
   * Who may be offered a piece. m = ceil(2W ÷ users), for a user and so for each of its receivers: one slow downloader cannot
   * hold the whole window.
   */
  eligible(): Receiver[] {
    const takers = [...this.receivers.values()].filter(({ neighbour }) => !neighbour.have.complete);
    const userCount = new Set(takers.map(({ neighbour }) => neighbour.userId)).size;
    const shareMax = Math.ceil((2 * this.size()) / Math.max(1, userCount));
    const isFree = (receiver: Receiver) =>
      receiver.slots.size < shareMax && receiver.neighbour.cameComplete !== null && !this.isStuck(receiver);
    const { pieceSizeBytes } = this.core.geometry;
    return this.shares.fair(takers.filter(isFree), (receiver) => receiver.neighbour.userId, pieceSizeBytes);
  }

  /** W = 3 (alone: 5) + ceil(2 · RTT · rate ÷ piece size): what is under way between an offer and its `got`, and some to choose from. */
  private size(): number {
    let rttSumMs = 0;
    for (const { neighbour } of this.receivers.values()) rttSumMs += neighbour.rttMs;
    const isLone = this.receivers.size === 1;
    const waitMs = (2 * rttSumMs) / this.receivers.size + (isLone ? LONE_PAUSE_MS : 0);
    const piecesPerMs = this.bytesPerS / 1000 / this.core.geometry.pieceSizeBytes;
    return Math.min(WINDOW_MAX, (isLone ? WINDOW_LONE : WINDOW_BASE) + Math.ceil(waitMs * piecesPerMs));
  }

  /** Slow to take what it was given. */
  private isClogged(receiver: Receiver): boolean {
    if (receiver.slots.size === 0) return false;
    if (receiver.blocked) return true;
    const patienceMs = CLOGGED_MS + 2 * receiver.neighbour.rttMs;
    for (const { state, sinceMs } of receiver.slots.values())
      if ((state === 'sent' || state === 'offered') && this.core.nowMs - sinceMs > patienceMs) return true;
    return false;
  }

  /** Clogged, so that its slots do not count: no further offers until it moves, unless nobody else is there. */
  private isStuck(receiver: Receiver): boolean {
    return this.receivers.size > 1 && this.isClogged(receiver);
  }
}
