// Reads that must see everything acknowledged before them. All reads of one turn share one question to the core; each has its own
// deadline. Knows neither the core nor the state: `take` hands out a question, `answered` and `appliedTo` bring the answers.
import type { MtError } from '../../codec/errors.ts';
import type { Index, Ref } from '../raft/types.ts';
import { noQuorum } from './pending-commands.ts';
import { COMMAND_MS_DEFAULT } from './settings.ts';

interface Reader {
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: MtError) => void;
  over: boolean;
}

export class ReadBarriers {
  /** Not asked yet. */
  #waiting: Reader[] = [];
  /** Asked, by ref. */
  readonly #asked = new Map<Ref, Reader[]>();
  /** Answered, until the state machine gets there. Indexes rise only roughly, so it is searched; it is short. */
  #until: { index: Index; readers: Reader[] }[] = [];
  /** Refused a moment ago: asked again at the next tick, or when there is a leader. */
  #later: Reader[] = [];

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  add(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + (timeoutMs || COMMAND_MS_DEFAULT);
      this.#waiting.push({ deadlineMs, resolve, reject, over: false });
    });
  }

  /** The readers of this turn become one question. */
  take(ref: Ref): void {
    this.#asked.set(ref, this.#waiting);
    this.#waiting = [];
  }

  /** @param index null when the question was refused. @param appliedIndex how far the state is. */
  answered(ref: Ref, index: Index | null, appliedIndex: Index): void {
    const readers = this.#asked.get(ref);
    if (!readers) return;
    this.#asked.delete(ref);
    // Not spread: without a quorum a crowd waits here, of more readers than a call takes arguments.
    if (index === null) this.#later = this.#later.concat(readers);
    else if (index <= appliedIndex) finish(readers);
    else this.#until.push({ index, readers });
  }

  appliedTo(index: Index): void {
    if (this.#until.length === 0) return;
    const still = [];
    for (const waiting of this.#until) {
      if (waiting.index <= index) finish(waiting.readers);
      else still.push(waiting);
    }
    this.#until = still;
  }

  /** Refused ones may be asked again. @returns whether there are any. */
  retry(): boolean {
    if (this.#later.length === 0) return false;
    for (const reader of this.#later) if (!reader.over) this.#waiting.push(reader);
    this.#later = [];
    return this.#waiting.length > 0;
  }

  /** Gives up what has waited to its deadline. */
  sweep(nowMs: number): void {
    for (const readers of this.#groups()) {
      for (const reader of readers) {
        if (reader.over || reader.deadlineMs > nowMs) continue;
        reader.over = true;
        reader.reject(noQuorum());
      }
    }
    this.#waiting = this.#waiting.filter((reader) => !reader.over);
    this.#later = this.#later.filter((reader) => !reader.over);
  }

  *#groups(): Generator<readonly Reader[]> {
    yield this.#waiting;
    yield this.#later;
    yield* this.#asked.values();
    for (const { readers } of this.#until) yield readers;
  }
}

function finish(readers: readonly Reader[]): void {
  for (const reader of readers) {
    reader.over = true;
    reader.resolve();
  }
}
