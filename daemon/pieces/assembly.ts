/**
 * One piece that is being received: which blocks are here, who is sending, who has written into it (a bad hash is somebody's
 * fault). The bytes themselves lie in the shell's slots.
 */
import type { BlockRun } from './messages.ts';
import type { NeighbourId } from './types.ts';

export class Assembly {
  readonly piece: number;
  readonly blockCount: number;
  /** Who accepted to send it and still may; empty: an orphan, waiting for an offer. */
  readonly sources = new Set<NeighbourId>();
  /** Everyone whose blocks were kept. */
  readonly contributors = new Set<NeighbourId>();
  /** When the last wanted block came, or the first source was accepted. */
  progressAtMs: number;
  private readonly received: Uint8Array;
  private receivedCount = 0;

  constructor(piece: number, blockCount: number, nowMs: number) {
    this.piece = piece;
    this.blockCount = blockCount;
    this.progressAtMs = nowMs;
    this.received = new Uint8Array(blockCount);
  }

  get isFull(): boolean {
    return this.receivedCount === this.blockCount;
  }

  get isEmpty(): boolean {
    return this.receivedCount === 0;
  }

  lacks(block: number): boolean {
    return this.received[block] === 0;
  }

  add(block: number, from: NeighbourId, nowMs: number): void {
    this.received[block] = 1;
    this.receivedCount++;
    this.contributors.add(from);
    this.progressAtMs = nowMs;
  }

  /** The blocks still missing, ascending; empty means all of them, as in an accept message. */
  missingRuns(): BlockRun[] {
    if (this.isEmpty) return [];
    const runs: { first: number; count: number }[] = [];
    for (let block = 0; block < this.blockCount; block++) {
      if (!this.lacks(block)) continue;
      const last = runs.at(-1);
      if (last && last.first + last.count === block) last.count++;
      else runs.push({ first: block, count: 1 });
    }
    return runs;
  }
}
