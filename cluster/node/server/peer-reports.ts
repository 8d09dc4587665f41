// What daemons reported about sources that they banned: each is heard once, and a reporter that says too much not at all. A report is
// written into the log for people to judge and changes nothing: whoever lies in one harms nobody.
import { REPORTS_PER_USER } from '../settings.ts';
import { Budget } from './address-budgets.ts';

/** Remembered, so that a daemon which repeats itself is heard once; the oldest makes room. */
const REMEMBERED_MAX = 10_000;

export class PeerReports {
  readonly #budget = new Budget('reports', REPORTS_PER_USER);
  readonly #seen = new Set<string>();
  #count = 0;

  /** Reports written since this tracker started. */
  get count(): number {
    return this.#count;
  }

  /** Whether this one is new. @throws MtError OVERLOADED when its reporter has said too much. */
  take(reporter: string, about: string, nowMs: number): boolean {
    const key = `${reporter} ${about}`;
    if (this.#seen.has(key)) return false;
    this.#budget.take(reporter, nowMs);
    if (this.#seen.size >= REMEMBERED_MAX) this.#seen.delete(this.#seen.values().next().value!);
    this.#seen.add(key);
    this.#count++;
    return true;
  }
}
