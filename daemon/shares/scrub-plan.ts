// What the scrub reads next and how fast. Decides only: the time, the traffic and the shares come in.

/** While content moves for others, the scrub takes this part of its rate … */
const YIELD_DIVISOR = 16;
/** … but never stops for good: a seeder that is always busy is checked too. */
const RATE_MIN = 64 * 1024;
/** Less is no traffic worth stepping aside for. */
const QUIET_BYTES_PER_S = 16 * 1024;

/** The rate is looked at again so often. */
const WAIT_MS_MAX = 250;

export interface ScrubSettings {
  /** Bytes a second at most; 0: no limit. */
  readonly bytesPerS: number;
  /** Each share is read again after so long; 0: never by itself. */
  readonly intervalMs: number;
}

export interface Scrubbable {
  /** Unix ms of the last whole round; 0: never. */
  readonly scrubbedAtMs: number;
  /** Not 0: a round is under way, and goes on there. */
  readonly scrubNext: number;
}

/** When this share is due; Unix ms, Infinity: never. `isAsked`: its user wants it now. */
export function dueAtMs(share: Scrubbable, isAsked: boolean, { intervalMs }: ScrubSettings): number {
  if (isAsked) return 0;
  return intervalMs === 0 ? Number.POSITIVE_INFINITY : share.scrubbedAtMs + intervalMs;
}

/** The share to read next: asked for, then begun, then longest unread. null: none is due. */
export function nextToScrub<T extends Scrubbable>(
  shares: readonly T[],
  isAsked: (share: T) => boolean,
  settings: ScrubSettings,
  nowMs: number,
): T | null {
  const rank = (share: T) => (isAsked(share) ? 0 : share.scrubNext > 0 ? 1 : 2);
  let best: T | null = null;
  for (const share of shares) {
    if (dueAtMs(share, isAsked(share), settings) > nowMs) continue;
    const isBetter =
      !best || rank(share) < rank(best) || (rank(share) === rank(best) && share.scrubbedAtMs < best.scrubbedAtMs);
    if (isBetter) best = share;
  }
  return best;
}

/** How fast to read now; bytes a second, Infinity: no limit. `movingBytesPerS`: content of transfers, both ways. */
export function rateNow({ bytesPerS }: ScrubSettings, movingBytesPerS: number): number {
  const most = bytesPerS === 0 ? Number.POSITIVE_INFINITY : bytesPerS;
  if (movingBytesPerS <= QUIET_BYTES_PER_S) return most;
  // Without a limit of its own, it takes a part of what the transfers take.
  const base = bytesPerS === 0 ? movingBytesPerS : bytesPerS;
  return Math.min(most, Math.max(RATE_MIN, base / YIELD_DIVISOR));
}

/** Spreads reads over time: what was read is paid for at the rate of each moment before more is read. */
export class Pacer {
  #debtBytes = 0;
  #paidAtMs = Number.NEGATIVE_INFINITY;

  /** How long to wait before the next look; 0: read now, and `spend`. `nowMs` on any clock that runs forwards. */
  waitMs(bytesPerS: number, nowMs: number): number {
    const isFree = this.#debtBytes === 0 || bytesPerS === Number.POSITIVE_INFINITY;
    const paid = isFree ? this.#debtBytes : ((nowMs - this.#paidAtMs) * bytesPerS) / 1000;
    this.#debtBytes = Math.max(0, this.#debtBytes - paid);
    this.#paidAtMs = nowMs;
    // Not longer: the rate may be another by then.
    return Math.min(WAIT_MS_MAX, (this.#debtBytes / bytesPerS) * 1000);
  }

  spend(bytes: number): void {
    this.#debtBytes += bytes;
  }
}
