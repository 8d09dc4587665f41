// A moving average of bytes a second over the last seconds.

const BUCKET_MS = 250;
const BUCKETS = 12;

export class RateMeter {
  readonly #buckets = new Float64Array(BUCKETS);
  /** Number of the newest bucket since the clock's start, and of the first one that counts. */
  #at = 0;
  #from = -1;
  /** All bytes ever. */
  total = 0;

  add(bytes: number, nowMs = performance.now()): void {
    this.#advance(nowMs);
    this.#buckets[this.#at % BUCKETS]! += bytes;
    this.total += bytes;
  }

  /** Bytes a second over the last 3 s, or since the first byte when that is less long ago. */
  rate(nowMs = performance.now()): number {
    if (this.#from < 0) return 0;
    this.#advance(nowMs);
    let sum = 0;
    for (const bytes of this.#buckets) sum += bytes;
    const beganMs = Math.max(this.#from, this.#at - BUCKETS + 1) * BUCKET_MS;
    if (sum === 0) this.#from = -1;
    return (sum * 1000) / Math.max(BUCKET_MS, nowMs - beganMs);
  }

  #advance(nowMs: number): void {
    const at = Math.floor(nowMs / BUCKET_MS);
    if (this.#from < 0) {
      this.#from = at;
      this.#buckets.fill(0);
    }
    for (let next = Math.max(this.#at + 1, at - BUCKETS + 1); next <= at; next++) this.#buckets[next % BUCKETS] = 0;
    this.#at = Math.max(this.#at, at);
  }
}
