// Delivers what must outlive a crash: each command waits in SQLite with its own request id until the trackers took it.
// One at a time, oldest first, so that "share it, stop it, share it again" arrives in that order. What an answer means for
// shares is told to the owner of the row (`OutboxOwner`), inside the transaction that forgets the row.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isMtError, MtError, toMtError } from '../codec/errors.ts';
import { isDiskFull, stateError } from './disk/disk-error.ts';
import type { NewOutboxRow, OutboxRow, OutboxStore } from './store/outbox-store.ts';
import type { SettingsStore } from './store/settings-store.ts';
import { quickly, type Sqlite, syncStore } from './store/store.ts';
import { COMMAND_MS_DEFAULT, type CommandSettings, type TrackerClient } from './tracker-client.ts';

const ATTEMPT_MS_MAX = 2_500;
const RETRY_MS_MAX = 2_000;

/** What the trackers answered. */
export type Delivery = { readonly result: unknown } | { readonly error: MtError };

/** Declared here, implemented by the share registry. */
export interface OutboxOwner {
  /** The manifest or the hash that this command carries; null when the share is gone and nothing is to be said any more. */
  payload(row: OutboxRow): { manifest: Uint8Array<ArrayBuffer>; manifestHash: Uint8Array<ArrayBuffer> } | null;
  /** Called within the transaction that takes the row away. */
  delivered(row: OutboxRow, delivery: Delivery): void;
}

interface Waiter {
  readonly deadlineMs: number;
  /** Before it was sent, the caller's deadline takes the command back. */
  readonly withdrawable: boolean;
  settle(delivery: Delivery): void;
}

export interface WaitOptions {
  readonly timeoutMs?: number;
  readonly withdrawable: boolean;
}

export interface OutboxParts {
  readonly db: Sqlite;
  readonly store: OutboxStore;
  readonly settings: SettingsStore;
  readonly client: TrackerClient;
  readonly log: Logger;
}

export class Outbox {
  readonly #parts: OutboxParts;
  /**
   * Rows that may have reached a tracker. Only a caller's deadline asks, so it need not outlive this process: what the last one
   * left behind has no caller any more.
   */
  readonly #sent = new Set<number>();
  readonly #waiters = new Map<number, Waiter>();
  readonly #closing = new AbortController();
  #owner: OutboxOwner | null = null;
  #inFlight: number | null = null;
  #running: Promise<void> | null = null;
  #lastError: MtError | null = null;
  #registering: Promise<string> | null = null;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Commands that wait. */
  get size(): number {
    return this.#parts.store.count();
  }

  start(owner: OutboxOwner): void {
    this.#owner = owner;
    this.kick();
  }

  /** A command will come: what its delivery needs first is done now. */
  prepare(): void {
    this.#clientId({ timeoutMs: COMMAND_MS_DEFAULT, signal: this.#closing.signal }).catch(() => {});
  }

  /** Remembers a command; call it inside the transaction that makes it necessary, and `kick` or `wait` after that. */
  add(row: NewOutboxRow): OutboxRow {
    return this.#parts.store.add(row, Date.now());
  }

  /**
   * Waits for the trackers' answer to a row.
   * @throws MtError what they answered; at the deadline TRACKER_UNREACHABLE or NO_QUORUM when nobody took it yet,
   * OUTCOME_UNKNOWN when someone may have. Unless it was withdrawn the row stays and is delivered later.
   */
  async wait(row: OutboxRow, { timeoutMs = COMMAND_MS_DEFAULT, withdrawable }: WaitOptions): Promise<unknown> {
    const delivery = await new Promise<Delivery>((resolve) => {
      const timer = setTimeout(() => this.#expire(row.seq), timeoutMs);
      this.#waiters.set(row.seq, {
        deadlineMs: performance.now() + timeoutMs,
        withdrawable,
        settle: (answer) => {
          clearTimeout(timer);
          this.#waiters.delete(row.seq);
          resolve(answer);
        },
      });
      this.kick();
    });
    if ('error' in delivery) throw delivery.error;
    return delivery.result;
  }

  /** Ends the delivery; what waits is delivered by the next process. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    const error = new MtError(
      'OUTCOME_UNKNOWN',
      'The daemon stopped before the trackers answered; it goes on when it starts again',
    );
    for (const waiter of [...this.#waiters.values()]) waiter.settle({ error });
  }

  /** Delivers what waits, if that is not under way. */
  kick(): void {
    if (this.#running || !this.#owner || this.#closing.signal.aborted) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
      // One may have come after the last look.
      if (!this.#closing.signal.aborted && this.#parts.store.oldest()) this.kick();
    });
  }

  async #run(): Promise<void> {
    let failures = 0;
    const { store } = this.#parts;
    for (let row = store.oldest(); row && !this.#closing.signal.aborted; row = store.oldest()) {
      this.#inFlight = row.seq;
      const delivery = await this.#attempt(row);
      this.#inFlight = null;
      if (this.#closing.signal.aborted) return;
      if (delivery && this.#finish(row.seq, delivery)) {
        failures = 0;
        this.#lastError = null;
        continue;
      }
      const waiter = this.#waiters.get(row.seq);
      if (waiter && performance.now() >= waiter.deadlineMs) this.#expire(row.seq);
      const pauseMs = Math.min(RETRY_MS_MAX, 50 * 2 ** Math.min(failures++, 8)) * (0.5 + Math.random());
      await sleep(pauseMs, null, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  /** null: no final answer yet. */
  async #attempt(row: OutboxRow): Promise<Delivery | null> {
    const leftMs = (this.#waiters.get(row.seq)?.deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now();
    const settings = { timeoutMs: Math.max(1, Math.min(ATTEMPT_MS_MAX, leftMs)), signal: this.#closing.signal };
    const wasSent = this.#sent.has(row.seq);
    // Before its number leaves: after a power loss no other command may get that, and no row before it may come back, whose answer
    // the trackers forget with it. What was written in between waited for no disk.
    const trouble = wasSent ? null : await syncStore(this.#parts.db).catch((cause: unknown) => cause);
    if (trouble) return this.#unwritable(trouble);
    try {
      return { result: await this.#send(row, settings) };
    } catch (caught) {
      if (isDiskFull(caught)) return this.#unwritable(caught);
      const error = toMtError(caught);
      if (error.code === 'INTERNAL')
        this.#parts.log.error({ err: caught, method: row.method }, 'outbox delivery failed');
      if (isMtError(error, 'CLIENT_EXPIRED')) {
        this.#parts.settings.delete('outbox_client');
        return null;
      }
      if (!isUndelivered(error)) return { error };
      this.#lastError = isMtError(error, 'OUTCOME_UNKNOWN', 'CLOSED', 'CANCELLED') ? null : error;
      // These say that no tracker took it in this attempt; an earlier one may have.
      if (isMtError(error, 'NO_QUORUM', 'TRACKER_UNREACHABLE') && !wasSent) this.#sent.delete(row.seq);
      return null;
    }
  }

  async #send(row: OutboxRow, settings: { timeoutMs: number; signal: AbortSignal }): Promise<unknown> {
    const { client } = this.#parts;
    const request = { client_id: await this.#clientId(settings), seq: row.seq, acked: row.seq };
    const full: CommandSettings = {
      ...settings,
      request,
      session: row.session,
      onSend: () => this.#sent.add(row.seq),
    };
    if (row.method === 'logout' || row.file === null) return client.command('logout', {}, full);
    const ofFile = { group_id: row.file.groupId, file_name: row.file.fileName };
    if (row.method === 'stop_share') return client.command('stop_share', ofFile, full);
    const payload = this.#owner!.payload(row);
    if (!payload) return {};
    return row.method === 'share_file'
      ? client.command('share_file', { ...ofFile, manifest: payload.manifest }, full)
      : client.command('record_share', { ...ofFile, manifest_hash: payload.manifestHash }, full);
  }

  async #clientId(settings: { timeoutMs: number; signal: AbortSignal }): Promise<string> {
    const known = this.#parts.settings.get('outbox_client');
    if (known) return known;
    this.#registering ??= this.#register(settings).finally(() => {
      this.#registering = null;
    });
    return await this.#registering;
  }

  async #register(settings: { timeoutMs: number; signal: AbortSignal }): Promise<string> {
    const made = await this.#parts.client.registerClient(settings);
    this.#parts.settings.set('outbox_client', made);
    return made;
  }

  /** @returns false when the daemon's own disk has no room to note it: delivered again, the trackers answer the same. */
  #finish(seq: number, delivery: Delivery): boolean {
    const { db, store } = this.#parts;
    const row = store.get(seq);
    if (!row) return true;
    try {
      const forget = db.transaction(() => {
        this.#owner!.delivered(row, delivery);
        store.delete(seq);
      });
      // What was taken back must not be told after a power loss; what was taken is answered the same when it is told again.
      if ('error' in delivery) forget();
      else quickly(db, forget);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#unwritable(error);
      return false;
    }
    this.#sent.delete(seq);
    this.#waiters.get(seq)?.settle(delivery);
    return true;
  }

  #unwritable(cause: unknown): null {
    this.#lastError = stateError("The daemon's own state cannot be written", cause);
    this.#parts.log.error({ err: cause }, 'the outbox cannot be written; what was delivered is delivered again');
    return null;
  }

  /** The caller waits no longer. */
  #expire(seq: number): void {
    const waiter = this.#waiters.get(seq);
    const row = this.#parts.store.get(seq);
    // An attempt under way ends at the same deadline and comes back here.
    if (!waiter || !row || this.#inFlight === seq) return;
    const wasSent = this.#sent.has(seq);
    const said = wasSent && !isMtError(this.#lastError, 'DISK_FULL') ? unknownYet(row) : this.#lastError;
    const error = said ?? this.#parts.client.linkError ?? notTaken();
    if (waiter.withdrawable && !wasSent && this.#finish(seq, { error })) return;
    waiter.settle({ error });
  }
}

/** The row stays: trackers that cannot be reached, cannot decide, or are not to be trusted yet may be better later. */
function isUndelivered(error: MtError): boolean {
  return isMtError(
    error,
    'TRACKER_UNREACHABLE',
    'NO_QUORUM',
    'OUTCOME_UNKNOWN',
    'UNTRUSTED_CLUSTER',
    'PROTOCOL_VERSION',
    'OVERLOADED',
    'TIMEOUT',
    'CLOSED',
    'CANCELLED',
  );
}

function unknownYet(row: OutboxRow): MtError {
  return new MtError(
    'OUTCOME_UNKNOWN',
    `${row.method} was sent, but no tracker answered in time: it may or may not have taken effect`,
    'The daemon goes on by itself until the trackers answer; look at: mt status, mt show_shares',
  );
}

function notTaken(): MtError {
  return new MtError('NO_QUORUM', 'The trackers could not take it in time', 'Look at: mt tracker_status');
}
