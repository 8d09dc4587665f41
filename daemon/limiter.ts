// A token bucket for bytes a second, above the sockets: content asks it, control messages never do. Unused tokens of a late
// tick are carried over, so that the average holds; those who ask take turns, so that none of them has the line for itself.
import assert from 'node:assert';

/** What may be sent at once after a pause; also how late a timer may be without losing tokens. */
const BURST_MS = 100;
/** A limited sender releases this much at a time, so that news find a gap. */
const RELEASE_MS = 50;
const RELEASE_BYTES_MIN = 4 * 1024;

interface Request {
  readonly bytes: number;
  readonly grant: () => void;
}

export class Limiter {
  #bytesPerS = 0;
  /** Negative: what was taken is yet to be earned. */
  #tokens = 0;
  #refilledAtMs = performance.now();
  #timer: NodeJS.Timeout | null = null;
  /** Waiting requests of each key; the key whose turn it is stands first. */
  readonly #queues = new Map<string, Request[]>();

  constructor(bytesPerS = 0) {
    this.setRate(bytesPerS);
  }

  /** Bytes a second; 0 = no limit. */
  get rate(): number {
    return this.#bytesPerS;
  }

  /** Holds at once, for those who wait too. */
  setRate(bytesPerS: number): void {
    assert(bytesPerS >= 0);
    this.#refill();
    // A debt is time on the line: what was sent at the old rate is not paid for at the new one.
    if (this.#tokens < 0) this.#tokens *= this.#bytesPerS > 0 ? bytesPerS / this.#bytesPerS : 0;
    this.#bytesPerS = bytesPerS;
    this.#tokens = Math.min(this.#tokens, this.#burst());
    this.#serve();
  }

  /** How much content to release at a time. */
  releaseSize(max: number): number {
    if (this.#bytesPerS === 0) return max;
    return Math.min(max, Math.max(RELEASE_BYTES_MIN, Math.floor((this.#bytesPerS * RELEASE_MS) / 1000)));
  }

  /**
   * Asks for `bytes` on behalf of `key` (a user, a file): before they are sent, or after they came and before more is read.
   * @param grant called when they are granted, if not at once.
   * @returns true when they are granted now.
   */
  take(bytes: number, key: string, grant: () => void): boolean {
    if (this.#bytesPerS === 0) return true;
    this.#refill();
    if (this.#queues.size === 0 && this.#tokens > 0) {
      this.#tokens -= bytes;
      return true;
    }
    const queue = this.#queues.get(key);
    if (queue) queue.push({ bytes, grant });
    else this.#queues.set(key, [{ bytes, grant }]);
    this.#schedule();
    return false;
  }

  /** Of what was granted, so much is not used. */
  refund(bytes: number): void {
    this.#tokens += bytes;
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#queues.clear();
  }

  #burst(): number {
    return (this.#bytesPerS * BURST_MS) / 1000;
  }

  #refill(): void {
    const nowMs = performance.now();
    const earned = ((nowMs - this.#refilledAtMs) * this.#bytesPerS) / 1000;
    this.#refilledAtMs = nowMs;
    this.#tokens = Math.min(this.#burst(), this.#tokens + earned);
  }

  #serve(): void {
    this.#refill();
    while (this.#queues.size > 0 && (this.#bytesPerS === 0 || this.#tokens > 0)) {
      const [key, queue] = this.#queues.entries().next().value!;
      const request = queue.shift()!;
      // To the end of the line, if it wants more.
      this.#queues.delete(key);
      if (queue.length > 0) this.#queues.set(key, queue);
      this.#tokens -= request.bytes;
      request.grant();
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#queues.size === 0) return;
    const waitMs = this.#bytesPerS === 0 ? 0 : Math.max(1, Math.ceil((-this.#tokens * 1000) / this.#bytesPerS));
    this.#timer = setTimeout(() => this.#serve(), waitMs);
  }
}
