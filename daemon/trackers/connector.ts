// Keeps one link to some living tracker: picks at random so that daemons spread, moves on at once when it breaks, backs off
// with jitter while none answers. Knows nothing of commands.
import { setTimeout as sleep } from 'node:timers/promises';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import type { TlsIdentity } from '../../codec/identity.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import { dialTracker, type TrackerLink } from './link.ts';
import type { ClusterTrust } from './trust.ts';

/** A candidate that has not answered by then gets company: a frozen machine must not hold up a failover. */
const HEDGE_MS = 250;
const BACKOFF_MS_MIN = 40;
/** While a command waits, and while nobody does. */
const BACKOFF_WANTED_MS_MAX = 400;
const BACKOFF_IDLE_MS_MAX = 5_000;

export interface ConnectorOptions {
  readonly identity: TlsIdentity;
  readonly trust: ClusterTrust;
  /** The addresses to try now, the cluster's members and those of the tracker info file. */
  readonly candidates: () => readonly Address[];
  readonly onLink: (link: TrackerLink | null) => void;
}

interface Waiter {
  resolve(link: TrackerLink): void;
  reject(error: MtError): void;
}

export class TrackerConnector {
  readonly #options: ConnectorOptions;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #running: Promise<void> | null = null;
  #link: TrackerLink | null = null;
  #lastError: MtError | null = null;
  /** Tried last: it just failed us. */
  #avoided: string | null = null;
  /** Ends the pause between two rounds. */
  #wake: AbortController | null = null;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  get current(): TrackerLink | null {
    return this.#link;
  }

  /** Why there is no link; null while there is one, or before the first round ended. */
  get lastError(): MtError | null {
    return this.#link ? null : this.#lastError;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    let failedRounds = 0;
    while (!this.#closing.signal.aborted) {
      const link = await this.#round();
      if (link) {
        failedRounds = 0;
        await this.#hold(link);
        continue;
      }
      await this.#pause(failedRounds++);
    }
  }

  /**
   * The link, as soon as there is one.
   * @throws MtError UNTRUSTED_CLUSTER or PROTOCOL_VERSION at once, CANCELLED when `signal` aborts first.
   */
  link(signal: AbortSignal): Promise<TrackerLink> {
    if (this.#link?.rpc.isOpen) return Promise.resolve(this.#link);
    if (signal.aborted || this.#closing.signal.aborted) return Promise.reject(cancelled());
    this.#wake?.abort();
    return new Promise((resolve, reject) => {
      const onAbort = () => waiter.reject(cancelled());
      const settle = () => {
        signal.removeEventListener('abort', onAbort);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        resolve: (link) => {
          settle();
          resolve(link);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** This tracker does not serve us well (no quorum there, say): try another one first. */
  leave(link: TrackerLink, why: MtError): void {
    if (link !== this.#link || this.#options.candidates().length < 2) return;
    this.#avoided = formatAddress(link.address);
    this.#lastError = why;
    link.rpc.close(new MtError('CLOSED', 'Moved to another tracker'));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.abort();
    for (const waiter of [...this.#waiters]) waiter.reject(cancelled());
    this.#link?.rpc.close();
    await this.#running;
  }

  /** Dials the candidates one after the other, overlapping by HEDGE_MS; the first that is up wins. */
  async #round(): Promise<TrackerLink | null> {
    const { identity, trust } = this.#options;
    const losers = new AbortController();
    const signal = AbortSignal.any([losers.signal, this.#closing.signal]);
    const errors: MtError[] = [];
    const running = new Set<Promise<TrackerLink | null>>();
    for (const address of this.#order()) {
      const dial = dialTracker(address, { identity, trust, signal }).catch((error: unknown) => {
        errors.push(toMtError(error));
        return null;
      });
      const settled = dial.finally(() => running.delete(settled));
      running.add(settled);
      const link = await Promise.race([settled, sleep(HEDGE_MS, null, { ref: false })]);
      if (link) return this.#win(link, losers, running);
      if (signal.aborted) break;
    }
    while (running.size > 0) {
      const link = await Promise.race(running);
      if (link) return this.#win(link, losers, running);
    }
    if (!this.#closing.signal.aborted) this.#failRound(errors);
    return null;
  }

  #win(link: TrackerLink, losers: AbortController, running: Set<Promise<TrackerLink | null>>): TrackerLink {
    for (const other of running) void other.then((late) => late !== link && late?.rpc.close());
    losers.abort();
    return link;
  }

  #failRound(errors: readonly MtError[]): void {
    const telling = errors.find((error) => isMtError(error, 'UNTRUSTED_CLUSTER', 'PROTOCOL_VERSION'));
    const trackers = this.#options.candidates().map(formatAddress).join(', ');
    this.#lastError =
      telling ??
      new MtError(
        'TRACKER_UNREACHABLE',
        `None of the trackers (${trackers}) can be reached`,
        'Start them (mt-trackerd <tracker_info_file> <number>), or check the tracker info file of mt-peerd.',
      );
    if (telling) for (const waiter of [...this.#waiters]) waiter.reject(telling);
  }

  /** Publishes the link and waits for its end. */
  async #hold(link: TrackerLink): Promise<void> {
    this.#link = link;
    this.#avoided = null;
    this.#options.onLink(link);
    for (const waiter of [...this.#waiters]) waiter.resolve(link);
    const why = await link.rpc.closed;
    this.#link = null;
    this.#avoided = formatAddress(link.address);
    this.#lastError = why;
    this.#options.onLink(null);
  }

  async #pause(failedRounds: number): Promise<void> {
    const max = this.#waiters.size > 0 ? BACKOFF_WANTED_MS_MAX : BACKOFF_IDLE_MS_MAX;
    const backoffMs = Math.min(max, BACKOFF_MS_MIN * 2 ** Math.min(failedRounds, 16));
    this.#wake = new AbortController();
    const wanted = AbortSignal.any([this.#wake.signal, this.#closing.signal]);
    const pauseMs = backoffMs * (0.5 + Math.random());
    await sleep(pauseMs, null, { signal: wanted }).catch(() => {});
    // Woken by a command right after a round: the round is not repeated at once.
    if (wanted.aborted) await sleep(BACKOFF_MS_MIN, null, { signal: this.#closing.signal }).catch(() => {});
    this.#wake = null;
  }

  #order(): Address[] {
    const order = [...this.#options.candidates()];
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order.sort(
      (a, b) => Number(formatAddress(a) === this.#avoided) - Number(formatAddress(b) === this.#avoided),
    );
  }
}

function cancelled(): MtError {
  return new MtError('CANCELLED', 'No longer waiting for a tracker');
}
