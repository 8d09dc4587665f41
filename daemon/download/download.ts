// One download from its record to its end: runs, pauses, goes on, finishes or fails. What must survive a crash is in the record
// and in the map of verified pieces; everything else is made anew from them.
//
//   running ⇄ halted (by the user, a full disk, logout) ──▶ finishing ──▶ complete        failed: nothing is left behind
import { rm } from 'node:fs/promises';
import type { DownloadRow } from '../../codec/control-api.ts';
import { MtError, toMtError } from '../../codec/errors.ts';
import { decodeManifest, type Manifest } from '../../codec/manifest.ts';
import type { PieceFile } from '../disk/piece-file.ts';
import { bootId } from '../disk/resume.ts';
import type { DownloadChange, DownloadRecord } from '../store/download-store.ts';
import { discardStaging, isDirectory, roomToFinish, unpackDownload } from '../tree/finish-tree.ts';
import { findSpaceProblem } from './destination.ts';
import { checkWhole, giveFinalName, hadFinalName, isInPlace, recheck, settle, shareOf } from './finish.ts';
import { type DownloadContext, OpenDownload } from './open-download.ts';
import { noSourceError, type Reason } from './reasons.ts';
import { downloadRow } from './row.ts';
import type { LocatedFile } from './types.ts';

/** A full disk is looked at again this often. */
const DISK_RETRY_MS = 2_000;
/** A finished file is made safe after so long, also when the trackers have not answered yet. */
const SETTLE_MS_MAX = 1_000;

/** How a download ended, for those who wait for it. */
export type Outcome = { readonly warning: string | null } | { readonly error: MtError };

export class Download {
  readonly #context: DownloadContext;
  #manifest: Manifest | null = null;
  #record: DownloadRecord;
  #open: OpenDownload | null = null;
  /** Bytes of verified pieces while it is not open. */
  #bytesKnown: number;
  #diskTimer: NodeJS.Timeout | null = null;
  /** Opening, finishing and closing happen one after the other. */
  #work: Promise<void> = Promise.resolve();
  #settling: Promise<void> | null = null;
  /** Its row, with what the `.part` file is, survives a power loss. */
  #noted: Promise<void> = Promise.resolve();
  #isStopped = true;
  #located: LocatedFile | null;
  /** Since when no linked peer has a piece we lack; on the clock of performance.now(). null: one has. */
  sourcelessSinceMs: number | null = performance.now();
  readonly #waiters = new Set<(outcome: Outcome) => void>();

  /**
   * @param bytesKnown bytes of verified pieces, from the map.
   * @param located what the trackers said already, if they did.
   */
  constructor(context: DownloadContext, record: DownloadRecord, bytesKnown: number, located: LocatedFile | null) {
    this.#context = context;
    this.#record = record;
    this.#bytesKnown = bytesKnown;
    this.#located = located;
  }

  /** Not of one that was settled in an earlier run. */
  get manifest(): Manifest {
    this.#manifest ??= decodeManifest(this.#record.manifest);
    return this.#manifest;
  }

  get record(): DownloadRecord {
    return this.#record;
  }

  /** Whether it still has something to do: not complete, not failed. */
  get isActive(): boolean {
    return this.#record.phase !== 'complete' && this.#record.phase !== 'failed';
  }

  get verifiedPieces(): number {
    return this.#open?.swarm.stats.piecesVerified ?? 0;
  }

  /** Calls `onEnd` once: it is complete or has failed, or something other than the user halted it. */
  wait(onEnd: (outcome: Outcome) => void): () => void {
    this.#waiters.add(onEnd);
    return () => this.#waiters.delete(onEnd);
  }

  /** Goes on from wherever the record says that it is. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    const { phase, reasonCode, settled } = this.#record;
    if (this.isActive) this.#context.resources.disk.warmUp(this.#record.sizeBytes);
    if (phase === 'downloading' || phase === 'finishing') this.#then(() => this.#run());
    else if (phase === 'paused' && reasonCode === 'DISK_FULL') this.#retryDisk();
    else if (phase === 'complete' && !settled) this.#then(() => this.#settleLate());
  }

  /** Logged out, or the daemon ends: everything is closed and nothing forgotten. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#disconnect();
    this.#end({ error: new MtError('NOT_LOGGED_IN', 'The download waits until its user is logged in here again') });
    this.#then(() => this.#close());
    await this.#work;
    await this.#settling;
  }

  /** The user's pause: verified pieces are kept, and served while this daemon runs. */
  pause(): void {
    const { phase } = this.#record;
    if (phase === 'downloading' || phase === 'paused') this.#halt({ reasonCode: null, reason: null });
  }

  resume(): void {
    if (this.#record.phase !== 'paused') return;
    this.#change({ phase: 'downloading', reasonCode: null, reason: null });
    if (!this.#isStopped) this.#then(() => this.#run());
  }

  /** Gives it up: what was fetched goes. Of a finished one, nothing does. */
  async cancel(): Promise<void> {
    const wasActive = this.isActive;
    this.#isStopped = true;
    if (wasActive) {
      this.#disconnect();
      this.#end({ error: new MtError('CANCELLED', 'The download was cancelled') });
      this.#then(() => this.#discard());
    }
    await this.#work;
    await this.#settling;
  }

  /** It cannot be finished: says why, and leaves nothing behind. */
  fail(error: MtError): void {
    if (!this.isActive) return;
    this.#warn(error);
    this.#change({ phase: 'failed', reasonCode: error.code, reason: error.message });
    this.#disconnect();
    // Whoever waits finds nothing left behind.
    this.#then(() => this.#discard().finally(() => this.#end({ error })));
  }

  /** Tickets of this group are of an older epoch now. */
  renewTicket(): void {
    this.#open?.renewTicket();
  }

  row(): DownloadRow {
    const open = this.#open;
    return downloadRow(this.#record, {
      bytesVerified: open?.swarm.stats.bytesVerified ?? this.#bytesKnown,
      rate: open?.swarm.meter.rate() ?? 0,
      peers: open?.movingSources ?? 0,
      reason: this.#reason(),
    });
  }

  /** The error for whoever waited long enough without a source. */
  noSource(): MtError {
    return noSourceError(this.#record.fileName, this.#reason());
  }

  /** Keeps `sourcelessSinceMs`. */
  noteSources(): void {
    const hasSource = this.#record.phase !== 'downloading' || (this.#open?.swarm.stats.sources ?? 0) > 0;
    this.sourcelessSinceMs = hasSource ? null : (this.sourcelessSinceMs ?? performance.now());
  }

  #reason(): Reason | null {
    const { phase, reason, reasonCode, userId } = this.#record;
    if (reason !== null) return { code: reasonCode ?? 'INTERNAL', text: reason };
    if (phase !== 'downloading') return null;
    if (this.#isStopped) return { code: 'NOT_LOGGED_IN', text: `${userId} is not logged in here` };
    return this.#open?.standstill() ?? null;
  }

  async #run(): Promise<void> {
    const { phase } = this.#record;
    if (this.#isStopped || (phase !== 'downloading' && phase !== 'finishing')) return;
    if (!this.#open && (await hadFinalName(this.#record))) {
      await giveFinalName(this.#record);
      return await this.#conclude();
    }
    this.#open ??= await OpenDownload.open(this.#context, this.#record, this.manifest, {
      onWhole: () => this.#then(() => this.#finish()),
      onDiskError: (error) => this.#onError(error),
      onRefused: (error) => this.fail(error),
    });
    await this.#noteFile(this.#open.file);
    if (this.#open.isWhole) return await this.#finish();
    const toCome = (await this.#open.bytesToCome()) + roomToFinish(this.#record);
    const problem = await findSpaceProblem(this.#record.partPath, toCome);
    if (problem) throw problem;
    if (this.#isStopped || this.#record.phase !== 'downloading' || this.#open.isConnected) return;
    const located = this.#located;
    this.#located = null;
    this.#open.connect(located);
  }

  /**
   * Notes which file it is, long before that has its final name: after a power loss, one that has it must not be taken for one that
   * is still to be fetched. Other threads wait for the disk meanwhile. A directory's place is known when it is unpacked.
   */
  async #noteFile(file: PieceFile): Promise<void> {
    if (!isDirectory(this.#record)) {
      const { ino } = await file.stat();
      this.#change({ inode: ino, bootId: bootId().toString('hex') });
    }
    this.#noted = this.#context.store.sync();
    this.#noted.catch((error: unknown) => this.#context.log.warn({ err: error }, 'a download is not synced'));
  }

  #disconnect(): void {
    if (this.#diskTimer) clearInterval(this.#diskTimer);
    this.#diskTimer = null;
    this.#open?.disconnect();
  }

  #halt(why: { reasonCode: string | null; reason: string | null }): void {
    this.#change({ phase: 'paused', ...why });
    this.#disconnect();
  }

  /** A full disk halts this download alone, and is looked at again; other troubles of the disk wait for the user. */
  #onError(error: MtError): void {
    if (this.#record.phase !== 'downloading' && this.#record.phase !== 'finishing') return;
    this.#warn(error);
    this.#halt({ reasonCode: error.code, reason: error.message });
    this.#end({ error });
    if (error.code === 'DISK_FULL') this.#retryDisk();
  }

  #retryDisk(): void {
    if (this.#isStopped || this.#diskTimer) return;
    this.#diskTimer = setInterval(async () => {
      const toCome = this.#open ? await this.#open.bytesToCome() : this.#record.sizeBytes - this.#bytesKnown;
      if (await findSpaceProblem(this.#record.partPath, toCome + roomToFinish(this.#record))) return;
      if (this.#record.phase === 'paused' && this.#record.reasonCode === 'DISK_FULL') this.resume();
    }, DISK_RETRY_MS);
    this.#diskTimer.unref();
  }

  async #finish(): Promise<void> {
    const open = this.#open;
    if (this.#isStopped || !this.isActive || !open?.isWhole) return;
    this.#disconnect();
    this.#change({ phase: 'finishing', reasonCode: null, reason: null });
    const { file, hash } = open;
    if (!(await checkWhole(this.#record, { file, hash, disk: this.#context.resources.disk }))) {
      const { partPath } = this.#record;
      this.#context.log.warn({ file: partPath }, 'verified pieces changed on the disk; they are fetched again');
      this.#change({ phase: 'downloading' });
      await this.#close();
      return await this.#run();
    }
    if (isDirectory(this.#record)) {
      const unpacked = await unpackDownload(this.#record, () => this.#isStopped || !this.isActive);
      if (unpacked === null) return;
      this.#change({ inode: unpacked });
      await this.#context.store.sync();
    }
    await this.#noted.catch(() => this.#context.store.sync());
    await giveFinalName(this.#record);
    await this.#conclude();
  }

  /** The file has its final name: it becomes a share, and is made safe while it is served already. */
  async #conclude(): Promise<void> {
    const { ports, serving } = this.#context;
    const share = await shareOf(this.#record);
    const open = this.#open;
    this.#open = null;
    // The registry remembers it at once; the trackers may take a while.
    const recorded = ports.shares.addDownloaded(share);
    recorded.catch(() => {});
    if (open) serving.becomeShare(this.#record, open.swarm, share);
    this.#change({ phase: 'complete' });
    if (open) this.#settling = this.#settle(open.file, recorded);
    else this.#then(() => this.#settleLate());
    this.#end({ warning: await recorded });
  }

  /** @param first what is waited for by somebody: a disk that writes out the whole file has no time for a tracker on it. */
  async #settle(file: PieceFile, first: Promise<unknown>): Promise<void> {
    const { mapPath, log } = this.#context;
    await Promise.race([first.catch(() => {}), new Promise((resolve) => setTimeout(resolve, SETTLE_MS_MAX).unref())]);
    try {
      await settle(this.#record, file, mapPath(this.#record));
      this.#change({ settled: true });
    } catch (error) {
      log.warn({ err: error, file: this.#record.destination }, 'a finished file could not be synced');
    }
  }

  /** Finished in an earlier run, and perhaps lost with the power since. */
  async #settleLate(): Promise<void> {
    const { resources, mapPath, ports, log } = this.#context;
    const record = this.#record;
    const content = { manifest: this.manifest, manifestHash: record.manifestHash };
    try {
      // Moved or deleted by its user since: no longer our concern.
      const isSafe = !(await isInPlace(record)) || (await recheck(record, content, resources.disk, mapPath(record)));
      if (isSafe) return this.#change({ settled: true });
    } catch (error) {
      return log.warn({ err: error, file: record.destination }, 'a finished file could not be checked');
    }
    log.warn({ file: record.destination }, 'a finished file lost pieces with the power; they are fetched again');
    ports.shares.reportChanged(record, 'missing');
    this.#change({ phase: 'downloading' });
    await this.#run();
  }

  async #close(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#bytesKnown = open.swarm.stats.bytesVerified;
    this.#open = null;
    await open.close();
  }

  async #discard(): Promise<void> {
    const { ports, mapPath } = this.#context;
    const { groupId, fileName, partPath } = this.#record;
    await this.#close();
    ports.shares.giveUp({ groupId, fileName });
    await rm(partPath, { force: true });
    await discardStaging(this.#record);
    await rm(mapPath(this.#record), { force: true });
    this.#bytesKnown = 0;
  }

  #change(change: DownloadChange): void {
    this.#record = this.#context.store.change(this.#record, change);
  }

  #warn(error: MtError): void {
    const { groupId, fileName } = this.#record;
    this.#context.log.warn({ group: groupId, file: fileName, code: error.code }, error.message);
  }

  #end(outcome: Outcome): void {
    for (const onEnd of [...this.#waiters]) onEnd(outcome);
    this.#waiters.clear();
  }

  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((caught: unknown) => {
      const error = toMtError(caught);
      if (error.code === 'INTERNAL') this.#context.log.error({ err: caught }, 'a download met something unexpected');
      if (error.code === 'INTEGRITY') this.fail(error);
      else this.#onError(error);
    });
  }
}
