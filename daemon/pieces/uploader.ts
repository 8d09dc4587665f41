/**
 * The giving half of policy R: the window of outstanding pieces, and whose accepted piece is sent next. Which piece is
 * offered to whom is decided in offer-picker.ts.
 *
 *     offered ──accept──▶ queued ──▶ running ──sent──▶ sent ──got──▶ (free)
 *        └───────────────blind──────────▲                              any state: decline, cancel, link down ──▶ (free)
 *
 * A slot is freed by `got` and not by the last written byte, because a socket swallows megabytes: the window must measure
 * what reached the other side (measured: 1.02 × the bound against 1.24–1.89).
 */
import type { Core } from './core.ts';
import { blockCount, pieceIndex } from './geometry.ts';
import type { AcceptMessage, BlockRun } from './messages.ts';
import type { Neighbour } from './neighbour-table.ts';
import { type Candidate, pickEndgameOffer, pickOffer } from './offer-picker.ts';
import type { NeighbourId, UploadJob } from './types.ts';
import { UserShares } from './user-shares.ts';

/** Outstanding pieces on a line without latency: enough to choose well ahead, few enough to choose late. */
const WINDOW_BASE = 5;
/** A lone receiver gets more ahead: nothing is to be chosen, and event loops pause for so long (garbage, TLS). */
const LONE_PAUSE_MS = 10;
const WINDOW_MAX = 512;
/** A receiver that let a piece wait so long beyond two round trips is slow; its slots no longer hold up the others. */
const CLOGGED_MS = 500;
/** An offer nobody answered for so long is withdrawn. */
const OFFER_LIFETIME_MS = 10_000;
const ALIVE_INTERVAL_MS = 500;
/** After a refused endgame offer, the same receiver is not asked again for the same piece so soon. */
const ENDGAME_PAUSE_MS = 100;

type SlotState = 'offered' | 'queued' | 'running' | 'sent';

interface Slot {
  readonly receiver: Receiver;
  piece: number;
  state: SlotState;
  runs: readonly BlockRun[];
  reverse: boolean;
  /** What it added to the receiver's deficit; above 0: nobody had it when it was offered, so nobody else will send it. */
  burden: number;
  /** When the state began. */
  sinceMs: number;
}

interface Receiver extends Candidate {
  readonly slots: Map<number, Slot>;
  /**
   * Giving away a piece that nobody had adds the number of receivers; each `have` of that piece subtracts 1. So a hoarder's
   * deficit grows and fresh pieces go to those who spread them.
   */
  deficit: number;
  blocked: boolean;
  aliveAtMs: number;
  /** Endgame offers it declined: piece → when it may be asked again. */
  readonly endgamePause: Map<number, number>;
}

export class Uploader {
  offersSent = 0;
  offersDeclined = 0;
  /** Bytes a second that this node sends in total, limited or measured; 0: unknown. */
  bytesPerS = 0;
  private readonly core: Core;
  private readonly receivers = new Map<NeighbourId, Receiver>();
  /** Invariant: the slots in state `queued`, in order of acceptance. */
  private readonly queue: Slot[] = [];
  private readonly running = new Set<Slot>();
  /** Fresh piece → whose deficit it burdens. */
  private readonly givenTo = new Map<number, Receiver>();
  private readonly shares = new UserShares();

  constructor(core: Core) {
    this.core = core;
  }

  get isSending(): boolean {
    for (const receiver of this.receivers.values()) if (receiver.slots.size > 0) return true;
    return false;
  }

  linkUp(neighbour: Neighbour): void {
    const receiver: Receiver = {
      neighbour,
      slots: new Map(),
      deficit: 0,
      blocked: false,
      aliveAtMs: this.core.nowMs,
      endgamePause: new Map(),
    };
    this.receivers.set(neighbour.id, receiver);
    this.shares.join(neighbour.userId);
  }

  linkDown(id: NeighbourId): void {
    const receiver = this.receivers.get(id);
    if (!receiver) return;
    for (const slot of [...receiver.slots.values()]) this.free(slot);
    this.receivers.delete(id);
    this.shares.leave(receiver.neighbour.userId);
    for (const [piece, holder] of this.givenTo) if (holder === receiver) this.givenTo.delete(piece);
  }

  onHave(piece: number): void {
    const holder = this.givenTo.get(piece);
    if (holder) holder.deficit--;
  }

  /** Answers false if the message is impossible. */
  onAccept(id: NeighbourId, accept: AcceptMessage): boolean {
    const receiver = this.receivers.get(id)!;
    const { piece, runs } = accept;
    const wanted = pieceIndex(this.core.geometry, piece);
    if (wanted === null || !areRunsValid(runs, blockCount(this.core.geometry, wanted))) return false;
    const offered = receiver.slots.get(accept.offered);
    // The receiver chose another piece. It may have been offered too, and crossed the answer: then the receiver ignores that offer.
    if (offered && piece !== accept.offered) this.refuse(offered);
    const slot = receiver.slots.get(piece) ?? (offered && this.swapSlot(receiver, piece));
    if (!slot) {
      this.core.send(id, 'upload', { type: 'withdraw', piece });
      return true;
    }
    const isBlind = slot.state === 'running' || slot.state === 'sent';
    if (slot.state === 'queued' || (isBlind && runs.length === 0)) return true;
    this.stop(slot);
    slot.runs = runs.length > 0 ? runs : [{ first: 0, count: blockCount(this.core.geometry, wanted) }];
    slot.reverse = accept.reverse;
    this.enter(slot, 'queued');
    this.queue.push(slot);
    return true;
  }

  onDecline(id: NeighbourId, piece: number): void {
    const slot = this.receivers.get(id)!.slots.get(piece);
    if (!slot) return;
    this.offersDeclined++;
    this.refuse(slot);
  }

  /** `got` (the receiver has every block) or `cancel` (it has them from elsewhere, or wants them no more). */
  onDone(id: NeighbourId, piece: number, isGot: boolean): void {
    const slot = this.receivers.get(id)!.slots.get(piece);
    if (!slot) return;
    if (!isGot) this.undoFresh(slot);
    this.free(slot);
  }

  onSent(id: NeighbourId, piece: number): void {
    const slot = this.receivers.get(id)?.slots.get(piece);
    if (slot?.state !== 'running') return;
    this.running.delete(slot);
    this.enter(slot, 'sent');
  }

  onFailed(id: NeighbourId, piece: number): void {
    const slot = this.receivers.get(id)?.slots.get(piece);
    this.core.table.withdrawMine(piece);
    if (!slot) return;
    this.core.send(id, 'upload', { type: 'withdraw', piece });
    this.undoFresh(slot);
    this.free(slot);
  }

  setBlocked(id: NeighbourId, isBlocked: boolean): void {
    const receiver = this.receivers.get(id);
    if (receiver) receiver.blocked = isBlocked;
  }

  tick(): void {
    const { nowMs } = this.core;
    for (const receiver of this.receivers.values()) {
      const slots = [...receiver.slots.values()];
      for (const slot of slots) {
        if (slot.state !== 'offered' || nowMs - slot.sinceMs < OFFER_LIFETIME_MS) continue;
        this.core.send(receiver.neighbour.id, 'upload', { type: 'withdraw', piece: slot.piece });
        this.undoFresh(slot);
        this.free(slot);
      }
      if (nowMs - receiver.aliveAtMs < ALIVE_INTERVAL_MS || !slots.some(isWaiting)) continue;
      receiver.aliveAtMs = nowMs;
      this.core.send(receiver.neighbour.id, 'upload', { type: 'alive' });
    }
  }

  /** Offers while the window has room, then starts the next job if the line is free. */
  work(): void {
    this.fillWindow();
    this.pump();
  }

  /** Running jobs are not listed: they have been announced. */
  upcomingJobs(limit: number): UploadJob[] {
    return this.queue.slice(0, limit).map(toJob);
  }

  private fillWindow(): void {
    if (this.receivers.size === 0) return;
    let room = this.windowSize() - this.outstandingCount();
    const isIdle = room > 0 && this.outstandingCount() === 0;
    for (; room > 0; room--) {
      const offer = pickOffer(this.core, this.eligible());
      if (!offer) break;
      this.offer(offer.receiver, offer.piece, false);
      if (this.core.table.offerable.count === 0) break;
    }
    if (!isIdle || this.outstandingCount() > 0) return;
    const offer = pickEndgameOffer(this.core, this.eligible(), (receiver, piece) =>
      this.isEndgameOpen(receiver, piece),
    );
    if (offer) this.offer(offer.receiver, offer.piece, true);
  }

  private offer(receiver: Receiver, piece: number, endgame: boolean): void {
    const { table, nowMs } = this.core;
    const burden = !endgame && table.rarityOf(piece) === 0 ? table.receiverCount : 0;
    const slot = this.openSlot(receiver, piece, burden);
    if (endgame) receiver.endgamePause.set(piece, nowMs + ENDGAME_PAUSE_MS);
    else table.markGetting(receiver.neighbour, piece, nowMs);
    if (slot.burden > 0) {
      receiver.deficit += slot.burden;
      this.givenTo.set(piece, receiver);
    }
    this.shares.serve(receiver.neighbour.userId);
    this.offersSent++;
    this.core.send(receiver.neighbour.id, 'upload', { type: 'offer', piece, endgame });
  }

  private openSlot(receiver: Receiver, piece: number, burden: number): Slot {
    const sinceMs = this.core.nowMs;
    const slot: Slot = { receiver, piece, state: 'offered', runs: [], reverse: false, burden, sinceMs };
    receiver.slots.set(piece, slot);
    return slot;
  }

  private swapSlot(receiver: Receiver, piece: number): Slot | undefined {
    const { table, nowMs } = this.core;
    if (!table.mine.has(piece)) return undefined;
    table.markGetting(receiver.neighbour, piece, nowMs);
    return this.openSlot(receiver, piece, 0);
  }

  /** One upload at a time, whole pieces, first accepted first; a full socket does not hold up the line. */
  private pump(): void {
    while ([...this.running].every((slot) => slot.receiver.blocked)) {
      const next = this.queue.findIndex((slot) => !slot.receiver.blocked);
      const slot = next >= 0 ? this.queue.splice(next, 1)[0]! : this.blindSlot();
      if (!slot) return;
      this.enter(slot, 'running');
      this.running.add(slot);
      this.core.act({ type: 'upload', ...toJob(slot) });
    }
  }

  /** A fresh piece may follow its offer at once: nobody else can be sending it. */
  private blindSlot(): Slot | null {
    for (const receiver of this.receivers.values()) {
      if (receiver.blocked) continue;
      for (const slot of receiver.slots.values()) {
        if (slot.state !== 'offered' || slot.burden === 0) continue;
        const index = pieceIndex(this.core.geometry, slot.piece)!;
        slot.runs = [{ first: 0, count: blockCount(this.core.geometry, index) }];
        return slot;
      }
    }
    return null;
  }

  /** W = 5 + ceil(2 · RTT · rate ÷ piece size): what is under way between an offer and its `got`, and five to choose from. */
  private windowSize(): number {
    let rttSumMs = 0;
    for (const { neighbour } of this.receivers.values()) rttSumMs += neighbour.rttMs;
    const waitMs = (2 * rttSumMs) / this.receivers.size + (this.receivers.size === 1 ? LONE_PAUSE_MS : 0);
    const piecesPerMs = this.bytesPerS / 1000 / this.core.geometry.pieceSizeBytes;
    return Math.min(WINDOW_MAX, WINDOW_BASE + Math.ceil(waitMs * piecesPerMs));
  }

  /** m = ceil(2W ÷ users), for a user and so for each of its receivers: one slow downloader cannot hold the whole window. */
  private eligible(): Receiver[] {
    const takers = [...this.receivers.values()].filter(({ neighbour }) => !neighbour.have.complete);
    const userCount = new Set(takers.map(({ neighbour }) => neighbour.userId)).size;
    const shareMax = Math.ceil((2 * this.windowSize()) / Math.max(1, userCount));
    const isFree = (receiver: Receiver) =>
      receiver.slots.size < shareMax && receiver.neighbour.cameComplete !== null && !this.isStuck(receiver);
    return this.shares.fair(takers.filter(isFree), (receiver) => receiver.neighbour.userId);
  }

  private outstandingCount(): number {
    let count = 0;
    for (const receiver of this.receivers.values()) if (!this.isClogged(receiver)) count += receiver.slots.size;
    return count;
  }

  /** Slow to take what it was given. */
  private isClogged(receiver: Receiver): boolean {
    if (receiver.slots.size === 0) return false;
    if (receiver.blocked) return true;
    const patienceMs = CLOGGED_MS + 2 * receiver.neighbour.rttMs;
    for (const slot of receiver.slots.values())
      if ((slot.state === 'sent' || slot.state === 'offered') && this.core.nowMs - slot.sinceMs > patienceMs)
        return true;
    return false;
  }

  /** Clogged and holding slots that do not count: no further offers until it moves. */
  private isStuck(receiver: Receiver): boolean {
    return this.receivers.size > 1 && this.isClogged(receiver);
  }

  private isEndgameOpen(receiver: Receiver, piece: number): boolean {
    return !receiver.slots.has(piece) && (receiver.endgamePause.get(piece) ?? 0) <= this.core.nowMs;
  }

  private enter(slot: Slot, state: SlotState): void {
    slot.state = state;
    slot.sinceMs = this.core.nowMs;
  }

  /** The receiver has the piece or gets it elsewhere: it counts as getting it, for a while. */
  private refuse(slot: Slot): void {
    this.undoFresh(slot);
    this.core.table.markGetting(slot.receiver.neighbour, slot.piece, this.core.nowMs);
    this.free(slot);
  }

  private undoFresh(slot: Slot): void {
    if (slot.burden === 0 || this.givenTo.get(slot.piece) !== slot.receiver) return;
    slot.receiver.deficit -= slot.burden;
    slot.burden = 0;
    this.givenTo.delete(slot.piece);
  }

  private stop(slot: Slot): void {
    if (!this.running.delete(slot)) return;
    this.core.act({ type: 'upload-stop', neighbour: slot.receiver.neighbour.id, piece: slot.piece });
  }

  private free(slot: Slot): void {
    this.stop(slot);
    const index = this.queue.indexOf(slot);
    if (index >= 0) this.queue.splice(index, 1);
    slot.receiver.slots.delete(slot.piece);
  }
}

function isWaiting(slot: Slot): boolean {
  return slot.state === 'queued' || slot.state === 'running';
}

function toJob({ receiver, piece, runs, reverse }: Slot): UploadJob {
  return { neighbour: receiver.neighbour.id, piece, runs, reverse };
}

/** Ascending, disjoint, within the piece. */
function areRunsValid(runs: readonly BlockRun[], blocks: number): boolean {
  let next = 0;
  for (const { first, count } of runs) {
    if (!Number.isInteger(first) || !Number.isInteger(count) || first < next || count < 1) return false;
    next = first + count;
  }
  return next <= blocks;
}
