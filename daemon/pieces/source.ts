/**
 * A neighbour that I can receive from, as the receiver sees it: what it accepted to send, how fast it is, and whether it is
 * slow (fine), silent or idling (its pieces are taken back), or flooding (banned).
 */
import type { Core } from './core.ts';
import type { Neighbour } from './neighbour-table.ts';

/** No byte for so long, keepalives included: the source is dead for all we know. */
const SILENT_MS = 2000;
/** Alive but without a byte of content for so long: others may have its pieces, if there are others. */
const IDLING_MS = 10_000;
/** Pieces a source may owe before its speed is known. */
const OWED_START = 32;
const OWED_MIN = 3;
/** No honest window is larger (uploader.ts, WINDOW_MAX). */
const OWED_MAX = 512;
/** A source owes what it can send in so long: more would be missed too much if it dies. */
const OWED_MS = 4000;
/** The speed is the average over the last one or two of these. */
const RATE_SPAN_MS = 1000;
/** Unanswered offers of one source; an honest one has at most its window. */
const DEFERRED_MAX = 1024;
/** After the nth strike in a row nothing is accepted for 250 · 2ⁿ ms, up to 16 s; then one piece, until it sends. */
const BACKOFF_MS = 250;
const STRIKES_MAX = 6;
const OWED_AFTER_STRIKE = 1;

export class Source {
  readonly neighbour: Neighbour;
  /** Piece → when it was accepted, oldest first. */
  readonly accepted = new Map<number, number>();
  /** Offers not answered yet: piece → whether it is an endgame offer. */
  readonly deferred = new Map<number, boolean>();
  byteAtMs: number;
  /** Times in a row that its pieces had to be taken back. */
  strikes = 0;
  private contentAtMs = Number.NEGATIVE_INFINITY;
  private acceptFromMs = Number.NEGATIVE_INFINITY;
  private hasDelivered = false;
  private suspicions = 0;
  private spanStartMs: number;
  private spanBytes = 0;
  private bytesPerMs: number | null = null;

  constructor(neighbour: Neighbour, nowMs: number) {
    this.neighbour = neighbour;
    this.byteAtMs = nowMs;
    this.spanStartMs = nowMs;
  }

  accept(piece: number, nowMs: number): void {
    if (this.accepted.size === 0) {
      this.byteAtMs = nowMs;
      this.contentAtMs = nowMs;
    }
    this.accepted.set(piece, nowMs);
  }

  onData(size: number, nowMs: number): void {
    this.byteAtMs = nowMs;
    this.contentAtMs = nowMs;
    this.strikes = 0;
    this.hasDelivered = true;
    this.spanBytes += size;
    const spanMs = nowMs - this.spanStartMs;
    if (spanMs < RATE_SPAN_MS) return;
    this.bytesPerMs = this.spanBytes / spanMs;
    this.spanBytes = 0;
    this.spanStartMs = nowMs;
  }

  /** We did not read what it may have sent. */
  excuse(nowMs: number): void {
    this.byteAtMs = nowMs;
    this.contentAtMs = nowMs;
  }

  isSilent(nowMs: number): boolean {
    return this.accepted.size > 0 && nowMs - this.byteAtMs >= SILENT_MS;
  }

  isIdling(nowMs: number): boolean {
    return this.accepted.size > 0 && nowMs - this.contentAtMs >= IDLING_MS;
  }

  /** Whether an offer has to wait for its answer: it owes enough, or it disappointed just now. */
  mustDefer(core: Core): boolean {
    if (core.nowMs < this.acceptFromMs) return true;
    if (this.strikes > 0) return this.accepted.size >= OWED_AFTER_STRIKE;
    if (this.bytesPerMs === null) return this.accepted.size >= OWED_START;
    const fair = Math.ceil((this.bytesPerMs * OWED_MS) / core.geometry.pieceSizeBytes);
    return this.accepted.size >= Math.min(OWED_MAX, Math.max(OWED_MIN, fair));
  }

  get isFlooding(): boolean {
    return this.deferred.size > DEFERRED_MAX;
  }

  /** Its pieces were taken back. Answers whether that was once too often for a source that never sent anything. */
  strike(nowMs: number): boolean {
    this.strikes++;
    this.acceptFromMs = nowMs + BACKOFF_MS * 2 ** Math.min(STRIKES_MAX, this.strikes);
    return this.strikes > STRIKES_MAX && !this.hasDelivered;
  }

  /** Answers how often it was among the suspects. */
  suspect(): number {
    return ++this.suspicions;
  }
}
