// One watched directory: looks at the names in it, and shares each file once it has stopped changing. The kernel's news (inotify) only
// make a look come sooner; the truth is the look itself, which comes anyway every few seconds. Sub-directories are passed over.
import { type FSWatcher, watch } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { isMtError, toMtError } from '../../codec/errors.ts';
import { requireFileName } from '../../codec/ids.ts';
import { identityOf, sameFile } from '../disk/file-identity.ts';
import type { Shares } from '../share.ts';
import type { WatchRecord } from '../store/watch-store.ts';
import type { Uploads } from '../upload.ts';
import { dueInMs, isPassedOver, lookedAt, type Watched } from './watch-plan.ts';

/** The directory is looked at so often without any news: some file systems (networks, FUSE) send none. */
const LOOK_MS = 5_000;
/** News come in crowds. */
const NEWS_MS = 200;
const LOOKS_AT_ONCE = 64;

export interface WatchParts {
  readonly shares: Shares;
  readonly uploads: Uploads;
  readonly log: Logger;
}

/** What `mt watch` shows. */
export interface WatchPicture {
  /** Files of this directory that are shared in the group. */
  readonly shared: number;
  /** Files that still change, or wait for their turn. */
  readonly waiting: number;
  readonly failures: readonly { readonly fileName: string; readonly code: string; readonly message: string }[];
  /** Why the directory itself cannot be looked at; null: it can. */
  readonly problem: string | null;
}

export class Watch {
  readonly record: WatchRecord;
  readonly #parts: WatchParts;
  readonly #files = new Map<string, Watched>();
  readonly #closing = new AbortController();
  #news: FSWatcher | null = null;
  #newsInode: bigint | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #problem: string | null = null;
  #looking: Promise<void> | null = null;
  /** News that came during a look may be of what it had passed. */
  #isNewsMissed = false;

  constructor(record: WatchRecord, parts: WatchParts) {
    this.record = record;
    this.#parts = parts;
    this.#lookIn(0);
  }

  picture(): WatchPicture {
    let [shared, waiting] = [0, 0];
    const failures = [];
    for (const [fileName, { isShared, failure }] of this.#files) {
      if (isShared) shared++;
      else if (failure) failures.push({ fileName, ...failure });
      else waiting++;
    }
    return { shared, waiting, failures, problem: this.#problem };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#stopNews();
    if (this.#timer) clearTimeout(this.#timer);
    await this.#looking;
  }

  #lookIn(ms: number): void {
    const atMs = performance.now() + ms;
    if (this.#looking) this.#isNewsMissed = true;
    if (this.#closing.signal.aborted || this.#looking || this.#timerAtMs <= atMs) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#isNewsMissed = false;
      this.#looking = this.#look().finally(() => {
        this.#looking = null;
        this.#lookIn(this.#isNewsMissed ? NEWS_MS : this.#nextLookMs());
      });
    }, ms);
    this.#timer.unref();
  }

  #nextLookMs(): number {
    const nowMs = performance.now();
    const dues = [...this.#files.values()].map((file) => dueInMs(file, nowMs) ?? LOOK_MS);
    return dues.reduce((least, ms) => Math.min(least, ms), LOOK_MS);
  }

  async #look(): Promise<void> {
    try {
      await this.#readNames();
      this.#problem = null;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#tellOnce(code === 'ENOENT' || code === 'ENOTDIR' ? 'it is not there' : `it cannot be read (${code})`);
      return;
    }
    for (const [name, watched] of this.#files) {
      if (this.#closing.signal.aborted) return;
      if (dueInMs(watched, performance.now()) === 0) await this.#share(name, watched);
    }
  }

  async #readNames(): Promise<void> {
    const { path } = this.record;
    const { ino } = await lstat(path, { bigint: true });
    if (this.#newsInode !== ino) this.#startNews(ino);
    const found = new Set<string>();
    const entries = await readdir(path, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile() && !isPassedOver(entry.name)).map(({ name }) => name);
    for (let from = 0; from < names.length; from += LOOKS_AT_ONCE) {
      const some = names.slice(from, from + LOOKS_AT_ONCE);
      const stats = await Promise.all(some.map((name) => lstat(join(path, name), { bigint: true }).catch(() => null)));
      for (const [i, name] of some.entries()) {
        const stat = stats[i];
        if (!stat?.isFile()) continue;
        found.add(name);
        const watched = lookedAt(this.#files.get(name), identityOf(stat), performance.now());
        this.#files.set(name, { ...watched, isShared: this.#isShared(name, watched) });
      }
    }
    for (const name of this.#files.keys()) if (!found.has(name)) this.#files.delete(name);
  }

  /** As the registry has it: also what `mt upload_file` or a download into this directory made a share. */
  #isShared(name: string, { identity }: Watched): boolean {
    const record = this.#parts.shares.record({ groupId: this.record.groupId, fileName: name.normalize('NFC') });
    return record !== null && record.path === join(this.record.path, name) && sameFile(record, identity);
  }

  async #share(name: string, watched: Watched): Promise<void> {
    const { uploads, log } = this.#parts;
    const { path, groupId } = this.record;
    try {
      const { signal } = this.#closing;
      requireFileName(name);
      const request = { path: join(path, name), groupId, timeoutMs: undefined, signal, onProgress: () => {} };
      await uploads.upload(request);
      this.#files.set(name, { ...watched, isShared: true, failure: null });
      log.info({ group: groupId, file: name, directory: path }, 'a watched directory has a new file: it is shared');
    } catch (caught) {
      if (this.#closing.signal.aborted) return;
      if (isMtError(caught, 'ALREADY_SHARED')) {
        this.#files.set(name, { ...watched, isShared: true, failure: null });
        return;
      }
      const { code, message } = toMtError(caught);
      if (code === 'INTERNAL') log.error({ err: caught }, 'a file of a watched directory met something unexpected');
      if (code !== watched.failure?.code) log.warn({ group: groupId, file: name, directory: path, code }, message);
      this.#files.set(name, { ...watched, failure: { code, message }, triedAtMs: performance.now() });
    }
  }

  #startNews(inode: bigint): void {
    this.#stopNews();
    try {
      this.#news = watch(this.record.path, { persistent: false }, () => this.#lookIn(NEWS_MS));
      this.#newsInode = inode;
      this.#news.on('error', () => this.#stopNews());
    } catch (error) {
      // No more inotify watches for this user, or a file system without: the looks go on.
      this.#parts.log.debug({ err: error, directory: this.record.path }, 'no news of a watched directory');
    }
  }

  #stopNews(): void {
    this.#news?.close();
    this.#news = null;
    this.#newsInode = null;
  }

  #tellOnce(problem: string): void {
    this.#stopNews();
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#files.clear();
    this.#parts.log.warn({ directory: this.record.path, problem }, 'a watched directory is not looked at');
  }
}
