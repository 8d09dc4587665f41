// The registry of what this daemon shares: remembered per user in SQLite, announced to the trackers under the session of the
// moment, served only while its user is logged in and the file is the one that was hashed. Reads no content.
import type { Logger } from 'pino';
import type { ShareRow } from '../codec/control-api.ts';
import { isMtError } from '../codec/errors.ts';
import type { FileIdentity } from './disk/file-identity.ts';
import type { FileRef, ServableShare, SharePort } from './download/types.ts';
import type { Delivery, Outbox, OutboxOwner } from './outbox.ts';
import type { Bitfield } from './pieces/bitfield.ts';
import { endedUntold, lateWarning, notSharedHere } from './shares/share-errors.ts';
import { keyOf, type Problem, ShareFiles } from './shares/share-files.ts';
import type { OutboxRow } from './store/outbox-store.ts';
import type { StoredSession } from './store/settings-store.ts';
import type { ShareChange, ShareRecord, ShareStore } from './store/share-store.ts';
import { quickly, type Sqlite } from './store/store.ts';
import { notLoggedIn } from './tracker-client.ts';

/** How long a finished download waits for the trackers before it is reported with a warning instead. */
const RECORD_MS_MAX = 5_000;

/** The group no longer has this file, or no longer this user. */
const FILE_IS_GONE = ['NO_SUCH_FILE', 'NO_SUCH_GROUP', 'NOT_MEMBER', 'FILE_EXISTS'] as const;

export interface SharesParts {
  readonly db: Sqlite;
  readonly store: ShareStore;
  readonly outbox: Outbox;
  readonly log: Logger;
  /** Its uploads end now. */
  readonly onStopped: (file: FileRef) => void;
}

export class Shares implements SharePort, OutboxOwner {
  readonly #parts: SharesParts;
  readonly #records = new Map<string, ShareRecord>();
  readonly #files: ShareFiles;
  #session: StoredSession | null = null;

  constructor(parts: SharesParts) {
    this.#parts = parts;
    this.#files = new ShareFiles((record) => parts.store.manifest(record.userId, record));
    for (const record of parts.store.all()) this.#records.set(keyOf(record.userId, record), record);
  }

  get session(): StoredSession | null {
    return this.#session;
  }

  /** Who is logged in; null: nothing is served. */
  setSession(session: StoredSession | null): void {
    this.#session = session;
  }

  /** Shares of the user who is logged in. */
  get count(): number {
    return this.#own().length;
  }

  /** What may be served now: the logged-in user's share of that name, unless its file is known to be gone or changed. */
  find(file: FileRef): ServableShare | null {
    const record = this.record(file);
    if (!record || !this.#files.isServable(record)) return null;
    const manifest = this.#parts.store.manifest(record.userId, file);
    return manifest && { ...record, manifest };
  }

  /** The logged-in user's share of that name, whatever the state of its file. */
  record(file: FileRef): ShareRecord | null {
    const user = this.#session?.userId;
    return (user !== undefined && this.#records.get(keyOf(user, file))) || null;
  }

  reportChanged(file: FileRef, state: Problem): void {
    const record = this.record(file);
    if (!record) return;
    this.#files.setProblem(record, state);
    this.#parts.log.warn({ group: file.groupId, file: file.fileName, state }, 'a shared file is no longer served');
  }

  /** Shares of the logged-in user. */
  records(): ShareRecord[] {
    return this.#own();
  }

  /** Looks at the file behind a share; one that is gone or changed is no longer served from here on. */
  async look({ userId, ...file }: ShareRecord): Promise<Problem | null> {
    const current = () => this.#records.get(keyOf(userId, file));
    let record = current();
    let problem: Problem | null = null;
    let before: Problem | null = null;
    // Moved or mended while we looked: what we saw was the old file.
    for (let seen: ShareRecord | null = null; record && record !== seen; record = current()) {
      const looked: ShareRecord = record;
      seen = looked;
      before = this.#files.problemOf(looked);
      problem = await this.#files.look(looked, () => current() === looked);
    }
    if (record && problem && !before && this.record(record)) {
      this.reportChanged(record, problem);
      this.#parts.onStopped(record);
    }
    return problem;
  }

  problemOf(record: ShareRecord): Problem | null {
    return this.#files.problemOf(record);
  }

  /** Damaged pieces; null: none. */
  rottenOf(record: ShareRecord): Bitfield | null {
    return this.#files.rottenOf(record);
  }

  pieceCount(record: ShareRecord): number {
    return this.#files.pieceCount(record);
  }

  /** For show_shares: what is being done about a share that is not whole; null: nothing. */
  note(record: ShareRecord, note: string | null): void {
    this.#files.note(record, note);
  }

  /** Until the returned function is called, we write to the file ourselves: it is not served, and its times mean nothing. */
  hold(record: ShareRecord): () => void {
    this.#files.hold(record);
    this.#parts.onStopped(record);
    return () => this.#files.release(record);
  }

  /** What a scrub, a repair or a search found. Uploads begin anew when other pieces can be had than before. */
  change(record: ShareRecord, change: ShareChange): ShareRecord | null {
    const known = this.#records.get(keyOf(record.userId, record));
    if (!known) return null;
    const next = this.#parts.store.change(known, change);
    this.#records.set(keyOf(record.userId, record), next);
    const isOther = change.path !== undefined || change.rotten !== undefined;
    if (isOther && this.record(next)) this.#parts.onStopped(next);
    return next;
  }

  /** For heartbeats: shares that cannot be had whole from here, with the pieces that can. */
  shortfalls(): ReturnType<ShareFiles['shortfalls']> {
    return this.#files.shortfalls(this.#own());
  }

  /** Every share with the state of its file now: of the logged-in user, or of all who used this daemon. */
  async list(): Promise<ShareRow[]> {
    const records = this.#session ? this.#own() : [...this.#records.values()];
    const rows: ShareRow[] = [];
    for (const record of records) {
      await this.look(record);
      rows.push(this.#files.row(record, this.#usualState(record)));
    }
    return rows;
  }

  /**
   * Makes an uploaded file a share: remembered first, so that a crash at any instant ends with trackers and daemon agreeing.
   * @returns whether the group had no such file. @throws MtError as the trackers decided; then it is no share.
   */
  async publish(share: ServableShare, timeoutMs?: number): Promise<{ newFile: boolean }> {
    const row = this.#add(share, 'share_file');
    try {
      const wait = { withdrawable: true, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      const { new_file } = (await this.#parts.outbox.wait(row, wait)) as { new_file: boolean };
      return { newFile: new_file };
    } catch (error) {
      if (isMtError(error, 'ALREADY_SHARED')) return { newFile: false };
      throw error;
    }
  }

  prepare(): void {
    this.#parts.outbox.prepare();
  }

  async addDownloaded(share: ServableShare): Promise<string | null> {
    const row = this.#add(share, 'record_share');
    try {
      await this.#parts.outbox.wait(row, { timeoutMs: RECORD_MS_MAX, withdrawable: false });
      return null;
    } catch (error) {
      if (isMtError(error, 'ALREADY_SHARED')) return null;
      return lateWarning(this.record(share) !== null, error);
    }
  }

  /** The same file at another place, or touched without another content: served from there from now on. */
  relocate(file: FileRef, path: string, identity: FileIdentity, tree: Uint8Array | null = null): void {
    const record = this.record(file);
    if (!record) return;
    this.#files.forget(record);
    this.change(record, { path, ...identity, tree, ...freshlyRead() });
  }

  /**
   * stop_share: ends here at once and stays ended; the trackers are told as soon as they listen.
   * @throws MtError NO_SUCH_SHARE; or what keeps the trackers from hearing it within `timeoutMs`.
   */
  async stop(file: FileRef, timeoutMs?: number): Promise<void> {
    const session = this.#requireSession();
    const record = this.record(file);
    if (!record) throw notSharedHere(file);
    const row = this.#parts.db.transaction(() => {
      this.#parts.store.delete(record.userId, file);
      return this.#enqueue(session, 'stop_share', file);
    })();
    this.#forget(record);
    const wait = { withdrawable: false, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    await this.#parts.outbox.wait(row, wait).catch((caught: unknown) => {
      if (isMtError(caught, 'NO_SUCH_SHARE', 'NO_SUCH_FILE', 'NO_SUCH_GROUP', 'NOT_MEMBER', 'NOT_LOGGED_IN')) return;
      throw endedUntold(caught);
    });
  }

  giveUp(file: FileRef): void {
    if (!this.#session) return;
    this.#enqueue(this.#session, 'stop_share', file);
    this.#parts.outbox.kick();
  }

  /** The trackers say that it ended: the file left the group. */
  drop(file: FileRef): void {
    const record = this.record(file);
    if (record) this.#delete(record);
  }

  /** The user is no longer a member there. */
  dropGroup(groupId: string): void {
    for (const record of this.#own()) if (record.groupId === groupId) this.#delete(record);
  }

  /** Shares that the trackers do not know under the current session, and whose file is there unchanged. */
  async unannounced(): Promise<ShareRecord[]> {
    const session = this.#session;
    if (!session) return [];
    const found: ShareRecord[] = [];
    for (const record of this.#own()) {
      if (record.announced !== session.token && !(await this.look(record))) found.push(record);
    }
    return found;
  }

  /** Groups in which the logged-in user shares something from here. */
  groups(): Set<string> {
    return new Set(this.#own().map(({ groupId }) => groupId));
  }

  /** Shares that the trackers know under the current session. */
  announced(): ShareRecord[] {
    return this.#own().filter((record) => record.announced === this.#session?.token);
  }

  manifestOf(record: ShareRecord): Uint8Array<ArrayBuffer> | null {
    return this.#parts.store.manifest(record.userId, record) as Uint8Array<ArrayBuffer> | null;
  }

  /** The trackers know this share under that session. */
  markAnnounced(record: FileRef & { userId: string }, session: string): void {
    const known = this.#records.get(keyOf(record.userId, record));
    if (!known) return;
    this.#parts.store.markAnnounced(record.userId, record, session);
    this.#records.set(keyOf(record.userId, record), { ...known, published: true, announced: session });
  }

  payload(row: OutboxRow): { manifest: Uint8Array<ArrayBuffer>; manifestHash: Uint8Array<ArrayBuffer> } | null {
    const record = row.file && this.#records.get(keyOf(row.userId, row.file));
    const manifest = record && this.manifestOf(record);
    return manifest ? { manifest, manifestHash: record.manifestHash as Uint8Array<ArrayBuffer> } : null;
  }

  delivered(row: OutboxRow, delivery: Delivery): void {
    if (!row.file || (row.method !== 'share_file' && row.method !== 'record_share')) return;
    const record = this.#records.get(keyOf(row.userId, row.file));
    if (!record) return;
    if (!('error' in delivery) || isMtError(delivery.error, 'ALREADY_SHARED')) {
      this.markAnnounced(record, row.session);
    } else if (!record.published || isMtError(delivery.error, ...FILE_IS_GONE)) {
      this.#delete(record);
    }
    // Otherwise (the session ended first, say) the next login shares it again.
  }

  #add(share: ServableShare, method: 'share_file' | 'record_share'): OutboxRow {
    const session = this.#requireSession();
    const { manifest, ...rest } = share;
    const published = method === 'record_share';
    const { userId } = session;
    const record: ShareRecord = { tree: null, ...rest, userId, published, announced: null, ...freshlyRead() };
    const remember = this.#parts.db.transaction(() => {
      this.#parts.store.put(record, manifest, Date.now());
      return this.#enqueue(session, method, share);
    });
    // The outbox waits for the disk before it tells anybody.
    const row = quickly(this.#parts.db, remember);
    this.#records.set(keyOf(record.userId, record), record);
    this.#files.forget(record);
    return row;
  }

  #enqueue(session: StoredSession, method: OutboxRow['method'], file: FileRef): OutboxRow {
    const { groupId, fileName } = file;
    return this.#parts.outbox.add({
      session: session.token,
      method,
      userId: session.userId,
      file: { groupId, fileName },
    });
  }

  #delete(record: ShareRecord): void {
    this.#parts.store.delete(record.userId, record);
    this.#forget(record);
  }

  #forget(record: ShareRecord): void {
    this.#records.delete(keyOf(record.userId, record));
    this.#files.forget(record);
    if (record.userId === this.#session?.userId) {
      this.#parts.onStopped({ groupId: record.groupId, fileName: record.fileName });
    }
  }

  #usualState(record: ShareRecord): ShareRow['state'] {
    if (record.userId !== this.#session?.userId) return 'not_shared';
    return record.announced === this.#session.token ? 'shared' : 'pending';
  }

  #own(): ShareRecord[] {
    const user = this.#session?.userId;
    return [...this.#records.values()].filter((record) => record.userId === user);
  }

  #requireSession(): StoredSession {
    if (!this.#session) throw notLoggedIn();
    return this.#session;
  }
}

/** All of it was read and compared just now. */
function freshlyRead() {
  return { rotten: null, scrubbedAtMs: Date.now(), scrubNext: 0 };
}
