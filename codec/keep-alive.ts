// Notices a connection whose other side is gone: silent though probed, or no longer reading what it asked for.
// Knows no frame: it tells its owner when to probe and when to give up.
import {
  FRAME_BYTES_PER_MS_MIN,
  FRAME_MS_MAX,
  KEEP_ALIVE_LOST_MS,
  KEEP_ALIVE_MS,
  RPC_UNSENT_STUCK_MS,
} from './limits.ts';

export interface KeepAliveTimes {
  readonly probeMs: number;
  readonly lostMs: number;
}

export interface KeepAliveOwner {
  probe(): void;
  giveUp(why: string): void;
  /** True while we do not read: silence means nothing then. */
  isPaused(): boolean;
  unsentBytes(): number;
  /** Of the frame that is not whole yet: how many frames came before it, and how many bytes of it are here. */
  unfinished(): { readonly frame: number; readonly bytes: number };
}

export class KeepAlive {
  readonly #owner: KeepAliveOwner;
  readonly #times: KeepAliveTimes;
  readonly #timer: NodeJS.Timeout;
  #heardAt = performance.now();
  /** When bytes last left for the other side, or began to wait for it. */
  #sentAt = performance.now();
  #probed = false;
  /** The frame that was unfinished at the last look, and since when. */
  #slow: { frame: number; sinceMs: number } | null = null;

  constructor(owner: KeepAliveOwner, times: KeepAliveTimes = { probeMs: KEEP_ALIVE_MS, lostMs: KEEP_ALIVE_LOST_MS }) {
    this.#owner = owner;
    this.#times = times;
    this.#timer = setInterval(() => this.#check(), times.probeMs);
    this.#timer.unref();
  }

  /** Something came, or reading begins again. */
  heard(): void {
    this.#heardAt = performance.now();
    this.#probed = false;
  }

  /** Bytes left, or the first bytes began to wait. */
  sent(): void {
    this.#sentAt = performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Below the byte-rate floor. Looked at now and then only: what begins and ends in between is fast enough. */
  #isTooSlow(nowMs: number): boolean {
    const { frame, bytes } = this.#owner.unfinished();
    if (bytes === 0 || this.#owner.isPaused()) {
      this.#slow = null;
      return false;
    }
    if (this.#slow?.frame !== frame) this.#slow = { frame, sinceMs: nowMs };
    return nowMs - this.#slow.sinceMs > FRAME_MS_MAX + bytes / FRAME_BYTES_PER_MS_MIN;
  }

  /** A silent side gets a probe and one more interval, so that a process that was stopped first finds what waited for it. */
  #check(): void {
    const now = performance.now();
    if (this.#owner.unsentBytes() > 0 && now - this.#sentAt > RPC_UNSENT_STUCK_MS) {
      this.#owner.giveUp('The other side stopped reading');
      return;
    }
    const silentMs = now - this.#heardAt;
    if (this.#isTooSlow(now)) {
      this.#owner.giveUp('The other side sends a frame too slowly');
      return;
    }
    if (this.#owner.isPaused() || silentMs < this.#times.probeMs) return;
    if (silentMs > this.#times.lostMs && this.#probed) {
      this.#owner.giveUp('The other side went silent');
      return;
    }
    this.#probed = true;
    this.#owner.probe();
  }
}
