// What a seeder does about news that it may have missed: tickets are checked offline, and who logged out, left or was revoked is
// told by a stream; while that is broken nobody tells. So after each gap the trackers are asked about everyone who is connected,
// and about whoever shows a ticket from before it. Without trackers a ticket holds until it expires.
import { setTimeout as sleep } from 'node:timers/promises';
import { MtError } from '../../codec/errors.ts';
import type { Ticket } from '../../codec/ticket.ts';
import type { TrackerPort } from '../download/types.ts';
import type { Holder, Revocation, Revocations } from './revocations.ts';

/** A peer that knocks waits so long for the trackers' word at most. */
const ASK_MS_MAX = 2_000;
const RETRY_MS = 300;
/** Holders asked about at once, and remembered; a daemon has fewer peers. */
const HOLDERS_MAX = 1_000;

export type Standing = 'valid' | 'logged_out' | 'left';

export class Holders {
  readonly #trackers: TrackerPort;
  readonly #revocations: Revocations;
  readonly #cut: (revocation: Revocation) => void;
  /** Unix ms: when the stream began anew the last time. What happened before may not have been told. */
  #gapEndedAtMs = 0;
  /** The trackers' word on tickets from before that. */
  readonly #known = new Map<string, Promise<Standing | null>>();
  #asking = new AbortController();

  constructor(trackers: TrackerPort, revocations: Revocations, cut: (revocation: Revocation) => void) {
    this.#trackers = trackers;
    this.#revocations = revocations;
    this.#cut = cut;
  }

  /** The stream of news begins anew: asks about all who are connected, until the trackers answer or it begins anew again. */
  onGap(connected: readonly Holder[], nowMs: number): void {
    this.#asking.abort();
    this.#asking = new AbortController();
    this.#gapEndedAtMs = nowMs;
    this.#known.clear();
    const unique = [...new Map(connected.map((holder) => [keyOf(holder), holder])).values()];
    for (let at = 0; at < unique.length; at += HOLDERS_MAX) {
      void this.#askUntilAnswered(unique.slice(at, at + HOLDERS_MAX), this.#asking.signal);
    }
  }

  /**
   * Before a ticket counts: what was missed about its holder is made up for. One who was logged out and is back, under the same key
   * and user, is welcome at once, whatever the clocks say about the age of the ticket.
   * @throws MtError FORBIDDEN when the trackers say so.
   */
  async confirm(ticket: Ticket): Promise<void> {
    const holder = { userId: ticket.user_id, fingerprint: ticket.fingerprint, groupId: ticket.group_id };
    const age = { epoch: ticket.epoch, madeAtMs: ticket.not_before };
    const isRevoked = this.#revocations.isRevoked(holder, age);
    if ((!isRevoked && age.madeAtMs > this.#gapEndedAtMs) || this.#trackers.linkError()) return;
    const key = keyOf(holder);
    // A revocation is asked about each time; once is enough for the rest.
    if (isRevoked || !this.#known.has(key)) {
      if (this.#known.size >= HOLDERS_MAX) this.#known.clear();
      this.#known.set(key, this.#ask([holder]));
    }
    const standing = await this.#known.get(key);
    if (standing === null) this.#known.delete(key);
    else if (standing !== 'valid') throw new MtError('FORBIDDEN', 'The ticket is no longer valid');
  }

  /** The session is over: nobody can be asked, until the news of the next one begin. */
  close(): void {
    this.#asking.abort();
  }

  async #askUntilAnswered(holders: readonly Holder[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await this.#ask(holders, signal)) === null) {
      await sleep(RETRY_MS, null, { signal, ref: false }).catch(() => {});
    }
  }

  /** @returns the standing of the first one; null: the trackers did not answer, and nothing changed. */
  async #ask(holders: readonly Holder[], signal = this.#asking.signal): Promise<Standing | null> {
    let standings: readonly Standing[];
    try {
      standings = await this.#trackers.checkHolders(holders, { timeoutMs: ASK_MS_MAX, signal });
    } catch {
      return null;
    }
    for (const [at, { userId, fingerprint, groupId }] of holders.entries()) {
      const standing = standings[at];
      if (standing === 'logged_out') this.#cut({ userId, fingerprint, groupId: null });
      else if (standing === 'left') this.#cut({ userId, fingerprint: null, groupId });
      else if (standing === 'valid') this.#revocations.lift({ userId, fingerprint, groupId });
    }
    return standings[0] ?? null;
  }
}

function keyOf({ userId, fingerprint, groupId }: Holder): string {
  return `${userId}/${fingerprint}/${groupId}`;
}
