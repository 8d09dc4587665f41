/**
 * Policy R for one file on one node: every node offers, receivers accept. This file takes the events, checks what came from
 * outside, and hands it to the uploader (the giving half) and the receiver (the taking half); what it does not do is decide.
 *
 * Pure: no clock, no socket, no disk, no randomness of its own. The same events with the same random numbers give the same
 * actions, so a simulated swarm replays by its seed.
 */
import { Bitfield } from './bitfield.ts';
import { Core } from './core.ts';
import { makeGeometry, pieceIndex, pieceLength } from './geometry.ts';
import type { BitfieldMessage, PieceMessage } from './messages.ts';
import { type Neighbour, NeighbourTable } from './neighbour-table.ts';
import { Receiver } from './receiver.ts';
import type {
  BanReason,
  BlockClaim,
  NeighbourId,
  TransferAction,
  TransferEvent,
  TransferOptions,
  TransferPolicy,
  TransferStats,
  UploadJob,
} from './types.ts';
import { Uploader } from './uploader.ts';
import { UserFiles, UserShares } from './user-shares.ts';

const ORPHANS_MAX_DEFAULT = 8;
/** The patience of the policy is counted in hundreds of milliseconds while something moves, in seconds otherwise. */
const TICK_BUSY_MS = 50;
const TICK_IDLE_MS = 500;

type EventOf<T extends TransferEvent['type']> = Extract<TransferEvent, { type: T }>;

export class Transfer implements TransferPolicy {
  private readonly core: Core;
  private readonly table: NeighbourTable;
  private readonly uploader: Uploader;
  private readonly receiver: Receiver;
  private readonly banned = new Map<NeighbourId, BanReason>();
  private tickedAtMs = Number.NEGATIVE_INFINITY;
  private hadSource = true;
  private saidComplete: boolean;
  private bytesVerified = 0;

  /** Throws RangeError if the sizes or the bitfield's length are impossible. */
  constructor(options: TransferOptions) {
    const geometry = makeGeometry(options.sizeBytes, options.pieceSizeBytes);
    const { pieceCount } = geometry;
    const mine = options.have ? Bitfield.fromBytes(options.have, pieceCount) : new Bitfield(pieceCount);
    if (!mine) throw new RangeError(`a bitfield of ${options.have?.length} bytes does not fit ${pieceCount} pieces`);
    this.table = new NeighbourTable(mine);
    this.core = new Core(geometry, this.table, options.random);
    this.uploader = new Uploader(this.core, new UserShares(options.userFiles ?? new UserFiles()));
    this.receiver = new Receiver(this.core, options.orphansMax ?? ORPHANS_MAX_DEFAULT);
    this.saidComplete = mine.complete;
    for (const piece of mine.pieces()) this.bytesVerified += pieceLength(geometry, pieceIndex(geometry, piece)!);
  }

  step(event: TransferEvent, nowMs: number): TransferAction[] {
    this.core.nowMs = nowMs;
    this.take(event);
    if (nowMs >= this.tickedAtMs + TICK_BUSY_MS) this.tick();
    this.dropCondemned();
    // A block changes nothing that the giving half looks at.
    if (event.type !== 'block' && event.type !== 'alive') this.uploader.work();
    this.core.news.flushIfDue();
    this.sayWhatChanged();
    return this.core.takeActions();
  }

  wantsBlock(neighbour: NeighbourId, claim: BlockClaim): boolean {
    return this.receiver.wantsBlock(neighbour, claim);
  }

  upcomingJobs(limit: number): UploadJob[] {
    return this.uploader.upcomingJobs(limit);
  }

  wakeAtMs(): number {
    const isBusy = this.receiver.isReceiving || this.uploader.isSending;
    const tickAtMs = this.tickedAtMs + (isBusy ? TICK_BUSY_MS : TICK_IDLE_MS);
    return Math.min(tickAtMs, this.core.news.dueAtMs());
  }

  bitfieldBytes(): Uint8Array {
    return this.table.mine.toBytes();
  }

  get complete(): boolean {
    return this.table.mine.complete;
  }

  stats(): TransferStats {
    return {
      piecesTotal: this.table.mine.size,
      piecesVerified: this.table.mine.count,
      bytesVerified: this.bytesVerified,
      bytesUseless: this.receiver.bytesUseless,
      sources: this.table.sourceCount,
      offersSent: this.uploader.offersSent,
      offersDeclined: this.uploader.offersDeclined,
    };
  }

  private take(event: TransferEvent): void {
    switch (event.type) {
      case 'link-up':
        return this.linkUp(event);
      case 'link-down':
        return this.linkDown(event.neighbour, event.role);
      case 'message':
        return this.onMessage(event);
      case 'block':
        return this.receiver.onBlock(event.neighbour, event);
      case 'alive':
        return this.receiver.onAlive(event.neighbour);
      case 'held':
        return this.receiver.onHeld(event.neighbour);
      case 'verified':
        return this.onVerified(event.piece);
      case 'rejected':
        return this.receiver.onLost(event.piece, true);
      case 'write-failed':
        return this.receiver.onLost(event.piece, false);
      case 'upload-sent':
        return this.uploader.onSent(event.neighbour, event.piece);
      case 'upload-failed':
        return this.uploader.onFailed(event.piece);
      case 'upload-blocked':
        return this.uploader.setBlocked(event.neighbour, true);
      case 'upload-writable':
        return this.uploader.setBlocked(event.neighbour, false);
      case 'upload-rate':
        return this.uploader.setRate(event.bytesPerS);
      case 'rtt':
        return this.table.noteRtt(event.neighbour, event.rttMs);
      case 'pause':
        return this.receiver.pause();
      case 'resume':
        return this.receiver.resume();
      case 'tick':
        return;
    }
  }

  private tick(): void {
    this.tickedAtMs = this.core.nowMs;
    // First: what is held in the window is not forgotten, whatever pause there was.
    this.uploader.tick();
    this.table.expireGetting(this.core.nowMs);
    this.receiver.tick();
  }

  private linkUp({ neighbour: id, role, userId, rttMs }: EventOf<'link-up'>): void {
    const reason = this.banned.get(id);
    if (reason) return this.core.act({ type: 'ban', neighbour: id, reason });
    if (this.table.neighbours.get(id)?.[role]) this.linkDown(id, role);
    const neighbour = this.table.linkUp(id, role, { userId, rttMs });
    if (role === 'upload') this.uploader.linkUp(neighbour);
    else this.receiver.linkUp(neighbour);
    this.core.send(id, role, { type: 'bitfield', bytes: this.bitfieldBytes() });
    const getting = this.receiver.gettingPieces();
    if (getting.length > 0) this.core.send(id, role, { type: 'getting', pieces: getting });
  }

  private linkDown(id: NeighbourId, role: 'download' | 'upload'): void {
    const neighbour = this.table.neighbours.get(id);
    if (!neighbour?.[role]) return;
    if (role === 'upload') this.uploader.linkDown(id);
    else this.receiver.linkDown(id);
    this.table.linkDown(neighbour, role);
  }

  private onMessage({ neighbour: id, role, message }: EventOf<'message'>): void {
    const neighbour = this.table.neighbours.get(id);
    // Under way when the link went down or the neighbour was banned.
    if (!neighbour?.[role]) return;
    this.receiver.onAlive(id);
    const isFine = message.type === 'bitfield' || neighbour.cameComplete !== null;
    if (!isFine || !this.onValidMessage(neighbour, role, message)) this.core.ban(neighbour, 'protocol');
  }

  /** Answers false if the neighbour broke the protocol. */
  private onValidMessage(neighbour: Neighbour, role: 'download' | 'upload', message: PieceMessage): boolean {
    switch (message.type) {
      case 'bitfield':
        return this.onBitfield(neighbour, message);
      case 'have':
      case 'getting':
      case 'want':
        if (!message.pieces.every((piece) => this.exists(piece))) return false;
        for (const piece of message.pieces) this.onNews(neighbour, message.type, piece);
        return true;
      case 'alive':
        return true;
      default:
        if (!this.exists(message.piece)) return false;
        return role === 'upload' ? this.onReceiverSays(neighbour, message) : this.onUploaderSays(neighbour, message);
    }
  }

  private onReceiverSays({ id }: Neighbour, message: PieceMessage): boolean {
    switch (message.type) {
      case 'accept':
        return this.uploader.onAccept(id, message);
      case 'decline':
        this.uploader.onDecline(id, message.piece);
        return true;
      case 'got':
      case 'cancel':
        this.uploader.onDone(id, message.piece, message.type === 'got');
        return true;
      default:
        return false;
    }
  }

  private onUploaderSays(neighbour: Neighbour, message: PieceMessage): boolean {
    switch (message.type) {
      case 'offer':
        this.table.markHave(neighbour, message.piece);
        this.receiver.onOffer(neighbour.id, message.piece, message.endgame);
        return true;
      case 'withdraw':
        this.receiver.onWithdraw(neighbour.id, message.piece);
        return true;
      default:
        return false;
    }
  }

  private onBitfield(neighbour: Neighbour, { bytes }: BitfieldMessage): boolean {
    const field = Bitfield.fromBytes(bytes, this.table.mine.size);
    if (!field) return false;
    neighbour.cameComplete ??= field.complete;
    for (const piece of field.pieces()) this.table.markHave(neighbour, piece);
    return true;
  }

  private onNews(neighbour: Neighbour, type: 'have' | 'getting' | 'want', piece: number): void {
    if (type !== 'want') this.uploader.onNews(neighbour.id, piece);
    if (type === 'getting') this.table.markGetting(neighbour, piece, this.core.nowMs);
    else if (type === 'want') this.table.markWant(neighbour, piece);
    else if (this.table.markHave(neighbour, piece)) this.uploader.onHave(piece);
  }

  private onVerified(piece: number): void {
    const index = pieceIndex(this.core.geometry, piece);
    if (index === null || this.table.mine.has(piece)) return;
    this.bytesVerified += pieceLength(this.core.geometry, index);
    this.receiver.onVerified(piece);
  }

  private exists(piece: number): boolean {
    return pieceIndex(this.core.geometry, piece) !== null;
  }

  private dropCondemned(): void {
    for (const [{ id }, reason] of this.core.takeCondemned()) {
      this.banned.set(id, reason);
      this.linkDown(id, 'download');
      this.linkDown(id, 'upload');
      this.core.act({ type: 'ban', neighbour: id, reason });
    }
  }

  private sayWhatChanged(): void {
    if (this.complete && !this.saidComplete) {
      this.saidComplete = true;
      this.core.act({ type: 'complete' });
    }
    const hasSource = this.complete || this.table.sourceCount > 0;
    if (!hasSource && this.hadSource) this.core.act({ type: 'source-needed' });
    this.hadSource = hasSource;
  }
}
