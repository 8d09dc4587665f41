// The watched directories of whoever is logged in: remembered per user over restarts and logouts, at work while that user is logged in.
import { lstat, realpath } from 'node:fs/promises';
import type { Logger } from 'pino';
import { MtError } from '../../codec/errors.ts';
import type { Shares } from '../share.ts';
import type { WatchRecord, WatchStore } from '../store/watch-store.ts';
import { notLoggedIn, type TrackerClient } from '../tracker-client.ts';
import type { Uploads } from '../upload.ts';
import { Watch, type WatchPicture } from './watch.ts';

/** Each costs a look every few seconds. */
const WATCHES_MAX = 100;
/** How soon a login or logout is noticed. */
const FOLLOW_MS = 500;

export interface WatchesParts {
  readonly store: WatchStore;
  readonly shares: Shares;
  readonly uploads: Uploads;
  readonly client: TrackerClient;
  readonly log: Logger;
}

export interface WatchedDirectory extends WatchPicture {
  readonly path: string;
  readonly groupId: string;
}

export class Watches {
  readonly #parts: WatchesParts;
  readonly #timer: NodeJS.Timeout;
  #userId: string | null = null;
  #watches: Watch[] = [];

  constructor(parts: WatchesParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.#follow(), FOLLOW_MS);
    this.#timer.unref();
  }

  /**
   * Shares what is and what appears in a directory, until `remove`.
   * @param typed absolute.
   * @returns where it really is, and whether it was not watched for this group before.
   * @throws MtError NOT_LOGGED_IN, PATH_NOT_FOUND, PERMISSION, INVALID_ARGUMENT, NO_SUCH_GROUP, NOT_MEMBER …
   */
  async add(
    typed: string,
    groupId: string,
    wait: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<{ path: string; isNew: boolean }> {
    const { client, store, shares, log } = this.#parts;
    const path = await requireDirectory(typed);
    await client.listAll('list_members', { group_id: groupId }, wait); // for members only, as everything in a group
    const userId = shares.session?.userId;
    if (userId === undefined) throw notLoggedIn();
    this.#follow();
    const known = this.#watches.find(({ record }) => record.path === path && record.groupId === groupId);
    if (known) return { path, isNew: false };
    if (this.#watches.length >= WATCHES_MAX) {
      throw new MtError('TOO_LARGE', `At most ${WATCHES_MAX} directories are watched`, 'End one: mt unwatch <path>');
    }
    const record: WatchRecord = { userId, path, groupId };
    store.add(record, Date.now());
    this.#watches.push(new Watch(record, this.#parts));
    log.info({ directory: path, group: groupId }, 'a directory is watched');
    return { path, isNew: true };
  }

  /**
   * Nothing more of the directory is shared; what was shared stays so.
   * @param groupId null: for every group.
   * @returns for which groups it was watched. @throws MtError NOT_LOGGED_IN; NO_SUCH_SHARE when it is not watched.
   */
  async remove(typed: string, groupId: string | null): Promise<string[]> {
    if (!this.#parts.shares.session) throw notLoggedIn();
    this.#follow();
    // The directory may be gone: then the path is what was typed.
    const paths = [typed.replace(/(.)\/+$/, '$1'), await realpath(typed).catch(() => null)];
    const meant = this.#watches.filter(
      ({ record }) => paths.includes(record.path) && (groupId === null || record.groupId === groupId),
    );
    if (meant.length === 0) {
      throw new MtError('NO_SUCH_SHARE', `${typed} is not watched`, 'See which directories are: mt watch');
    }
    for (const { record } of meant) this.#parts.store.delete(record);
    this.#watches = this.#watches.filter((watch) => !meant.includes(watch));
    await Promise.all(meant.map((watch) => watch.close()));
    return meant.map(({ record }) => record.groupId);
  }

  /** Of the user who is logged in. @throws MtError NOT_LOGGED_IN */
  list(): WatchedDirectory[] {
    if (!this.#parts.shares.session) throw notLoggedIn();
    this.#follow();
    return this.#watches.map((watch) => {
      const { path, groupId } = watch.record;
      return { path, groupId, ...watch.picture() };
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#stop();
  }

  /** Takes up the directories of whoever is logged in now. */
  #follow(): void {
    const userId = this.#parts.shares.session?.userId ?? null;
    if (userId === this.#userId) return;
    this.#userId = userId;
    void this.#stop();
    if (userId !== null) this.#watches = this.#parts.store.of(userId).map((record) => new Watch(record, this.#parts));
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#watches.splice(0).map((watch) => watch.close()));
  }
}

async function requireDirectory(typed: string): Promise<string> {
  try {
    const path = await realpath(typed);
    if ((await lstat(path)).isDirectory()) return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') throw new MtError('PERMISSION', `This user may not read ${typed}`);
    throw new MtError('PATH_NOT_FOUND', `There is no directory ${typed}`);
  }
  throw new MtError('INVALID_ARGUMENT', `${typed} is no directory`, 'To share one file: mt upload_file');
}
