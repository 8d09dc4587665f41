// All downloads of this daemon: starts them, finds them by name, and speaks for them to the control server. The life of each is
// its own (download.ts); what they may use together (limits, memory, threads) is the data plane's.
import { open, rm } from 'node:fs/promises';
import type { DownloadRow } from '../../codec/control-api.ts';
import { isMtError, MtError } from '../../codec/errors.ts';
import { decodeManifest, manifestHash } from '../../codec/manifest.ts';
import { fileError } from '../disk/disk-error.ts';
import { verifiedBytes } from '../disk/resume.ts';
import { requireFree } from '../tree/unpack.ts';
import { choosePartPath, resolveDestination } from './destination.ts';
import { Download, type Outcome } from './download.ts';
import type { DownloadContext } from './open-download.ts';
import type { DownloadAnswer, DownloadCallOptions, DownloadRequest, Downloads, FileRef, LocatedFile } from './types.ts';

const PROGRESS_MS = 200;
/** Without any source for so long, a caller is told; the download goes on. */
const SOURCELESS_MS_MAX = 30_000;

type Managed = Pick<Downloads, 'download' | 'list' | 'pause' | 'resume' | 'cancel' | 'partials'>;

export class DownloadManager implements Managed {
  readonly #context: DownloadContext;
  /** Of all users of this daemon, oldest first. */
  readonly #downloads = new Map<string, Download>();
  /** Downloads being started: a second call for the same file waits for the first one's checks. */
  readonly #starting = new Map<string, Promise<unknown>>();
  readonly #timer: NodeJS.Timeout;
  #userId: string | null = null;

  constructor(context: DownloadContext) {
    this.#context = context;
    for (const record of context.store.all()) {
      const isDone = record.phase === 'complete' || record.phase === 'failed';
      const bytes = isDone
        ? 0
        : verifiedBytes(context.mapPath(record), decodeManifest(record.manifest), record.manifestHash);
      this.#downloads.set(keyOf(record.userId, record), new Download(context, record, bytes, null));
    }
    this.#timer = setInterval(() => {
      for (const download of this.#downloads.values()) if (download.isActive) download.noteSources();
    }, PROGRESS_MS);
    this.#timer.unref();
  }

  /** Downloads of this user go on, those of others rest. */
  async setUser(userId: string | null): Promise<void> {
    this.#userId = userId;
    const others = [...this.#downloads.values()].filter(({ record }) => record.userId !== userId);
    for (const download of this.#downloads.values()) if (download.record.userId === userId) download.start();
    await Promise.all(others.map((download) => download.stop()));
  }

  async download(request: DownloadRequest, options: DownloadCallOptions): Promise<DownloadAnswer> {
    const download = await this.#startOnce(request);
    if (request.detach && download.isActive) return answerOf(download, null);
    return await this.#follow(download, options);
  }

  list(): DownloadRow[] {
    return [...this.#downloads.values()]
      .filter(({ record }) => this.#userId === null || record.userId === this.#userId)
      .map((download) => download.row());
  }

  async pause(file: FileRef): Promise<void> {
    this.#find(file).pause();
  }

  async resume(file: FileRef): Promise<void> {
    this.#find(file).resume();
  }

  async cancel(file: FileRef): Promise<void> {
    await this.#remove(this.#find(file));
  }

  partials(): ReturnType<Downloads['partials']> {
    return this.#ofUser()
      .filter(({ record }) => record.phase === 'downloading')
      .map((download) => ({
        group_id: download.record.groupId,
        file_name: download.record.fileName,
        pieces: download.verifiedPieces,
      }));
  }

  renewTickets(groupId: string): void {
    for (const download of this.#ofUser()) if (download.record.groupId === groupId) download.renewTicket();
  }

  /** Downloads of this file, or (null) of the whole group, cannot be finished any more. */
  fail(which: { groupId: string; fileName: string | null }, error: MtError): void {
    for (const download of this.#ofUser()) {
      const { groupId, fileName } = download.record;
      if (groupId === which.groupId && (which.fileName === null || fileName === which.fileName)) download.fail(error);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#downloads.values()].map((download) => download.stop()));
  }

  #ofUser(): Download[] {
    return [...this.#downloads.values()].filter(({ record }) => record.userId === this.#userId);
  }

  #find(file: FileRef): Download {
    const found =
      this.#userId === null
        ? [...this.#downloads.values()].find(
            ({ record }) => record.groupId === file.groupId && record.fileName === file.fileName,
          )
        : this.#downloads.get(keyOf(this.#userId, file));
    if (found) return found;
    throw new MtError(
      'NO_SUCH_DOWNLOAD',
      `There is no download of "${file.fileName}" in group ${file.groupId} here`,
      'See what there is: mt show_downloads',
    );
  }

  async #remove(download: Download): Promise<void> {
    await download.cancel();
    const { record } = download;
    this.#context.store.delete(record);
    this.#downloads.delete(keyOf(record.userId, record));
  }

  async #startOnce(request: DownloadRequest): Promise<Download> {
    const userId = this.#context.ports.identity.userId();
    if (userId === null) {
      throw new MtError('NOT_LOGGED_IN', 'Nobody is logged in at this daemon', 'Run: mt login <user_id>');
    }
    const key = keyOf(userId, { groupId: request.group_id, fileName: request.file_name });
    while (this.#starting.has(key)) await this.#starting.get(key)?.catch(() => {});
    const starting = this.#start(key, userId, request);
    this.#starting.set(key, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(key);
    }
  }

  async #start(key: string, userId: string, request: DownloadRequest): Promise<Download> {
    const file = { groupId: request.group_id, fileName: request.file_name };
    const existing = this.#downloads.get(key);
    if (existing?.isActive) return await this.#join(existing, request);
    this.#refuseShared(file, request.force);
    const destination = await resolveDestination(request.destination, file.fileName, request.force);
    const { located, manifest } = await this.#locate(file, request.timeout_ms);
    const content = decodeManifest(manifest);
    if (content.treeSize !== undefined) await requireFree(destination);
    const partPath = await choosePartPath(destination);
    try {
      await (await open(partPath, 'wx', 0o666)).close();
    } catch (error) {
      throw fileError(error, partPath);
    }
    if (existing) await this.#remove(existing);
    const record = this.#context.store.add({
      ...file,
      userId,
      destination,
      partPath,
      force: request.force,
      peer: request.peer,
      publisher: located.file.publisher,
      manifestHash: located.file.manifest_hash,
      manifest,
      sizeBytes: content.size,
      createdAt: Date.now(),
    });
    // A map of an earlier download of the same number cannot be: numbers are never used again. But a crash may have left one.
    await rm(this.#context.mapPath(record), { force: true });
    const download = new Download(this.#context, record, 0, located);
    this.#downloads.set(key, download);
    download.start();
    this.#context.ports.shares.prepare();
    return download;
  }

  /** The same file is being downloaded already: to the same place, the caller waits for it too. */
  async #join(existing: Download, request: DownloadRequest): Promise<Download> {
    const { record } = existing;
    const isSamePlace = await resolveDestination(request.destination, record.fileName, true).then(
      (destination) => destination === record.destination,
      () => false,
    );
    if (!isSamePlace) {
      throw new MtError(
        'ALREADY_DOWNLOADED',
        `"${record.fileName}" is being downloaded to "${record.destination}" already`,
        'Wait for it, or end it: mt cancel_download.',
      );
    }
    existing.resume();
    return existing;
  }

  #refuseShared(file: FileRef, force: boolean): void {
    const share = this.#context.ports.shares.find(file);
    if (!share || force) return;
    throw new MtError(
      'ALREADY_DOWNLOADED',
      `"${file.fileName}" of group ${file.groupId} is on this computer already: "${share.path}" is shared from here`,
      'Use --force to download it again.',
    );
  }

  /** @throws MtError as the trackers decide; PROTOCOL when their manifest is not the one that they named. */
  async #locate(file: FileRef, timeoutMs: number | undefined): Promise<{ located: LocatedFile; manifest: Uint8Array }> {
    const { trackers } = this.#context.ports;
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    // Both at once: a short file is fetched in less time than a round trip to a far tracker takes.
    const [located, manifest] = await Promise.all([
      trackers.locateFile(file, options),
      trackers.getManifest(file, options),
    ]);
    if (Buffer.compare(manifestHash(manifest), located.file.manifest_hash) !== 0) {
      throw new MtError(
        'PROTOCOL',
        `The trackers sent a manifest of "${file.fileName}" that is not the one they named`,
      );
    }
    const { size, sha1 } = decodeManifest(manifest);
    if (size !== located.file.size || Buffer.compare(sha1, located.file.sha1) !== 0) {
      throw new MtError('PROTOCOL', `The trackers contradict themselves about "${file.fileName}"`);
    }
    return { located, manifest };
  }

  /** Waits for the end, with progress; a caller that goes away changes nothing. */
  #follow(download: Download, { signal, onProgress }: DownloadCallOptions): Promise<DownloadAnswer> {
    return new Promise((resolve, reject) => {
      const beganMs = performance.now();
      const settle = (outcome: Outcome): void => {
        clearInterval(timer);
        stopWaiting();
        signal.removeEventListener('abort', onAbort);
        onProgress(download.row());
        if ('error' in outcome) reject(outcome.error);
        else resolve(answerOf(download, outcome.warning));
      };
      const onAbort = (): void =>
        settle({ error: new MtError('CANCELLED', 'The caller gave up; the download goes on') });
      const stopWaiting = download.wait(settle);
      const timer = setInterval(() => {
        onProgress(download.row());
        const sinceMs = download.sourcelessSinceMs;
        if (sinceMs === null || download.record.phase === 'paused') return;
        if (performance.now() - Math.max(sinceMs, beganMs) >= SOURCELESS_MS_MAX) settle({ error: download.noSource() });
      }, PROGRESS_MS);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) return onAbort();
      onProgress(download.row());
      const { phase, reasonCode, reason } = download.record;
      if (phase === 'complete') settle({ warning: null });
      else if (phase === 'failed') settle({ error: storedError(reasonCode, reason) });
    });
  }
}

function answerOf({ record, manifest }: Download, warning: string | null): DownloadAnswer {
  return {
    group_id: record.groupId,
    file_name: record.fileName,
    destination: record.destination,
    size: record.sizeBytes,
    sha1: Buffer.from(manifest.sha1).toString('hex'),
    state: record.phase === 'finishing' ? 'downloading' : record.phase,
    warning,
  };
}

function storedError(code: string | null, reason: string | null): MtError {
  const error = new MtError('INTERNAL', reason ?? 'The download failed');
  return isMtError(error) && code === 'INTEGRITY' ? new MtError('INTEGRITY', error.message) : error;
}

function keyOf(userId: string, { groupId, fileName }: FileRef): string {
  return `${userId}/${groupId}/${fileName}`;
}
