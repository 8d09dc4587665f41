// The daemon's way to the trackers: commands exactly once over failovers, reads, listings, watches that keep themselves alive.
// Owns the request ids and the decision what an unanswered command means; which tracker it talks to is the connector's.
//
//   no tracker could be reached            → TRACKER_UNREACHABLE
//   reached, but nobody could take it      → NO_QUORUM
//   it may have been taken, no answer came → OUTCOME_UNKNOWN
import { setTimeout as sleep } from 'node:timers/promises';
import { isMtError, MtError } from '../codec/errors.ts';
import type { TlsIdentity } from '../codec/identity.ts';
import { type Address, formatAddress } from '../codec/ids.ts';
import { PAGE_ITEMS_MAX } from '../codec/limits.ts';
import type { EventOf, Params, Result } from '../codec/rpc.ts';
import type { RequestId, TrackerApi } from '../codec/tracker-rpc.ts';
import type { SettingsStore } from './store/settings-store.ts';
import { TrackerConnector } from './trackers/connector.ts';
import type { TrackerLink } from './trackers/link.ts';
import { RequestIds } from './trackers/request-ids.ts';
import type { ClusterTrust } from './trackers/trust.ts';

/** How long a command waits for a quorum unless the user says otherwise. */
export const COMMAND_MS_DEFAULT = 10_000;
/** One tracker gets this long; then another one is asked, under the same request id. */
const ATTEMPT_MS_MAX = 3_000;
/** A tracker's own "no quorum" at its deadline may still arrive. */
const GRACE_MS = 250;
const RETRY_MS = 60;

type MethodsWith<P> = { [M in keyof TrackerApi]: Params<TrackerApi, M> extends P ? M : never }[keyof TrackerApi];
export type CommandMethod = MethodsWith<{ request: RequestId }>;
export type WatchMethod = 'watch_file' | 'watch_session';
export type ListMethod = MethodsWith<{ after: string | null }>;
export type ReadMethod = Exclude<keyof TrackerApi, CommandMethod | WatchMethod | ListMethod | 'register_client'>;
/** Without what the client adds by itself. */
export type CommandParams<M extends CommandMethod> = Omit<Params<TrackerApi, M>, 'request' | 'session'>;
export type ReadParams<M extends keyof TrackerApi> = Omit<Params<TrackerApi, M>, 'session' | 'after' | 'limit'>;
type RowsOf<R> = { [K in keyof R]: R[K] extends readonly unknown[] ? R[K] : never }[Exclude<keyof R, 'next'>];

export interface CallSettings {
  /** From now to the answer; default COMMAND_MS_DEFAULT. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Instead of the session that is logged in here: the outbox speaks for sessions that have ended. */
  readonly session?: string;
}
export interface CommandSettings extends CallSettings {
  /** The outbox brings its own id, which outlives this process. */
  readonly request?: RequestId;
  /** Called before the command leaves for the first time: from now on its fate can be unknown. */
  readonly onSend?: () => void;
}

export interface TrackerClientOptions {
  readonly identity: TlsIdentity;
  readonly trust: ClusterTrust;
  readonly settings: SettingsStore;
  /** From the tracker info file: where the cluster started. */
  readonly addresses: readonly Address[];
  /** A tracker answers, or none does any more. */
  readonly onLink?: (link: TrackerLink | null) => void;
}

interface Attempts {
  readonly method: string;
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  /** A tracker may have taken it. */
  uncertain: boolean;
  /** Why the last attempt failed. */
  lastError: MtError | null;
}

export class TrackerClient {
  readonly identity: TlsIdentity;
  readonly #options: TrackerClientOptions;
  readonly #connector: TrackerConnector;
  readonly #closing = new AbortController();
  #requests: Promise<RequestIds> | null = null;
  #session: string | null = null;

  constructor(options: TrackerClientOptions) {
    this.identity = options.identity;
    this.#options = options;
    this.#connector = new TrackerConnector({
      identity: options.identity,
      trust: options.trust,
      candidates: () => this.#candidates(),
      onLink: (link) => options.onLink?.(link),
    });
    this.#connector.start();
  }

  /** The session that calls are made under; null: nobody is logged in. */
  setSession(token: string | null): void {
    this.#session = token;
  }

  /** The tracker that serves us now. */
  get tracker(): { address: Address; number: number } | null {
    const link = this.#connector.current;
    return link && { address: link.address, number: link.hello.number };
  }

  /** Why no tracker is connected; null while one is. */
  get linkError(): MtError | null {
    return this.#connector.lastError;
  }

  /**
   * One logged command, applied at most once however often it is sent.
   * @throws MtError as the trackers decided; TRACKER_UNREACHABLE, NO_QUORUM or OUTCOME_UNKNOWN at the deadline;
   * UNTRUSTED_CLUSTER at once; NOT_LOGGED_IN without a session.
   */
  async command<M extends CommandMethod>(
    method: M,
    params: CommandParams<M>,
    settings: CommandSettings = {},
  ): Promise<Result<TrackerApi, M>> {
    const session = method === 'login' || method === 'create_user' ? {} : { session: this.#requireSession(settings) };
    const attempts = this.#begin(method, settings);
    const own = settings.request ? null : await this.#takeId(attempts);
    try {
      return await this.#repeat(attempts, (link, timeoutMs) => {
        const request = settings.request ?? own!.ids.requestId(own!.seq);
        if (!attempts.uncertain) settings.onSend?.();
        const full = { request, ...session, ...params } as unknown as Params<TrackerApi, M>;
        return link.rpc.call(method, full, { timeoutMs, graceMs: GRACE_MS, signal: attempts.signal });
      });
    } catch (error) {
      if (isMtError(error, 'CLIENT_EXPIRED') && own) {
        this.#requests = null;
        if (!attempts.uncertain) return this.command(method, params, settings);
        throw outcomeUnknown(method);
      }
      throw error;
    } finally {
      own?.ids.release(own.seq);
    }
  }

  /** One read, answered by a tracker that is up to date. @throws MtError as `command`, but never OUTCOME_UNKNOWN. */
  async read<M extends ReadMethod>(
    method: M,
    params: ReadParams<M>,
    settings: CallSettings = {},
  ): Promise<Result<TrackerApi, M>> {
    const isOpen = method === 'tracker_status' || method === 'read_clocks';
    const session = isOpen ? {} : { session: this.#requireSession(settings) };
    const full = { ...session, ...params } as unknown as Params<TrackerApi, M>;
    return this.#read(method, full, this.#begin(method, settings));
  }

  /** A whole listing, page after page. */
  async listAll<M extends ListMethod>(
    method: M,
    params: ReadParams<M>,
    settings: CallSettings = {},
  ): Promise<RowsOf<Result<TrackerApi, M>>> {
    const session = this.#requireSession(settings);
    const attempts = this.#begin(method, settings);
    const rows: unknown[] = [];
    let after: string | null = null;
    do {
      const full = { session, after, limit: PAGE_ITEMS_MAX, ...params } as unknown as Params<TrackerApi, M>;
      const page: Result<TrackerApi, M> = await this.#read(method, full, attempts);
      const { next, ...listed } = page as { next: string | null };
      rows.push(...(Object.values(listed)[0] as unknown[]));
      after = next;
    } while (after !== null);
    return rows as RowsOf<Result<TrackerApi, M>>;
  }

  /**
   * Streams news until `signal` aborts, over failovers; after each reconnect the first event has `reset`.
   * @returns when aborted. @throws MtError when the trackers refuse it (NOT_LOGGED_IN, NO_SUCH_FILE, NOT_MEMBER …).
   */
  async watch<M extends WatchMethod>(
    method: M,
    params: ReadParams<M>,
    onEvent: (event: EventOf<TrackerApi, M>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const session = this.#requireSession({});
    const full = { session, ...params } as unknown as Params<TrackerApi, M>;
    const either = AbortSignal.any([signal, this.#closing.signal]);
    while (!either.aborted) {
      try {
        const link = await this.#connector.link(either);
        await link.rpc.call(method, full, { signal: either, onEvent });
      } catch (error) {
        if (either.aborted) return;
        if (!isRetryable(error) && !isMtError(error, 'UNTRUSTED_CLUSTER', 'PROTOCOL_VERSION')) throw error;
      }
      await sleep(RETRY_MS * (0.5 + Math.random()), null, { ref: false });
    }
  }

  /** The cluster's members, as a tracker told: remembered over restarts, tried first. */
  setMembers(members: readonly { number: number; address: Address }[]): void {
    // Told again with each new stream: written when it is news, so that a full disk does not matter.
    const isNews = JSON.stringify(members) !== JSON.stringify(this.#options.settings.get('members'));
    if (members.length > 0 && isNews) this.#options.settings.set('members', [...members]);
  }

  /** The cluster's members as far as this daemon knows: as a tracker told last, else as the tracker info file began. */
  members(): readonly { number: number; address: Address }[] {
    const told = this.#options.settings.get('members');
    return told ?? this.#options.addresses.map((address, index) => ({ number: index + 1, address }));
  }

  /** A new exactly-once client, for a caller that keeps its own numbers. */
  async registerClient(settings: CallSettings): Promise<string> {
    const { client_id } = await this.#read('register_client', {}, this.#begin('register_client', settings));
    return client_id;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connector.close();
  }

  #candidates(): Address[] {
    const known = new Map<string, Address>();
    for (const { address } of this.#options.settings.get('members') ?? []) known.set(formatAddress(address), address);
    for (const address of this.#options.addresses) known.set(formatAddress(address), address);
    return [...known.values()];
  }

  #requireSession(settings: CallSettings): string {
    const session = settings.session ?? this.#session;
    if (session === null) throw notLoggedIn();
    return session;
  }

  #begin(method: string, { timeoutMs = COMMAND_MS_DEFAULT, signal }: CallSettings): Attempts {
    const signals = [this.#closing.signal, ...(signal ? [signal] : [])];
    const deadlineMs = performance.now() + timeoutMs;
    return { method, signal: AbortSignal.any(signals), deadlineMs, uncertain: false, lastError: null };
  }

  async #takeId(attempts: Attempts): Promise<{ ids: RequestIds; seq: number }> {
    const registering =
      this.#requests ?? this.#read('register_client', {}, attempts).then(({ client_id }) => new RequestIds(client_id));
    this.#requests = registering;
    try {
      const ids = await registering;
      return { ids, seq: ids.take() };
    } catch (error) {
      if (this.#requests === registering) this.#requests = null;
      throw error;
    }
  }

  /** A call that may be repeated freely: nothing is ever unknown about it. */
  #read<M extends ReadMethod | ListMethod | 'register_client'>(
    method: M,
    full: Params<TrackerApi, M>,
    attempts: Attempts,
  ): Promise<Result<TrackerApi, M>> {
    return this.#repeat(attempts, async (link, timeoutMs) => {
      const answer = await link.rpc.call(method, full, { timeoutMs, graceMs: GRACE_MS, signal: attempts.signal });
      attempts.uncertain = false;
      return answer;
    }).catch((error: unknown) => {
      throw isMtError(error, 'OUTCOME_UNKNOWN') ? noQuorum() : error;
    });
  }

  /** Tries one tracker after the other until one gives a final answer or the deadline passes. */
  async #repeat<T>(attempts: Attempts, send: (link: TrackerLink, timeoutMs: number) => Promise<T>): Promise<T> {
    for (;;) {
      const link = await this.#linkBefore(attempts);
      const leftMs = Math.ceil(attempts.deadlineMs - performance.now());
      if (leftMs <= 0) throw this.#verdict(attempts);
      try {
        return await send(link, Math.min(ATTEMPT_MS_MAX, leftMs));
      } catch (error) {
        if (attempts.signal.aborted || !isRetryable(error)) throw error;
        attempts.lastError = error;
        if (isMtError(error, 'CLOSED', 'TIMEOUT', 'OUTCOME_UNKNOWN')) attempts.uncertain = true;
        if (isMtError(error, 'NO_QUORUM', 'TIMEOUT', 'OUTCOME_UNKNOWN')) this.#connector.leave(link, error);
      }
      if (performance.now() >= attempts.deadlineMs) throw this.#verdict(attempts);
      // A link that broke is replaced at once; a cluster that cannot answer is not hammered.
      if (!isMtError(attempts.lastError, 'CLOSED')) await sleep(RETRY_MS * (0.5 + Math.random()));
    }
  }

  async #linkBefore(attempts: Attempts): Promise<TrackerLink> {
    const leftMs = Math.max(0, attempts.deadlineMs - performance.now());
    const signal = AbortSignal.any([attempts.signal, AbortSignal.timeout(Math.ceil(leftMs))]);
    try {
      return await this.#connector.link(signal);
    } catch (error) {
      if (isMtError(error, 'CANCELLED') && !attempts.signal.aborted) throw this.#verdict(attempts);
      if (attempts.uncertain) throw outcomeUnknown(attempts.method);
      throw error;
    }
  }

  #verdict(attempts: Attempts): MtError {
    if (attempts.uncertain) return outcomeUnknown(attempts.method);
    if (attempts.lastError) return noQuorum();
    const why = this.#connector.lastError;
    if (why && !isMtError(why, 'CLOSED')) return why;
    return new MtError('TRACKER_UNREACHABLE', 'No tracker answered in time', 'Look at: mt tracker_status');
  }
}

/** Says nothing about the command itself: another tracker, or the same one later, may answer. */
function isRetryable(error: unknown): error is MtError {
  return isMtError(error, 'CLOSED', 'TIMEOUT', 'NO_QUORUM', 'OVERLOADED', 'OUTCOME_UNKNOWN', 'TRACKER_UNREACHABLE');
}

export function notLoggedIn(): MtError {
  return new MtError('NOT_LOGGED_IN', 'Nobody is logged in at this daemon', 'Run: mt login <user_id>');
}

function noQuorum(): MtError {
  return new MtError(
    'NO_QUORUM',
    'The trackers cannot decide now: fewer than a majority of them is up and connected',
    'Look at: mt tracker_status. Nothing was changed; try again later.',
  );
}

function outcomeUnknown(method: string): MtError {
  return new MtError(
    'OUTCOME_UNKNOWN',
    `${method} was sent, but no tracker answered in time: it may or may not have taken effect`,
    'Look (mt status, mt list_groups, mt list_files …) before you repeat it.',
  );
}
