// Passwords: scrypt (RFC 7914) in libuv's threads, never on the event loop, a bounded number at a time, addresses in turn: a flood of
// logins from one of them keeps nobody else waiting. A wrong user and a wrong password cost the same time.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { PasswordHash } from '../state/types.ts';
import { FairQueue } from './fair-queue.ts';

/** OWASP's scrypt settings with N = 2^15: 32 MiB and some 60 ms each. Stored with each hash, so they can be raised later. */
const COST = { n: 2 ** 15, r: 8, p: 1 } as const;
/** Half of libuv's four threads: file and name lookups keep the others. */
const AT_ONCE = 2;
/** Some ten seconds of work: whoever comes later would give up waiting anyway. */
const WAITING_MAX = 256;
const HASH_SIZE = 32;
const SALT_SIZE = 16;

interface Job {
  readonly password: string;
  readonly salt: Uint8Array;
  readonly cost: { readonly n: number; readonly r: number; readonly p: number };
}

export class Passwords {
  readonly #queue = new FairQueue({ atOnce: AT_ONCE, waitingMax: WAITING_MAX });
  /** What a password of an unknown user is compared with; nothing matches it. */
  readonly #nobody: PasswordHash = { ...COST, salt: randomBytes(SALT_SIZE), hash: randomBytes(HASH_SIZE) };

  /** @param remote the address that asks. @throws MtError OVERLOADED when too many wait. */
  async hash(password: string, remote: string): Promise<PasswordHash> {
    const salt = randomBytes(SALT_SIZE);
    const hash = Uint8Array.from(await this.#queue.run(remote, () => derive({ password, salt, cost: COST })));
    return { ...COST, salt, hash };
  }

  /** @param stored null for an unknown user: false, after the same work. @throws MtError OVERLOADED */
  async verify(password: string, stored: PasswordHash | null, remote: string): Promise<boolean> {
    const { n, r, p, salt, hash } = stored ?? this.#nobody;
    const derived = await this.#queue.run(remote, () => derive({ password, salt, cost: { n, r, p } }));
    return timingSafeEqual(derived, hash) && stored !== null;
  }
}

function derive({ password, salt, cost }: Job): Promise<Buffer> {
  const { n, r, p } = cost;
  const options = { N: n, r, p, maxmem: 256 * n * r };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_SIZE, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
