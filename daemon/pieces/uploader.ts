/**
 * The giving half of policy R: moves pieces from offer to `got`, one upload at a time. Which piece is offered to whom is decided
 * in offer-picker.ts, how many at once in upload-window.ts.
 *
 *     offered ──accept──▶ queued ──▶ running ──sent──▶ sent ──got──▶ (free)
 *        └───────────────blind──────────▲                              any state: decline, cancel, link down ──▶ (free)
 */
import type { Core } from './core.ts';
import { blockCount, type PieceIndex, pieceIndex } from './geometry.ts';
import type { AcceptMessage, BlockRun } from './messages.ts';
import { GETTING_LIFETIME_MS, type Neighbour } from './neighbour-table.ts';
import { pickEndgameOffer, pickOffer } from './offer-picker.ts';
import type { NeighbourId, UploadJob } from './types.ts';
import { type Receiver, type Slot, type SlotState, UploadWindow } from './upload-window.ts';
import type { UserShares } from './user-shares.ts';

/** An offer nobody answered for so long is withdrawn. */
const OFFER_LIFETIME_MS = 10_000;
const ALIVE_INTERVAL_MS = 500;
/** After an endgame offer, the same receiver is not asked again for the same piece so soon … */
const ENDGAME_PIECE_PAUSE_MS = 100;
/** … and not for another: an idle node must not chatter at the pace of the line. */
const ENDGAME_PAUSE_MS = 5;
/** Somebody whom we do not see gave out fresh pieces in this time: ours wait for the answer to their offer. */
const RIVAL_MS = 2_000;

export class Uploader {
  offersSent = 0;
  offersDeclined = 0;
  private readonly core: Core;
  private readonly window: UploadWindow;
  /** Invariant: the slots in state `queued`, in order of acceptance. */
  private readonly queue: Slot[] = [];
  /** Invariant: the slots in state `running`. */
  private readonly running = new Set<Slot>();
  /** Fresh piece → whose deficit it burdens. */
  private readonly givenTo = new Map<number, Receiver>();
  /** Where the fresh pieces go on. */
  private freshNext = 0;
  /** When a receiver had a fresh piece from elsewhere last: another seeder gives them out too, and seeders do not meet. */
  private rivalAtMs = Number.NEGATIVE_INFINITY;

  constructor(core: Core, userShares: UserShares) {
    this.core = core;
    this.window = new UploadWindow(core, userShares);
  }

  get isSending(): boolean {
    return !this.window.isEmpty;
  }

  linkUp(neighbour: Neighbour): void {
    this.window.join(neighbour);
  }

  linkDown(id: NeighbourId): void {
    const receiver = this.window.receivers.get(id);
    if (!receiver) return;
    for (const slot of [...receiver.slots.values()]) this.free(slot);
    this.window.leave(receiver);
    for (const [piece, holder] of this.givenTo) if (holder === receiver) this.givenTo.delete(piece);
  }

  onHave(piece: number): void {
    const holder = this.givenTo.get(piece);
    if (holder) holder.deficit--;
  }

  /** A receiver has or gets this piece. Called before it is counted. */
  onNews(id: NeighbourId, piece: number): void {
    const isFresh = this.core.table.rarityOf(piece) === 0 && !this.givenTo.has(piece);
    if (isFresh && this.window.receivers.has(id) && this.core.table.servable.has(piece)) {
      this.rivalAtMs = this.core.nowMs;
    }
  }

  /** Answers false if the message is impossible. */
  onAccept(id: NeighbourId, accept: AcceptMessage): boolean {
    const receiver = this.window.receivers.get(id)!;
    const { runs } = accept;
    const piece = pieceIndex(this.core.geometry, accept.piece);
    if (piece === null || !areRunsValid(runs, blockCount(this.core.geometry, piece))) return false;
    const offered = receiver.slots.get(accept.offered);
    // The receiver chose another piece. It may have been offered too, and crossed the answer: then the receiver ignores that offer.
    if (offered && piece !== accept.offered) {
      if (offered.burden > 0) this.rivalAtMs = this.core.nowMs;
      this.refuse(offered);
    }
    const slot = receiver.slots.get(piece) ?? (offered && this.swapSlot(receiver, piece));
    if (!slot) {
      this.core.send(id, 'upload', { type: 'withdraw', piece });
      return true;
    }
    const isBlind = slot.state === 'running' || slot.state === 'sent';
    if (slot.state === 'queued' || (isBlind && runs.length === 0)) return true;
    this.stop(slot);
    slot.runs = runs.length > 0 ? runs : this.allBlocks(piece);
    slot.reverse = accept.reverse;
    this.enter(slot, 'queued');
    this.queue.push(slot);
    return true;
  }

  onDecline(id: NeighbourId, piece: number): void {
    const slot = this.window.receivers.get(id)!.slots.get(piece);
    if (!slot) return;
    this.offersDeclined++;
    this.refuse(slot);
  }

  /** `got` (the receiver has every block) or `cancel` (it has them from elsewhere, or wants them no more). */
  onDone(id: NeighbourId, piece: number, isGot: boolean): void {
    const slot = this.window.receivers.get(id)!.slots.get(piece);
    if (!slot) return;
    if (!isGot) this.undoFresh(slot);
    this.free(slot);
  }

  onSent(id: NeighbourId, piece: number): void {
    const slot = this.window.receivers.get(id)?.slots.get(piece);
    if (slot?.state !== 'running') return;
    this.running.delete(slot);
    this.enter(slot, 'sent');
  }

  /** The piece cannot be read: nobody gets it from here any more. */
  onFailed(piece: number): void {
    this.core.table.setUnservable(piece);
    for (const receiver of this.window.receivers.values()) {
      const slot = receiver.slots.get(piece);
      if (slot) this.withdraw(slot);
    }
  }

  setBlocked(id: NeighbourId, isBlocked: boolean): void {
    const receiver = this.window.receivers.get(id);
    if (receiver) receiver.blocked = isBlocked;
  }

  setRate(bytesPerS: number): void {
    this.window.bytesPerS = bytesPerS;
  }

  tick(): void {
    const { nowMs } = this.core;
    for (const receiver of this.window.receivers.values()) {
      const slots = [...receiver.slots.values()];
      this.keepGetting(receiver);
      for (const slot of slots)
        if (slot.state === 'offered' && nowMs - slot.sinceMs >= OFFER_LIFETIME_MS) this.withdraw(slot);
      for (const [piece, untilMs] of receiver.endgamePause) if (untilMs <= nowMs) receiver.endgamePause.delete(piece);
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
    let { room } = this.window;
    while (room > 0 && this.core.table.offerable.count > 0) {
      const offer = pickOffer(this.core, this.window.eligible(), this.freshFrom());
      if (!offer) break;
      const { receiver, piece } = offer;
      if (receiver.slots.has(piece)) {
        // It said `want` while our offer was under way: that one stands.
        this.core.table.markGetting(receiver.neighbour, piece, this.core.nowMs);
        continue;
      }
      this.offer(receiver, piece, false);
      room--;
    }
    if (room <= 0 || this.window.outstandingCount > 0) return;
    const eligible = this.window.eligible().filter(({ endgameFromMs }) => endgameFromMs <= this.core.nowMs);
    const offer = pickEndgameOffer(this.core, eligible, (receiver, piece) => this.isEndgameOpen(receiver, piece));
    if (offer) this.offer(offer.receiver, offer.piece, true);
  }

  /** In order while nobody else gives out fresh pieces: two seeders in order would give out the same ones. */
  private freshFrom(): number | null {
    return this.core.table.mine.complete && !this.hasRival() ? this.freshNext : null;
  }

  private hasRival(): boolean {
    return this.core.nowMs - this.rivalAtMs < RIVAL_MS;
  }

  private offer(receiver: Receiver, piece: number, endgame: boolean): void {
    const { table, nowMs } = this.core;
    const isFresh = !endgame && table.rarityOf(piece) === 0;
    const slot = this.window.open(receiver, piece, isFresh ? table.receiverCount : 0);
    if (endgame) {
      receiver.endgameFromMs = nowMs + ENDGAME_PAUSE_MS;
      receiver.endgamePause.set(piece, nowMs + ENDGAME_PIECE_PAUSE_MS);
    } else table.markGetting(receiver.neighbour, piece, nowMs);
    if (isFresh) {
      receiver.deficit += slot.burden;
      this.givenTo.set(piece, receiver);
      this.freshNext = piece + 1;
    }
    this.offersSent++;
    this.core.send(receiver.neighbour.id, 'upload', { type: 'offer', piece, endgame });
  }

  /** What it gets from here it is getting, however long that takes: a limited line needs longer than `getting` is believed. */
  private keepGetting({ neighbour, slots }: Receiver): void {
    const { table, nowMs } = this.core;
    for (const piece of slots.keys()) {
      const untilMs = neighbour.getting.get(piece);
      if (untilMs !== undefined && untilMs - nowMs < GETTING_LIFETIME_MS / 2)
        table.markGetting(neighbour, piece, nowMs);
    }
  }

  private swapSlot(receiver: Receiver, piece: number): Slot | undefined {
    const { table, nowMs } = this.core;
    if (!table.servable.has(piece)) return undefined;
    table.markGetting(receiver.neighbour, piece, nowMs);
    return this.window.open(receiver, piece, 0);
  }

  /**
   * One upload at a time, whole pieces, first accepted first. What does not hold up the line: a full socket, and a user that takes
   * other files at the same time, so that the upload limit gives it a part of its share here.
   */
  private pump(): void {
    while ([...this.running].every(({ receiver }) => receiver.blocked || this.window.takesOthers(receiver))) {
      const next = this.queue.findIndex(({ receiver }) => this.isFree(receiver));
      const slot = next >= 0 ? this.queue.splice(next, 1)[0]! : this.blindSlot();
      if (!slot) return;
      this.enter(slot, 'running');
      this.running.add(slot);
      this.core.act({ type: 'upload', ...toJob(slot) });
    }
  }

  /** Its socket has room, and nothing is on its way to its user. */
  private isFree({ blocked, neighbour: { userId } }: Receiver): boolean {
    if (blocked) return false;
    for (const { receiver } of this.running)
      if (!receiver.blocked && receiver.neighbour.userId === userId) return false;
    return true;
  }

  /** A fresh piece may follow its offer at once: nobody else can be sending it. */
  private blindSlot(): Slot | null {
    if (this.hasRival()) return null;
    for (const receiver of this.window.receivers.values()) {
      if (!this.isFree(receiver)) continue;
      for (const slot of receiver.slots.values()) {
        if (slot.state !== 'offered' || slot.burden === 0) continue;
        slot.runs = this.allBlocks(pieceIndex(this.core.geometry, slot.piece)!);
        return slot;
      }
    }
    return null;
  }

  private allBlocks(piece: PieceIndex): BlockRun[] {
    return [{ first: 0, count: blockCount(this.core.geometry, piece) }];
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

  private withdraw(slot: Slot): void {
    this.core.send(slot.receiver.neighbour.id, 'upload', { type: 'withdraw', piece: slot.piece });
    this.undoFresh(slot);
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
