// How many connections a door takes: in all, from one address, and of strangers, who have not yet shown that they belong here.
// Counts only: it knows connections by a name, and says which to end. Both daemons use it.
import { MtError } from '../errors.ts';
import { printable } from '../ids.ts';

export interface AdmissionLimits {
  readonly total: number;
  readonly perAddress: number;
  /** Half-open: TLS or hello not finished, no ticket seen. Beyond it the oldest stranger makes room, so that a flood of them locks nobody out. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
}

interface Guest {
  readonly address: string;
  readonly end: () => void;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #guests = new Map<string, Guest>();
  readonly #perAddress = new Map<string, number>();
  /** Oldest first. */
  readonly #strangers = new Map<string, Guest>();
  readonly #strangersPerAddress = new Map<string, number>();

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#guests.size;
  }

  get strangers(): number {
    return this.#strangers.size;
  }

  /**
   * A new connection, a stranger at first.
   * @param name of the connection, such as its remote address and port.
   * @param end ends it; called when it must make room.
   * @returns false when it may not stay.
   */
  enter(name: string, remoteAddress: string, end: () => void): boolean {
    const { total, perAddress, strangers, strangersPerAddress } = this.#limits;
    const address = addressGroup(remoteAddress);
    if ((this.#perAddress.get(address) ?? 0) >= perAddress) return false;
    if ((this.#strangersPerAddress.get(address) ?? 0) >= strangersPerAddress) return false;
    if (this.#strangers.size >= strangers || (this.#guests.size >= total && this.#strangers.size > 0)) {
      const [oldest, guest] = this.#strangers.entries().next().value!;
      this.leave(oldest);
      guest.end();
    }
    if (this.#guests.size >= total) return false;
    const guest = { address, end };
    this.#guests.set(name, guest);
    this.#strangers.set(name, guest);
    add(this.#perAddress, address, 1);
    add(this.#strangersPerAddress, address, 1);
    return true;
  }

  /** It showed that it belongs here. @returns false when it had to make room meanwhile. */
  welcome(name: string): boolean {
    const guest = this.#strangers.get(name);
    if (!guest) return this.#guests.has(name);
    this.#strangers.delete(name);
    add(this.#strangersPerAddress, guest.address, -1);
    return true;
  }

  /** It has ended. Safe to call again. */
  leave(name: string): void {
    const guest = this.#guests.get(name);
    if (!guest) return;
    this.#guests.delete(name);
    add(this.#perAddress, guest.address, -1);
    if (this.#strangers.delete(name)) add(this.#strangersPerAddress, guest.address, -1);
  }
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

/** What one owner has of addresses: an IPv4 address, or the /64 of an IPv6 one (RFC 4291 §2.5.1), in which anyone may choose freely. */
export function addressGroup(remote: string): string {
  const address = remote.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  if (address.includes('::')) {
    const rest = tail === '' ? [] : tail.split(':');
    while (groups.length + rest.length < 8) groups.push('0');
    groups.push(...rest);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

/**
 * `--max-connections` and `--max-connections-per-address` over the program's own limits.
 * @throws MtError INVALID_ARGUMENT
 */
export function readConnectionLimits(
  settings: { get(name: 'max-connections' | 'max-connections-per-address'): string | undefined },
  defaults: AdmissionLimits,
): AdmissionLimits {
  const count = (name: 'max-connections' | 'max-connections-per-address', otherwise: number) => {
    const text = settings.get(name);
    if (text === undefined) return otherwise;
    if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
    throw new MtError('INVALID_ARGUMENT', `--${name} takes a number from 1 to 9999999, not "${printable(text)}"`);
  };
  return {
    ...defaults,
    total: count('max-connections', defaults.total),
    perAddress: count('max-connections-per-address', defaults.perAddress),
  };
}
