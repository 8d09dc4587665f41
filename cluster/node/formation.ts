// How a cluster forms, once. Active only while this tracker belongs to none. The first tracker of the file decides:
// when all others are up and say that they are new, it asks each to confirm the founders, founds, and tells them. It alone
// decides, so two foundings cannot cross; until it has founded, nobody has anything to lose.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { encodeCbor } from '../../codec/cbor.ts';
import { MtError, toMtError } from '../../codec/errors.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import type { Founder } from '../../codec/tracker-link.ts';
import type { Links } from './links.ts';

const CONFIRM_MS = 3_000;
/** How often the situation is looked at; what it waits for is said when it changes. */
const LOOK_MS = 100;

export interface FormationOptions {
  readonly number: number;
  readonly incarnation: string;
  /** Of the tracker file: tracker N is addresses[N - 1]. */
  readonly addresses: readonly Address[];
  readonly links: Links;
  /** Why this tracker must not found a cluster, but only be taken in; null when it may. */
  readonly onlyJoins: string | null;
  readonly log: Logger;
  /** This tracker is a founder from now on: durable before it returns. */
  readonly onFounded: (clusterId: string, founders: readonly Founder[]) => void;
}

export class Formation {
  readonly #options: FormationOptions;
  readonly #timer: NodeJS.Timeout;
  #asking = false;
  #said = '';
  #over = false;

  constructor(options: FormationOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    setImmediate(() => void this.#look());
  }

  /** What this tracker waits for, in words. */
  get waitingFor(): string {
    return this.#said;
  }

  stop(): void {
    this.#over = true;
    clearInterval(this.#timer);
  }

  /** The first tracker asks: are you new, and are these the founders? @throws MtError saying why not. */
  confirm(founders: readonly Founder[]): void {
    const { number, incarnation, addresses, onlyJoins } = this.#options;
    if (onlyJoins !== null) throw new MtError('FORBIDDEN', `Tracker ${number} ${onlyJoins}`);
    const own = founders.find((founder) => founder.number === number);
    if (own?.incarnation !== incarnation) throw new MtError('FORBIDDEN', `Tracker ${number} is not the one you mean`);
    const theirs = founders.map(formatAddress).join(', ');
    const ours = addresses.map(formatAddress).join(', ');
    if (theirs !== ours) {
      const why = `The tracker files differ: tracker ${number} has ${ours}, tracker ${founders[0]!.number} has ${theirs}`;
      throw new MtError('INVALID_TRACKER_INFO', why, 'Give all trackers the same file.');
    }
  }

  /** Someone says that the cluster is founded. @throws MtError when this tracker is not one of the founders. */
  founded(clusterId: string, founders: readonly Founder[]): void {
    const { number, incarnation } = this.#options;
    const isFounder = founders.some((founder) => founder.number === number && founder.incarnation === incarnation);
    if (!isFounder || clusterId !== clusterIdOf(founders)) {
      throw new MtError('FORBIDDEN', `Tracker ${number} is not a founder of that cluster`);
    }
    this.#found(clusterId, founders);
  }

  async #look(): Promise<void> {
    if (this.#asking || this.#over) return;
    const { number, incarnation, addresses, links, onlyJoins } = this.#options;
    const founders: Founder[] = [];
    const missing: string[] = [];
    for (const [at, address] of addresses.entries()) {
      const other = at + 1;
      const hello = other === number ? null : links.byNumber(other)?.hello;
      if (other === number) founders.push({ number, incarnation, ...address });
      else if (!hello) missing.push(`tracker ${other} (${formatAddress(address)})`);
      else if (hello.cluster_id !== null) {
        this.#say(
          `Waits to be taken in by the cluster of tracker ${other}, which has formed already (a new tracker: mt-trackerd members add)`,
        );
        return;
      } else founders.push({ number: other, incarnation: hello.incarnation, ...address });
    }
    if (onlyJoins !== null) this.#say(`Waits to be taken in by its cluster: tracker ${number} ${onlyJoins}`);
    else if (missing.length > 0) this.#say(`Waits for ${missing.join(' and ')} to form the cluster`);
    else if (number === 1) await this.#decide(founders);
    else this.#say('Waits for tracker 1 to form the cluster');
  }

  async #decide(founders: readonly Founder[]): Promise<void> {
    this.#asking = true;
    try {
      const others = founders.filter((founder) => founder.number !== 1);
      await Promise.all(
        others.map(({ number }) => this.#call(number, 'confirm_founding', { founders: [...founders] })),
      );
      if (this.#over) return;
      const clusterId = clusterIdOf(founders);
      this.#found(clusterId, founders);
    } catch (error) {
      this.#say(`Cannot form the cluster yet: ${toMtError(error).message}`);
    } finally {
      this.#asking = false;
    }
  }

  #call(number: number, method: 'confirm_founding', params: { founders: Founder[] }) {
    const rpc = this.#options.links.byNumber(number)?.rpc;
    if (!rpc) throw new MtError('TRACKER_UNREACHABLE', `Tracker ${number} is gone again`);
    return rpc.call(method, params, { timeoutMs: CONFIRM_MS });
  }

  #found(clusterId: string, founders: readonly Founder[]): void {
    if (this.#over) return;
    this.stop();
    this.#options.onFounded(clusterId, founders);
  }

  #say(what: string): void {
    if (what === this.#said) return;
    this.#said = what;
    this.#options.log.info(what);
  }
}

/** The same founders make the same cluster; their incarnations are random, so no two clusters share an id. */
function clusterIdOf(founders: readonly Founder[]): string {
  const ordered = [...founders].sort((a, b) => a.number - b.number);
  return createHash('sha256').update(encodeCbor(ordered)).digest('hex').slice(0, 32);
}
