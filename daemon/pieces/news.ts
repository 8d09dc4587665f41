/**
 * Collects `have`, `getting` and `want`, and tells them to all neighbours in batches: with many neighbours every piece would
 * otherwise cost hundreds of tiny messages. With few the batches are so short that nobody waits.
 */
import type { Core } from './core.ts';
import type { PieceMessage } from './messages.ts';
import type { Neighbour } from './neighbour-table.ts';
import type { LinkRole } from './types.ts';

/** A neighbour more lengthens the batch by this, so that the messages a second stay near 2,000 in any swarm. */
const BATCH_MS_PER_NEIGHBOUR = 2;
/** Later news cost more declined offers than fewer messages save. */
const BATCH_MS_MAX = 20;

export class News {
  private readonly core: Core;
  private haves: number[] = [];
  /** Pieces whose last word is `getting` (true) or `want` (false). */
  private readonly intents = new Map<number, boolean>();
  private flushedAtMs = Number.NEGATIVE_INFINITY;

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
    if (this.haves.length === 0 && this.intents.size === 0) return Number.POSITIVE_INFINITY;
    const batchMs = Math.min(BATCH_MS_MAX, BATCH_MS_PER_NEIGHBOUR * this.core.table.neighbours.size);
    return this.flushedAtMs + batchMs;
  }

  flushIfDue(): void {
    if (this.core.nowMs < this.dueAtMs()) return;
    this.flushedAtMs = this.core.nowMs;
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

  private intended(isGetting: boolean): number[] {
    return [...this.intents].filter(([, value]) => value === isGetting).map(([piece]) => piece);
  }
}

/** On a download link my direction carries no data, so news never wait behind a block there. */
function newsRole(neighbour: Neighbour): LinkRole {
  return neighbour.download ? 'download' : 'upload';
}
