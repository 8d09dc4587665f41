// Walks over all shares, a few a tick, and looks whether each file is still there and unchanged: so the trackers stop naming a lost
// one within seconds, though nobody asked for it. Names and times only; no content is read.
import type { Logger } from 'pino';
import type { Shares } from '../share.ts';
import type { ShareRecord } from '../store/share-store.ts';
import type { Finder } from './finder.ts';

const TICK_MS = 1_000;
/** Looks of one tick: a few milliseconds. A round over more shares than this times ROUND_TICKS takes longer. */
const LOOKS_PER_TICK_MAX = 500;
/** All shares within so many ticks, while they are few. */
const ROUND_TICKS = 2;
/** Looking at all files of a large directory takes a while: it may take this part of the time. */
const LOOKING_SHARE = 1 / 20;

export interface PatrolParts {
  readonly shares: Shares;
  readonly finder: Finder;
  readonly log: Logger;
}

export class Patrol {
  readonly #parts: PatrolParts;
  readonly #timer: NodeJS.Timeout;
  /** When a directory is looked at again, on the clock of performance.now(). */
  readonly #restUntilMs = new WeakMap<ShareRecord, number>();
  #next = 0;
  #isWalking = false;

  constructor(parts: PatrolParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => {
      if (this.#isWalking) return;
      this.#isWalking = true;
      this.#walk()
        .catch((error: unknown) => parts.log.error({ err: error }, 'shares could not be looked at'))
        .finally(() => {
          this.#isWalking = false;
        });
    }, TICK_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #walk(): Promise<void> {
    const { shares, finder } = this.#parts;
    const records = shares.records();
    const count = Math.min(LOOKS_PER_TICK_MAX, Math.ceil(records.length / ROUND_TICKS));
    for (let i = 0; i < count; i++) {
      if (this.#next >= records.length) this.#next = 0;
      const record = records[this.#next++]!;
      const beganMs = performance.now();
      if (beganMs < (this.#restUntilMs.get(record) ?? 0)) continue;
      const problem = await shares.look(record);
      if (record.tree) this.#restUntilMs.set(record, beganMs + (performance.now() - beganMs) / LOOKING_SHARE);
      if (problem) void finder.consider(record, problem, performance.now());
      else finder.forget(record);
    }
  }
}
