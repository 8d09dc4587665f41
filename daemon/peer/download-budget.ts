// What one download pays for its content under the daemon's download limit. Content is paid for after it came and before more of
// it is read from that link, in the name of the download: downloads share the limit, however many sources each of them has.
import type { Limiter } from '../limiter.ts';
import type { PeerLink } from './link.ts';

let budgetCount = 0;

export class DownloadBudget {
  readonly #limiter: Limiter;
  readonly #key = `download ${budgetCount++}`;
  /** Chunks that came and are not paid for; one read of a socket may bring several. */
  readonly #unpaid = new WeakMap<PeerLink, number>();

  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** Pauses the link until all of its content is paid for. */
  pay(link: PeerLink, bytes: number): void {
    const onPaid = (): void => {
      const unpaid = this.#unpaid.get(link)! - 1;
      this.#unpaid.set(link, unpaid);
      if (unpaid === 0) link.resume('limit');
    };
    if (this.#limiter.take(bytes, this.#key, onPaid)) return;
    this.#unpaid.set(link, (this.#unpaid.get(link) ?? 0) + 1);
    link.pause('limit');
  }
}
