// Whom one download dials: every peer that the trackers name, again after a while when it cannot be reached or says no, never
// itself, never a banned one. Keeps the ticket fresh, and knows in words why nobody is connected.
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import type { PeerInfo } from '../../codec/tracker-rpc.ts';
import { dial } from '../peer/dial.ts';
import type { PeerLink } from '../peer/link.ts';
import type { FileRef, LocatedFile, TrackerPort } from './types.ts';

/** Links that one download keeps: more sources than that bring no speed. */
const LINKS_MAX = 100;
/** Attempts under way at once. */
const DIALS_MAX = 24;
const RETRY_MS_MIN = 200;
/** While a source may be restarting, it is used again within this time … */
const RETRY_MS_SOON = 1_000;
const SOON_ATTEMPTS = 12;
/** … later less often; the trackers' news bring it back at once anyway. */
const RETRY_MS_MAX = 15_000;
/** Before a ticket ends, and at most so often. */
const RENEW_AHEAD_MS = 60_000;
const RENEW_PAUSE_MS = 1_000;
/** With nobody to dial, the trackers are asked again: their news may have been lost, and whether they answer is worth knowing. */
const ASK_AGAIN_MS = 3_000;
/** Less and less often: many downloads may wait for days. */
const ASK_AGAIN_MS_MAX = 30_000;
/** A tracker with a quorum answers in milliseconds; without one it would keep us waiting for its own patience. */
const ASK_MS_MAX = 3_000;
/** After a new epoch, holders renew spread over this time: seeders wait 10 s. */
const RENEW_SPREAD_MS = 2_000;

interface Source {
  info: PeerInfo;
  /** The trackers name it. */
  isNamed: boolean;
  state: 'idle' | 'dialling' | 'linked';
  attempts: number;
  /** On the clock of performance.now(). */
  retryAtMs: number;
  /** Why the last attempt or link failed. */
  error: MtError | null;
  cancel: (() => void) | null;
}

export interface SourcesOptions {
  readonly file: FileRef;
  readonly manifestHash: Uint8Array;
  readonly context: SecureContext;
  readonly ownFingerprint: string;
  /** Only this user's daemons. */
  readonly onlyUser: string | null;
  readonly trackers: TrackerPort;
  readonly isBanned: (fingerprint: string) => boolean;
  readonly onLink: (link: PeerLink) => void;
  /** A fresh ticket: open links are to show it. */
  readonly onTicket: (ticket: Uint8Array) => void;
  /** The trackers refuse for good: the file or the membership is gone. */
  readonly onRefused: (error: MtError) => void;
  readonly log: Logger;
}

export class Sources {
  readonly #options: SourcesOptions;
  readonly #sources = new Map<string, Source>();
  readonly #stop = new AbortController();
  #ticket: { bytes: Uint8Array; expiresAtMs: number } | null = null;
  #renewing = false;
  #renewAtMs = 0;
  #renewedAtMs = -Infinity;
  #locateError: MtError | null = null;
  #askAgainMs = ASK_AGAIN_MS;
  readonly #timer: NodeJS.Timeout;

  /** @param located what the trackers said already, if they did. */
  constructor(options: SourcesOptions, located: LocatedFile | null) {
    this.#options = options;
    this.#timer = setInterval(() => this.#work(), RETRY_MS_MIN);
    this.#timer.unref();
    if (located) this.#take(located);
    options.trackers.watchFile(options.file, (event) => this.#onNews(event), this.#stop.signal);
    this.#work();
  }

  /** Peers that could be sources. */
  get known(): number {
    return this.#sources.size - this.banned;
  }

  /** Named by the trackers, and no longer asked. */
  get banned(): number {
    let count = 0;
    for (const fingerprint of this.#sources.keys()) if (this.#options.isBanned(fingerprint)) count++;
    return count;
  }

  /** Whether the trackers have said which peers there are. */
  get isAsked(): boolean {
    return this.#ticket !== null;
  }

  /** The trackers' last word when they could not be asked for a ticket. */
  get locateError(): MtError | null {
    return this.#locateError;
  }

  /** Why those who are not linked are not: the first error of a kind. */
  errors(): MtError[] {
    return [...this.#sources.values()].flatMap(({ state, error, info }) =>
      state === 'linked' || !error || this.#options.isBanned(info.fingerprint) ? [] : [error],
    );
  }

  /** A download link ended. */
  lost(link: PeerLink, error: MtError): void {
    const source = this.#sources.get(link.fingerprint);
    if (!source) return;
    source.state = 'idle';
    if (source.isNamed) this.#failed(source, error);
    else this.#sources.delete(link.fingerprint);
  }

  /** Tickets of an older epoch run out in seconds. */
  renewSoon(): void {
    this.#renewAtMs = Math.min(this.#renewAtMs, Date.now() + Math.random() * RENEW_SPREAD_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#stop.abort();
    for (const source of this.#sources.values()) source.cancel?.();
    this.#sources.clear();
  }

  #onNews(event: { reset: boolean; up: PeerInfo[]; down: string[]; removed: boolean }): void {
    if (this.#stop.signal.aborted) return;
    if (event.removed) {
      this.#renew();
      return;
    }
    if (event.reset) {
      const named = new Set(event.up.map(({ fingerprint }) => fingerprint));
      for (const fingerprint of [...this.#sources.keys()]) if (!named.has(fingerprint)) this.#forget(fingerprint);
    }
    for (const fingerprint of event.down) this.#forget(fingerprint);
    for (const peer of event.up) this.#add(peer, true);
    this.#work();
  }

  #add(info: PeerInfo, isNews: boolean): void {
    const { ownFingerprint, onlyUser } = this.#options;
    if (info.fingerprint === ownFingerprint || (onlyUser !== null && info.user_id !== onlyUser)) return;
    const source = this.#sources.get(info.fingerprint);
    if (!source) {
      this.#sources.set(info.fingerprint, {
        info,
        isNamed: true,
        state: 'idle',
        attempts: 0,
        retryAtMs: 0,
        error: null,
        cancel: null,
      });
      return;
    }
    const hasMoved = source.info.address.host !== info.address.host || source.info.address.port !== info.address.port;
    source.info = info;
    source.isNamed = true;
    if (!isNews && !hasMoved) return;
    // It came (back) online: now, not when the pause of its last failure is over.
    source.attempts = 0;
    source.retryAtMs = 0;
    if (hasMoved && source.state === 'dialling') source.cancel?.();
  }

  /** No longer named by the trackers. A link that is open goes on: its other side decides, and with it the source is forgotten. */
  #forget(fingerprint: string): void {
    const source = this.#sources.get(fingerprint);
    if (!source) return;
    source.isNamed = false;
    if (source.state === 'linked') return;
    source.cancel?.();
    this.#sources.delete(fingerprint);
  }

  #work(): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#ticket || this.#mustAskAgain() || Date.now() >= this.#renewAtMs) this.#renew();
    if (!this.#ticket || Date.now() > this.#ticket.expiresAtMs) return;
    const nowMs = performance.now();
    const all = [...this.#sources.values()];
    let dialling = all.filter(({ state }) => state === 'dialling').length;
    const linked = all.filter(({ state }) => state === 'linked').length;
    const due = all.filter((source) => source.state === 'idle' && source.retryAtMs <= nowMs);
    // Complete ones first: they can always help.
    due.sort((a, b) => Number(b.info.complete) - Number(a.info.complete));
    for (const source of due) {
      if (dialling >= DIALS_MAX || linked + dialling >= LINKS_MAX) return;
      if (this.#options.isBanned(source.info.fingerprint)) continue;
      dialling++;
      this.#dial(source, this.#ticket.bytes);
    }
  }

  #mustAskAgain(): boolean {
    if (this.#sources.size > 0) {
      this.#askAgainMs = ASK_AGAIN_MS;
      return false;
    }
    if (performance.now() - this.#renewedAtMs < this.#askAgainMs) return false;
    this.#askAgainMs = Math.min(ASK_AGAIN_MS_MAX, 2 * this.#askAgainMs);
    return true;
  }

  #dial(source: Source, ticket: Uint8Array): void {
    const { file, manifestHash, context, onLink } = this.#options;
    const peer = source.info;
    source.state = 'dialling';
    source.attempts++;
    source.cancel = dial(
      { peer, context, ...file, manifestHash, ticket },
      (link) => {
        source.cancel = null;
        if (this.#sources.get(peer.fingerprint) !== source) return link.close();
        source.state = 'linked';
        source.error = null;
        source.attempts = 0;
        onLink(link);
      },
      (error) => {
        source.cancel = null;
        source.state = 'idle';
        this.#failed(source, error);
      },
    );
  }

  #failed(source: Source, error: MtError): void {
    source.error = error;
    const most = source.attempts < SOON_ATTEMPTS ? RETRY_MS_SOON : RETRY_MS_MAX;
    const pauseMs = Math.min(most, RETRY_MS_MIN * 2 ** Math.min(source.attempts, 10));
    source.retryAtMs = performance.now() + pauseMs * (0.5 + Math.random() / 2);
    // Perhaps only the ticket is stale: a new epoch that we have not heard of yet.
    if (isMtError(error, 'FORBIDDEN')) this.#renewAtMs = 0;
    const { fileName } = this.#options.file;
    this.#options.log.debug({ file: fileName, user: source.info.user_id, code: error.code }, error.message);
  }

  #renew(): void {
    if (this.#renewing || performance.now() - this.#renewedAtMs < RENEW_PAUSE_MS) return;
    this.#renewing = true;
    this.#renewedAtMs = performance.now();
    const { trackers, file } = this.#options;
    trackers
      .locateFile(file, { signal: this.#stop.signal, timeoutMs: ASK_MS_MAX })
      .then((located) => {
        this.#locateError = null;
        this.#take(located);
      })
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        this.#locateError = toMtError(error);
        const isFinal = isMtError(error, 'NO_SUCH_FILE', 'NO_SUCH_GROUP', 'NOT_MEMBER');
        if (isFinal) this.#options.onRefused(error);
      })
      .finally(() => {
        this.#renewing = false;
        this.#work();
      });
  }

  #take(located: LocatedFile): void {
    const { manifestHash, onRefused, onTicket, file } = this.#options;
    if (Buffer.compare(located.file.manifest_hash, manifestHash) !== 0) {
      onRefused(new MtError('NO_SUCH_FILE', `"${file.fileName}" was removed, and another file has its name now`));
      return;
    }
    this.#ticket = { bytes: located.ticket, expiresAtMs: located.ticket_expires_at };
    this.#renewAtMs = located.ticket_expires_at - RENEW_AHEAD_MS;
    for (const peer of located.peers) this.#add(peer, false);
    onTicket(located.ticket);
  }
}
