// Who is logged in at this daemon: login, logout, being resumed after a restart or a lost lease, heartbeats, and the stream of
// news that ends shares and cuts transfers. Owns the session token; what the news mean for content is the data plane's part.
//
//   none ──login──▶ logged in ──logout, or ended elsewhere──▶ none
//                    │   ▲
//     lease ran out  └───┘ resume (also after a restart)
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isMtError, MtError, toMtError } from '../codec/errors.ts';
import type { Address } from '../codec/ids.ts';
import { HEARTBEAT_MS, PARTIALS_MAX } from '../codec/limits.ts';
import type { EventOf } from '../codec/rpc.ts';
import type { TrackerApi } from '../codec/tracker-rpc.ts';
import { announceShares, forgetRemoved } from './announcer.ts';
import { isDiskFull } from './disk/disk-error.ts';
import type { DataPlaneEvents, Downloads } from './download/types.ts';
import type { Outbox } from './outbox.ts';
import type { Shares } from './share.ts';
import type { SettingsStore, StoredSession } from './store/settings-store.ts';
import type { Sqlite } from './store/store.ts';
import { notLoggedIn, type TrackerClient } from './tracker-client.ts';

const RESUME_RETRY_MS = 500;
/** After the trackers ended the stream of news with an error that should not be. */
const FOLLOW_RETRY_MS = 1_000;
/** After a gap in the news, shares are compared within this time: not by all daemons in the moment of a failover. */
const COMPARE_MS_MAX = 30_000;
const BEAT_SOON_MS = 300;
/** A stop waits so long for the trackers to hear of it; else the lease runs out as after a kill. */
const GOODBYE_MS_MAX = 1_000;

type SessionNews = EventOf<TrackerApi, 'watch_session'>;

export interface SessionParts {
  readonly db: Sqlite;
  readonly settings: SettingsStore;
  readonly client: TrackerClient;
  readonly shares: Shares;
  readonly outbox: Outbox;
  /** Where peers reach this daemon. */
  readonly address: Address;
  readonly dataPlane: DataPlaneEvents & Pick<Downloads, 'partials'>;
  readonly log: Logger;
}

export class Session {
  readonly #parts: SessionParts;
  readonly #epochs = new Map<string, number>();
  #current: StoredSession | null;
  /** Ends everything that runs for the current session. */
  #run = new AbortController();
  /** Presence epoch; null: not online, as far as we know. */
  #epoch: number | null = null;
  /** Shares are about to be compared with what the trackers list. */
  #comparing: NodeJS.Timeout | null = null;
  /** Aborted: a heartbeat is due before its time. */
  #early = new AbortController();
  /** A login under way may replace the very session whose end is being reported. */
  #login: Promise<unknown> = Promise.resolve();

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#current = parts.settings.get('session');
  }

  get userId(): string | null {
    return this.#current?.userId ?? null;
  }

  get token(): string | null {
    return this.#current?.token ?? null;
  }

  /** The newest epoch known of a group; null when no tracker told it yet. */
  groupEpoch(groupId: string): number | null {
    return this.#epochs.get(groupId) ?? null;
  }

  /** Goes on where the last process stopped, without waiting for trackers. */
  start(): void {
    if (this.#current) this.#enter(this.#current, null);
  }

  /** @throws MtError ALREADY_LOGGED_IN with another user; BAD_CREDENTIALS and the like as the trackers decided. */
  async login(userId: string, password: string, timeoutMs?: number): Promise<void> {
    const before = this.#login;
    const login = before.catch(() => {}).then(() => this.#logIn(userId, password, timeoutMs));
    this.#login = login;
    await login;
  }

  /**
   * Ends sharing here at once; the trackers hear of it now, or later from the outbox.
   * @throws MtError NOT_LOGGED_IN; or why the trackers do not know yet.
   */
  async logout(timeoutMs?: number): Promise<void> {
    const { db, settings, outbox, log } = this.#parts;
    const session = this.#current;
    if (!session) throw notLoggedIn();
    const row = db.transaction(() => {
      settings.delete('session');
      return outbox.add({ session: session.token, method: 'logout', userId: session.userId, file: null });
    })();
    this.#leave();
    log.info({ user: session.userId }, 'logged out');
    try {
      await outbox.wait(row, { withdrawable: false, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    } catch (caught) {
      const error = toMtError(caught);
      if (error.code === 'NOT_LOGGED_IN') return;
      throw new MtError(
        error.code,
        `This daemon is logged out and shares nothing, but the trackers do not know yet: ${error.message}`,
        'The daemon tells them as soon as it can.',
      );
    }
  }

  /** The session stays; the daemon is offline from now on, and the trackers hear of it. */
  async close(): Promise<void> {
    const { client, log } = this.#parts;
    this.#run.abort();
    const epoch = this.#epoch;
    this.#epoch = null;
    if (epoch === null || client.tracker === null) return;
    await client.read('goodbye', { epoch }, { timeoutMs: GOODBYE_MS_MAX }).catch((error: unknown) => {
      log.debug({ code: toMtError(error).code }, 'the trackers did not hear that this daemon stops');
    });
  }

  async #logIn(userId: string, password: string, timeoutMs: number | undefined): Promise<void> {
    const { client, settings, address, log } = this.#parts;
    if (this.#current && this.#current.userId !== userId) {
      throw new MtError(
        'ALREADY_LOGGED_IN',
        `${this.#current.userId} is logged in at this daemon`,
        'Run: mt logout. Or start a second daemon for the second user (mt-peerd … --data-dir DIR --socket PATH).',
      );
    }
    const wait = timeoutMs === undefined ? {} : { timeoutMs };
    const { session, epoch } = await client.command('login', { user_id: userId, password, address }, wait);
    const current = { userId, token: session };
    settings.set('session', current);
    this.#enter(current, epoch);
    log.info({ user: userId }, 'logged in');
  }

  /** `epoch` null: the trackers are to be asked to take the session up again. */
  #enter(session: StoredSession, epoch: number | null): void {
    this.#run.abort();
    this.#run = new AbortController();
    this.#current = session;
    this.#epochs.clear();
    this.#parts.client.setSession(session.token);
    this.#parts.shares.setSession(session);
    this.#parts.dataPlane.onSession(session.userId);
    const { signal } = this.#run;
    this.#guard(session, this.#stayOnline(session, epoch, signal), signal);
    this.#guard(session, this.#follow(signal), signal);
  }

  #leave(): void {
    this.#run.abort();
    this.#current = null;
    this.#epoch = null;
    this.#epochs.clear();
    this.#parts.client.setSession(null);
    this.#parts.dataPlane.onSession(null);
    this.#parts.shares.setSession(null);
  }

  /** The trackers no longer know this session: logged out elsewhere, revoked, or replaced. */
  async #endedElsewhere(session: StoredSession): Promise<void> {
    await this.#login.catch(() => {});
    if (this.#current?.token !== session.token) return;
    this.#parts.log.warn({ user: session.userId }, 'the session was ended by the trackers; log in again');
    this.#parts.settings.delete('session');
    this.#leave();
  }

  #guard(session: StoredSession, work: Promise<void>, signal: AbortSignal): void {
    work.catch((error: unknown) => {
      if (signal.aborted) return;
      if (isMtError(error, 'NOT_LOGGED_IN')) void this.#endedElsewhere(session);
      else this.#parts.log.error({ err: error }, 'the session cannot be kept up');
    });
  }

  async #stayOnline(session: StoredSession, firstEpoch: number | null, signal: AbortSignal): Promise<void> {
    const { client, log } = this.#parts;
    let epoch = firstEpoch;
    while (!signal.aborted) {
      if (epoch === null) {
        epoch = await this.#resume(signal);
        if (epoch === null) return;
        this.#compareIn(0);
      }
      this.#epoch = epoch;
      this.#inBackground(announceShares(this.#parts, session, signal), 'shares could not be announced');
      for (;;) {
        await this.#untilBeat(signal);
        if (signal.aborted) return;
        try {
          const { online } = await client.read('heartbeat', this.#beat(epoch), { timeoutMs: HEARTBEAT_MS, signal });
          if (!online) break;
        } catch (error) {
          if (isMtError(error, 'NOT_LOGGED_IN')) throw error;
          if (!signal.aborted) log.debug({ code: toMtError(error).code }, 'a heartbeat found no tracker');
        }
      }
      epoch = null;
    }
  }

  /** The trackers are to hear soon what can be had from here: the next heartbeat is early. */
  beatSoon(): void {
    this.#early.abort();
  }

  async #untilBeat(signal: AbortSignal): Promise<void> {
    this.#early = new AbortController();
    const either = AbortSignal.any([signal, this.#early.signal]);
    await sleep(HEARTBEAT_MS, null, { signal: either, ref: false }).catch(() => {});
    // What changes together is told together, and no stream of changes becomes one of heartbeats.
    if (this.#early.signal.aborted) await sleep(BEAT_SOON_MS, null, { signal, ref: false }).catch(() => {});
  }

  #beat(epoch: number) {
    const shortfalls = this.#parts.shares.shortfalls();
    const downloads = this.#parts.dataPlane.partials().slice(0, PARTIALS_MAX);
    // A tracker of an earlier version knows no shortfalls.
    return { epoch, downloads, ...(shortfalls.length > 0 && { shortfalls }) };
  }

  /** Online again, from the current address. Goes on until the trackers answer. */
  async #resume(signal: AbortSignal): Promise<number | null> {
    const { client, address, log } = this.#parts;
    while (!signal.aborted) {
      try {
        const { epoch, user_id } = await client.command('resume', { address }, { signal });
        log.info({ user: user_id }, 'online again');
        return epoch;
      } catch (error) {
        if (signal.aborted) return null;
        if (isMtError(error, 'NOT_LOGGED_IN')) throw error;
        log.debug({ code: toMtError(error).code }, 'the session is not resumed yet');
      }
      await sleep(RESUME_RETRY_MS * (0.5 + Math.random()), null, { signal, ref: false }).catch(() => {});
    }
    return null;
  }

  /** Hears the news until `signal` aborts: without them nobody who is thrown out would be cut off. @throws MtError NOT_LOGGED_IN */
  async #follow(signal: AbortSignal): Promise<void> {
    const session = this.#current!;
    const { client, log } = this.#parts;
    while (!signal.aborted) {
      try {
        await client.watch('watch_session', {}, (news) => this.#onNews(session, news), signal);
      } catch (error) {
        if (isMtError(error, 'NOT_LOGGED_IN')) throw error;
        if (!signal.aborted) log.error({ err: error }, 'the news of the session broke off; they are asked for again');
      }
      await sleep(FOLLOW_RETRY_MS * (0.5 + Math.random()), null, { signal, ref: false }).catch(() => {});
    }
  }

  /** Looks for shares whose file or group went while nobody told us: soon, and once for all who asked by then. */
  #compareIn(delayMs: number): void {
    const { signal } = this.#run;
    if (this.#comparing !== null && delayMs > 0) return;
    clearTimeout(this.#comparing ?? undefined);
    this.#comparing = setTimeout(() => {
      this.#comparing = null;
      if (signal.aborted) return;
      this.#inBackground(forgetRemoved(this.#parts, signal), 'shares could not be compared with the trackers');
    }, delayMs).unref();
  }

  /** Work that nobody waits for, and that a full disk may end: the next login, or the next gap in the news, does it again. */
  #inBackground(work: Promise<void>, failure: string): void {
    work.catch((error: unknown) => this.#parts.log.error({ err: error }, failure));
  }

  /** What is gone is cut off, although there is no room to note it: the next gap in the news does that. */
  #note(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#parts.log.error({ err: error }, 'a share that has ended could not be forgotten');
    }
  }

  #onNews(session: StoredSession, news: SessionNews): void {
    if (this.#current?.token !== session.token) return;
    const { shares, client, dataPlane } = this.#parts;
    if (news.trackers) client.setMembers(news.trackers);
    for (const { group_id, epoch } of news.epochs) {
      this.#epochs.set(group_id, epoch);
      dataPlane.onEpoch(group_id, epoch, news.reset);
    }
    if (news.reset) dataPlane.onGap();
    for (const { user_id, fingerprint, group_id } of news.revoked) {
      dataPlane.onRevoked({ userId: user_id, fingerprint, groupId: group_id });
    }
    for (const { group_id, file_name } of news.removed_files) {
      const file = { groupId: group_id, fileName: file_name };
      this.#note(() => shares.drop(file));
      dataPlane.onFileRemoved(file);
    }
    // All groups of the user come first: one that is not there was left while nobody could tell us. Asked again before anything is
    // forgotten, since the tracker that tells may be a moment behind. Files may have been removed as well.
    const known = new Set(news.epochs.map(({ group_id }) => group_id));
    if (news.reset)
      this.#compareIn([...shares.groups()].every((groupId) => known.has(groupId)) ? Math.random() * COMPARE_MS_MAX : 0);
    for (const groupId of news.left_groups) {
      this.#epochs.delete(groupId);
      this.#note(() => shares.dropGroup(groupId));
      dataPlane.onGroupLeft(groupId);
    }
    if (news.session_ended) void this.#endedElsewhere(session);
  }
}
