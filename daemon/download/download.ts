// One download from its record to its end: opens the `.part` file, keeps sources coming, pauses, goes on, finishes or fails. The
// pieces are the swarm's business; what must survive a crash is in the record and in the map of verified pieces.
//
//   open ──▶ running ⇄ halted (by the user, a full disk, logout) ──▶ finishing ──▶ complete        failed: nothing is left behind
import { rm } from 'node:fs/promises';
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { DownloadRow } from '../../codec/control-api.ts';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import { decodeManifest, type Manifest } from '../../codec/manifest.ts';
import { diskError, PieceFile } from '../disk/piece-file.ts';
import { bootId } from '../disk/resume.ts';
import { WholeHash } from '../disk/whole-hash.ts';
import type { Serving } from '../peer/serving.ts';
import { Swarm, type SwarmResources } from '../peer/swarm.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import type { DownloadChange, DownloadRecord, DownloadStore } from '../store/download-store.ts';
import { findSpaceProblem } from './destination.ts';
import { checkPieces, checkWhole, giveFinalName, isInPlace, recheck, settle, shareOf } from './finish.ts';
import { explain, type Reason } from './reasons.ts';
import { Sources } from './sources.ts';
import type { DataPlanePorts, LocatedFile } from './types.ts';

/** Content that came so recently counts as moving. */
const MOVING_MS = 3_000;
/** A full disk is looked at again this often. */
const DISK_RETRY_MS = 2_000;
/** A tracker that could not take `begin_download` is asked again after this. */
const BEGIN_RETRY_MS = 2_000;

export interface DownloadContext {
  readonly ports: DataPlanePorts;
  readonly store: DownloadStore;
  readonly resources: SwarmResources;
  readonly serving: Serving;
  readonly tls: SecureContext;
  readonly log: Logger;
  readonly mapPath: (record: DownloadRecord) => string;
}

/** How a download ended, for those who wait for it. */
export type Outcome = { readonly warning: string | null } | { readonly error: MtError };

export class Download {
  readonly #context: DownloadContext;
  #manifest: Manifest | null = null;
  #record: DownloadRecord;
  #file: PieceFile | null = null;
  #swarm: Swarm | null = null;
  #sources: Sources | null = null;
  #hash: WholeHash | null = null;
  /** Bytes of verified pieces while there is no swarm. */
  #bytesKnown: number;
  #begin: AbortController | null = null;
  #diskTimer: NodeJS.Timeout | null = null;
  /** Opening, closing and finishing happen one after the other. */
  #work: Promise<void> = Promise.resolve();
  #settling: Promise<void> | null = null;
  #isStopped = true;
  #located: LocatedFile | null;
  /** Since when no linked peer has a piece we lack; on the clock of performance.now(). null: one has. */
  sourcelessSinceMs: number | null = performance.now();
  readonly #waiters = new Set<(outcome: Outcome) => void>();

  /** @param bytesKnown bytes of verified pieces, from the map. */
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
    return this.#swarm?.stats.piecesVerified ?? 0;
  }

  /** Calls `onEnd` once when it is complete or has failed, or was halted by something other than the user. */
  wait(onEnd: (outcome: Outcome) => void): () => void {
    this.#waiters.add(onEnd);
    return () => this.#waiters.delete(onEnd);
  }

  /** Goes on from wherever the record says that it is. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    const { phase, reasonCode, settled } = this.#record;
    if (this.isActive) this.#context.resources.disk.warmUp();
    if (phase === 'downloading' || phase === 'finishing') this.#then(() => this.#run());
    else if (phase === 'paused' && reasonCode === 'DISK_FULL') this.#retryDisk();
    else if (phase === 'complete' && !settled) this.#then(() => this.#settleLate());
  }

  /** Logged out, or the daemon ends: everything is closed and nothing forgotten. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#disconnect();
    this.#end({ error: new MtError('NOT_LOGGED_IN', 'The download waits until its user is logged in here again') });
    this.#then(() => this.#closeFile());
    await this.#work;
    await this.#settling;
  }

  /** The user's pause: verified pieces are kept, and served while this daemon runs. */
  pause(): void {
    if (this.#record.phase !== 'downloading' && this.#record.phase !== 'paused') return;
    this.#halt({ reasonCode: null, reason: null });
  }

  resume(): void {
    if (this.#record.phase !== 'paused') return;
    this.#change({ phase: 'downloading', reasonCode: null, reason: null });
    if (this.#isStopped) return;
    this.#swarm?.step({ type: 'resume' });
    this.#then(() => this.#run());
  }

  /** Gives it up: what was fetched goes. Of a finished one, nothing does. */
  async cancel(): Promise<void> {
    const wasActive = this.isActive;
    this.#isStopped = true;
    if (!wasActive) return await this.#work;
    this.#disconnect();
    this.#end({ error: new MtError('CANCELLED', 'The download was cancelled') });
    this.#then(() => this.#discard());
    await this.#work;
  }

  /** It cannot be finished: says why, and leaves nothing behind. */
  fail(error: MtError): void {
    if (!this.isActive) return;
    const { groupId, fileName } = this.#record;
    this.#context.log.warn({ group: groupId, file: fileName, code: error.code }, error.message);
    this.#change({ phase: 'failed', reasonCode: error.code, reason: error.message });
    this.#disconnect();
    this.#end({ error });
    this.#then(() => this.#discard());
  }

  /** Tickets of this group are of an older epoch now. */
  renewTicket(): void {
    this.#sources?.renewSoon();
  }

  row(): DownloadRow {
    const { groupId, fileName, destination, phase, reason, reasonCode, sizeBytes } = this.#record;
    const isRunning = phase === 'downloading' || phase === 'finishing';
    const why = isRunning ? this.#standstill() : reason !== null ? { code: reasonCode, text: reason } : null;
    return {
      group_id: groupId,
      file_name: fileName,
      state: phase === 'finishing' ? 'downloading' : phase,
      bytes_done: phase === 'complete' ? sizeBytes : (this.#swarm?.stats.bytesVerified ?? this.#bytesKnown),
      size: sizeBytes,
      rate: isRunning ? (this.#swarm?.meter.rate() ?? 0) : 0,
      peers: isRunning ? (this.#swarm?.sourcesWithin(MOVING_MS) ?? 0) : 0,
      destination,
      reason: why?.text ?? null,
      reason_code: why?.code ?? null,
    };
  }

  /** Why nothing moves; null when something does. */
  #standstill(): Reason | null {
    const { ports, resources } = this.#context;
    if (this.#isStopped) return { code: 'NOT_LOGGED_IN', text: `${this.#record.userId} is not logged in here` };
    const swarm = this.#swarm;
    if (!swarm || !this.#sources) return null;
    if (swarm.sourcesWithin(MOVING_MS) > 0 || this.#record.phase === 'finishing') return null;
    return explain({
      known: this.#sources.known,
      linked: [...swarm.links('download')].length,
      useful: swarm.stats.sources,
      errors: this.#sources.errors(),
      trackers: ports.trackers.linkError() ?? this.#sources.locateError,
      onlyUser: this.#record.peer,
      limit: resources.downLimiter.rate,
    });
  }

  /** The error for whoever waited long enough without a source. */
  noSource(): MtError {
    const why = this.#standstill();
    return new MtError(
      'NO_SEEDERS',
      `"${this.#record.fileName}" has no source now: ${why?.text ?? 'no peer has the pieces that are missing'}`,
      'The download goes on by itself when a source comes online; see mt show_downloads.',
    );
  }

  /** Keeps `sourcelessSinceMs`. */
  noteSources(): void {
    const hasSource = (this.#swarm?.stats.sources ?? 0) > 0 || this.#record.phase !== 'downloading';
    if (hasSource) this.sourcelessSinceMs = null;
    else this.sourcelessSinceMs ??= performance.now();
  }

  async #run(): Promise<void> {
    const { phase } = this.#record;
    if (this.#isStopped || (phase !== 'downloading' && phase !== 'finishing')) return;
    if (phase === 'finishing' && !this.#file && (await isInPlace(this.#record))) return await this.#conclude();
    await this.#openFile();
    if (this.#swarm!.stats.piecesVerified === this.manifest.pieceCount) return await this.#finish();
    if (!this.#sources) this.#connect();
  }

  async #openFile(): Promise<void> {
    if (this.#file) return;
    const { resources, serving, mapPath } = this.#context;
    const record = this.#record;
    const content = { manifest: this.manifest, manifestHash: record.manifestHash };
    const { file, state } = await PieceFile.openPart(record.partPath, mapPath(record), content);
    const verified = state.verified.concat(await checkPieces(file, resources.disk, state.candidates));
    this.#file = file;
    this.#hash = new WholeHash(file, resources.disk, verified);
    this.#swarm = this.#makeSwarm(file, this.#hash, verified);
    serving.add(record, this.#swarm, record.manifestHash);
    const missing = this.manifest.size - this.#swarm.stats.bytesVerified;
    const problem = missing > 0 ? await findSpaceProblem(record.partPath, await this.#bytesToCome(missing)) : null;
    if (problem) throw problem;
  }

  #makeSwarm(file: PieceFile, hash: WholeHash, verified: readonly number[]): Swarm {
    const { resources, serving, log } = this.#context;
    const record = this.#record;
    const have = new Bitfield(this.manifest.pieceCount);
    for (const piece of verified) have.set(piece);
    return new Swarm({
      ...resources,
      file,
      have: have.toBytes(),
      hash,
      events: {
        onComplete: () => this.#then(() => this.#finish()),
        onSourceLost: (link, error) => this.#sources?.lost(link, error),
        onDiskError: (cause) => this.#onError(diskError(cause, record.partPath)),
        onBanned: ({ userId, fingerprint }, reason) => {
          const { groupId, fileName } = record;
          log.warn(
            { group: groupId, file: fileName, user: userId, fingerprint, reason },
            'a peer was banned for a file',
          );
        },
        onTicket: (link, ticket) => serving.renewTicket(record, record.manifestHash, link, ticket),
      },
    });
  }

  /** Of what is missing, what has no blocks on the disk yet. */
  async #bytesToCome(missing: number): Promise<number> {
    const { blocks } = await this.#file!.stat();
    return Math.max(0, Math.min(missing, this.manifest.size - Number(blocks) * 512));
  }

  #connect(): void {
    const { ports, tls, log } = this.#context;
    const { groupId, fileName, manifestHash, peer } = this.#record;
    const swarm = this.#swarm!;
    const located = this.#located;
    this.#located = null;
    this.#sources = new Sources(
      {
        file: { groupId, fileName },
        manifestHash,
        context: tls,
        ownFingerprint: ports.identity.fingerprint,
        onlyUser: peer,
        trackers: ports.trackers,
        isBanned: (fingerprint) => swarm.isBanned(fingerprint),
        onLink: (link) => swarm.addLink(link),
        onTicket: (ticket) => {
          for (const link of swarm.links('download')) link.sendTicket(ticket);
        },
        onRefused: (error) => this.fail(error),
        log,
      },
      located,
    );
    this.#begin = new AbortController();
    void this.#announce(this.#begin.signal);
  }

  /** Tells the trackers that this daemon is a partial source, as soon as they listen. */
  async #announce(signal: AbortSignal): Promise<void> {
    const { trackers } = this.#context.ports;
    const { groupId, fileName, manifestHash } = this.#record;
    while (!signal.aborted) {
      try {
        return await trackers.beginDownload({ groupId, fileName }, manifestHash, { signal });
      } catch (error) {
        if (signal.aborted || isMtError(error, 'ALREADY_SHARED')) return;
        if (isMtError(error, 'NO_SUCH_FILE', 'NO_SUCH_GROUP', 'NOT_MEMBER')) return this.fail(error);
      }
      await new Promise((resolve) => setTimeout(resolve, BEGIN_RETRY_MS).unref());
    }
  }

  #disconnect(): void {
    this.#begin?.abort();
    this.#sources?.close();
    this.#sources = null;
    if (this.#diskTimer) clearInterval(this.#diskTimer);
    this.#diskTimer = null;
    for (const link of [...(this.#swarm?.links('download') ?? [])]) link.close();
  }

  #halt(why: { reasonCode: string | null; reason: string | null }): void {
    this.#change({ phase: 'paused', ...why });
    this.#swarm?.step({ type: 'pause' });
    this.#disconnect();
  }

  /** A full disk halts this download alone, and is looked at again; other troubles of the disk wait for the user. */
  #onError(error: MtError): void {
    if (this.#record.phase !== 'downloading' && this.#record.phase !== 'finishing') return;
    const { groupId, fileName } = this.#record;
    this.#context.log.warn({ group: groupId, file: fileName, code: error.code }, error.message);
    this.#halt({ reasonCode: error.code, reason: error.message });
    this.#end({ error });
    if (error.code === 'DISK_FULL') this.#retryDisk();
  }

  #retryDisk(): void {
    if (this.#isStopped || this.#diskTimer) return;
    this.#diskTimer = setInterval(async () => {
      const missing = this.manifest.size - this.row().bytes_done;
      const toCome = this.#file ? await this.#bytesToCome(missing) : missing;
      if (await findSpaceProblem(this.#record.partPath, toCome)) return;
      if (this.#record.phase === 'paused' && this.#record.reasonCode === 'DISK_FULL') this.resume();
    }, DISK_RETRY_MS);
    this.#diskTimer.unref();
  }

  async #finish(): Promise<void> {
    const file = this.#file;
    if (this.#isStopped || !this.isActive || !file || !this.#hash || !this.#swarm) return;
    if (this.#swarm.stats.piecesVerified < this.manifest.pieceCount) return;
    this.#disconnect();
    this.#change({ phase: 'finishing', reasonCode: null, reason: null, inode: (await file.stat()).ino });
    const isRight = await checkWhole(this.#record, { file, hash: this.#hash, disk: this.#context.resources.disk });
    if (!isRight) {
      this.#context.log.warn(
        { file: this.#record.partPath },
        'verified pieces changed on the disk; they are fetched again',
      );
      this.#change({ phase: 'downloading' });
      await this.#closeFile();
      return await this.#run();
    }
    await giveFinalName(this.#record);
    await this.#conclude();
  }

  /** The file has its final name: it becomes a share, and is made safe while it is served already. */
  async #conclude(): Promise<void> {
    const { ports, serving, mapPath, log } = this.#context;
    const share = await shareOf(this.#record);
    const swarm = this.#swarm;
    const file = this.#file;
    // Remembered by the registry at once; the trackers may take a while.
    const recorded = ports.shares.addDownloaded(share);
    recorded.catch(() => {});
    if (swarm) serving.becomeShare(this.#record, swarm, share);
    this.#change({ phase: 'complete', bootId: bootId().toString('hex') });
    this.#swarm = null;
    this.#file = null;
    this.#hash = null;
    if (file) {
      const record = this.#record;
      this.#settling = settle(record, file, mapPath(record))
        .then(() => this.#change({ settled: true }))
        .catch((error: unknown) =>
          log.warn({ err: error, file: record.destination }, 'a finished file could not be synced'),
        );
    }
    this.#end({ warning: await recorded });
  }

  /** Finished in an earlier run, and perhaps lost with the power since. */
  async #settleLate(): Promise<void> {
    const { resources, mapPath, ports, log } = this.#context;
    const content = { manifest: this.manifest, manifestHash: this.#record.manifestHash };
    try {
      if (
        !(await isInPlace(this.#record)) ||
        (await recheck(this.#record, content, resources.disk, mapPath(this.#record)))
      ) {
        this.#change({ settled: true });
        return;
      }
    } catch (error) {
      return log.warn({ err: error, file: this.#record.destination }, 'a finished file could not be checked');
    }
    log.warn({ file: this.#record.destination }, 'a finished file lost pieces with the power; they are fetched again');
    ports.shares.reportChanged(this.#record, 'missing');
    this.#change({ phase: 'downloading' });
    await this.#run();
  }

  async #closeFile(): Promise<void> {
    const swarm = this.#swarm;
    const file = this.#file;
    if (!file || !swarm) return;
    this.#bytesKnown = swarm.stats.bytesVerified;
    this.#swarm = null;
    this.#file = null;
    this.#hash = null;
    this.#context.serving.remove(this.#record, swarm);
    swarm.close();
    await file.close();
  }

  async #discard(): Promise<void> {
    const { ports, mapPath } = this.#context;
    const { groupId, fileName, partPath } = this.#record;
    await this.#closeFile();
    ports.shares.giveUp({ groupId, fileName });
    await rm(partPath, { force: true });
    await rm(mapPath(this.#record), { force: true });
    this.#bytesKnown = 0;
  }

  #change(change: DownloadChange): void {
    this.#record = this.#context.store.change(this.#record, change);
  }

  #end(outcome: Outcome): void {
    for (const onEnd of [...this.#waiters]) onEnd(outcome);
    this.#waiters.clear();
  }

  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((caught: unknown) => {
      const error = toMtError(caught);
      if (error.code === 'INTEGRITY') this.fail(error);
      else this.#onError(error);
    });
  }
}
