// Keeps the event log's past as the user wants it: whole, by fetching from other trackers what a snapshot took the place of; or
// shortened to so many events (--retain-events). A little at a time, once a second: nobody waits for the past.
import type { Logger } from 'pino';
import { toMtError } from '../../codec/errors.ts';
import type { Gap } from '../store/history.ts';
import type { Store } from '../store/store.ts';
import type { Links } from './links.ts';

const CALL_MS = 5_000;
/** Answers of one look, and rows deleted in one. */
const ANSWERS_AT_ONCE = 20;
const DELETED_AT_ONCE = 2_000;
/** After an answer that did not fit the hash chain, or none: the next look is this many seconds away. */
const REST_LOOKS = 30;

export class HistoryKeeper {
  readonly #store: Store;
  readonly #links: Links;
  readonly #log: Logger;
  readonly #retainEvents: number | null;
  /** What is missing; undefined: to be looked up, at start and after each snapshot that took the place of rows. */
  #gap: Gap | null | undefined;
  #filled = 0;
  #restLooks = 0;
  #busy = false;

  /** @param retainEvents how many events to keep at least; null: all. */
  constructor(store: Store, links: Links, log: Logger, retainEvents: number | null) {
    this.#store = store;
    this.#links = links;
    this.#log = log;
    this.#retainEvents = retainEvents;
    store.snapshots.keepOldest = retainEvents !== null;
  }

  /** The state was replaced by a snapshot. */
  onSnapshotInstalled(): void {
    this.#gap = undefined;
    this.#restLooks = 0;
  }

  async look(): Promise<void> {
    if (this.#retainEvents !== null) return this.#shorten(this.#retainEvents);
    if (this.#gap === null || this.#busy || this.#restLooks-- > 0) return;
    this.#busy = true;
    try {
      await this.#fill();
    } catch (error) {
      this.#log.debug({ error: toMtError(error).message }, 'history could not be fetched');
      this.#restLooks = 1;
    } finally {
      this.#busy = false;
    }
  }

  async #fill(): Promise<void> {
    for (let answers = 0; answers < ANSWERS_AT_ONCE; answers++) {
      this.#gap ??= this.#store.history.gap();
      if (this.#gap === null) {
        if (this.#filled > 0)
          this.#log.info({ rows: this.#filled }, 'the history is complete again, and its hash chain right');
        this.#filled = 0;
        return;
      }
      if (!(await this.#fetch(this.#gap))) {
        this.#restLooks = REST_LOOKS;
        return;
      }
    }
  }

  /** @returns false when nobody has the next row. */
  async #fetch(gap: Gap): Promise<boolean> {
    for (const { rpc, number } of this.#links.all) {
      if (!rpc) continue;
      const { rows } = await rpc.call('get_history', gap, { timeoutMs: CALL_MS });
      if (rows.length === 0) continue;
      if (this.#gap !== gap) return true; // a snapshot was installed meanwhile
      const from = gap.from + rows.length;
      const fits = this.#store.history.fill(gap, rows);
      this.#gap = fits && from <= gap.to ? { from, to: gap.to } : undefined;
      if (fits) {
        this.#filled += rows.length;
        return true;
      }
      this.#log.error(
        { tracker: number, ...gap },
        'history from another tracker does not fit the hash chain: forgotten',
      );
      return false;
    }
    return false;
  }

  #shorten(retained: number): void {
    const upTo = this.#store.snapshots.anchorFor(this.#store.log.lastIndex() - retained);
    if (upTo > 0) this.#store.history.shorten(upTo, DELETED_AT_ONCE);
  }
}
