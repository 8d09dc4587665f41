/**
 * Collects `have`, `getting` and `want`, and tells them to all neighbours in batches: with many neighbours every piece would
 * otherwise cost hundreds of tiny messages. With few, or far away, the batches are so short that nobody waits.
 */
import type { Core } from './core.ts';
import type { PieceMessage } from './messages.ts';
import type { Neighbour } from './neighbour-table.ts';
import type { LinkRole } from './types.ts';

/** Who only gives must know soon what I am getting elsewhere, or offers it too. A neighbour more lengthens the batch by this. */
const BATCH_MS_PER_NEIGHBOUR = 2;
const BATCH_MS_MAX = 20;
/** Among those who take from each other, a declined offer costs less than the messages that would have prevented it, … */
const BATCH_MS_PER_RECEIVER = 15;
const BATCH_MS_MAX_NEAR = 60;

export class News {
  private readonly core: Core;
  private haves: number[] = [];
  /** Pieces whose last word is `getting` (true) or `want` (false). */
  private readonly intents = new Map<number, boolean>();
  private dueMs = Number.NEGATIVE_INFINITY;

  constructor(core: Core) {
    this.core = core;
  }

  have(piece: number): void {
    this.haves.push(piece);
    this.intents.delete(piece);
  }

  getting(piece: number): void {
    this.intents.set(piece, true);
  }

  want(piece: number): void {
    this.intents.set(piece, false);
  }

  /** When `flush` has something to do; Infinity: nothing to tell. */
  dueAtMs(): number {
    return this.haves.length === 0 && this.intents.size === 0 ? Number.POSITIVE_INFINITY : this.dueMs;
  }

  flushIfDue(): void {
    if (this.core.nowMs < this.dueAtMs()) return;
    this.dueMs = this.core.nowMs + this.batchMs();
    const messages: PieceMessage[] = [];
    const getting = this.intended(true);
    const want = this.intended(false);
    if (this.haves.length > 0) messages.push({ type: 'have', pieces: this.haves });
    // A lone neighbour is the very one whose offer was accepted.
    if (getting.length > 0 && this.core.table.neighbours.size > 1) messages.push({ type: 'getting', pieces: getting });
    if (want.length > 0) messages.push({ type: 'want', pieces: want });
    this.haves = [];
    this.intents.clear();
    for (const neighbour of this.core.table.neighbours.values())
      for (const message of messages) this.core.send(neighbour.id, newsRole(neighbour), message);
  }

  /** … but far from everyone it costs a round trip of an idle line. The nearest says how far: of a busy one, the round trip looks long. */
  private batchMs(): number {
    const { neighbours, receiverCount } = this.core.table;
    let nearestMs = BATCH_MS_MAX_NEAR;
    for (const { rttMs } of neighbours.values()) nearestMs = Math.min(nearestMs, rttMs);
    const base = Math.min(BATCH_MS_MAX, BATCH_MS_PER_NEIGHBOUR * neighbours.size);
    return Math.max(base, Math.min(BATCH_MS_MAX_NEAR - nearestMs, BATCH_MS_PER_RECEIVER * receiverCount));
  }

  private intended(isGetting: boolean): number[] {
    return [...this.intents].filter(([, value]) => value === isGetting).map(([piece]) => piece);
  }
}

/** On a download link my direction carries no data, so news never wait behind a block there. */
function newsRole(neighbour: Neighbour): LinkRole {
  return neighbour.download ? 'download' : 'upload';
}
