// What one address may begin on this tracker: a burst, then so many a second (a token bucket each). Beyond it, a clear refusal before
// any work. Not logged: each tracker counts for itself, which is enough to keep one address from crowding out the others.
import { MtError } from '../../../codec/errors.ts';
import { ACCOUNTS_PER_ADDRESS, CLIENTS_PER_ADDRESS, DIAL_BACKS_PER_ADDRESS, STREAMS } from '../settings.ts';

/** Addresses remembered; a full bucket needs no memory, and the least recently used makes room. */
const ADDRESSES_MAX = 65_536;

export class Budget {
  readonly #what: string;
  readonly #burst: number;
  readonly #perMs: number;
  readonly #buckets = new Map<string, { left: number; atMs: number }>();

  constructor(what: string, { burst, perSecond }: { readonly burst: number; readonly perSecond: number }) {
    this.#what = what;
    this.#burst = burst;
    this.#perMs = perSecond / 1_000;
  }

  /** @throws MtError OVERLOADED when this address has used up its share. */
  take(address: string, nowMs: number): void {
    const { left, atMs } = this.#buckets.get(address) ?? { left: this.#burst, atMs: nowMs };
    const now = Math.min(this.#burst, left + Math.max(0, nowMs - atMs) * this.#perMs);
    this.#buckets.delete(address);
    if (this.#buckets.size >= ADDRESSES_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(address, { left: now < 1 ? now : now - 1, atMs: nowMs });
    if (now >= 1) return;
    const seconds = Math.ceil((1 - now) / this.#perMs / 1_000);
    throw new MtError('OVERLOADED', `Too many ${this.#what} come from this address`, `Try again in ${seconds} s.`);
  }
}

/** What one address, and all together, may have at once. */
export class Places {
  readonly #what: string;
  readonly #total: number;
  readonly #perAddress: number;
  readonly #taken = new Map<string, number>();
  #all = 0;

  constructor(what: string, { total, perAddress }: { readonly total: number; readonly perAddress: number }) {
    this.#what = what;
    this.#total = total;
    this.#perAddress = perAddress;
  }

  /** @returns gives the place back; to be called once. @throws MtError OVERLOADED when there is none. */
  enter(address: string): () => void {
    const own = this.#taken.get(address) ?? 0;
    if (own >= this.#perAddress || this.#all >= this.#total) {
      const whose = own >= this.#perAddress ? 'come from this address' : 'are open';
      throw new MtError('OVERLOADED', `Too many ${this.#what} ${whose}`, 'Try again later, or at another tracker.');
    }
    this.#all++;
    this.#taken.set(address, own + 1);
    return () => {
      this.#all--;
      const left = this.#taken.get(address)! - 1;
      if (left > 0) this.#taken.set(address, left);
      else this.#taken.delete(address);
    };
  }
}

export class AddressBudgets {
  readonly accounts = new Budget('new accounts', ACCOUNTS_PER_ADDRESS);
  readonly dialBacks = new Budget('requests to be dialled', DIAL_BACKS_PER_ADDRESS);
  readonly clients = new Budget('new clients', CLIENTS_PER_ADDRESS);
  readonly streams = new Places('streams of news', STREAMS);
}
