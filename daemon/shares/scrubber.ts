// Reads all shares again and again, slowly, and compares every piece with its manifest. A piece that differs though nobody wrote
// to the file (inode, size and time are as they were) is rotten: not served from that moment on, and given to the repair. When
// somebody did write, the file is changed, which is its user's business.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MtError } from '../../codec/errors.ts';
import { decodeManifest } from '../../codec/manifest.ts';
import { sameFile } from '../disk/file-identity.ts';
import { PieceFile } from '../disk/piece-file.ts';
import type { FileRef } from '../download/types.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import type { Shares } from '../share.ts';
import type { ShareRecord } from '../store/share-store.ts';
import { type Pace, type PieceChecker, sourceOf } from './check-pieces.ts';
import { dueAtMs, nextToScrub, Pacer, rateNow, type ScrubSettings } from './scrub-plan.ts';
import { keyOf } from './share-files.ts';

/** Whether something is due is looked at so often. */
const LOOK_MS = 1_000;
/** A restart costs at most so much of a round. */
const CURSOR_MS = 30_000;
/** A repair is waited for in steps of so long. */
const HELD_MS = 100;
/** A file that may not be read, say, is left alone for so long. */
const FAILED_REST_MS = 10 * 60_000;

export interface ScrubberParts {
  readonly shares: Shares;
  readonly checker: PieceChecker;
  /** Content that moves now, both ways, in bytes a second. */
  readonly movingBytesPerS: () => number;
  /** Pieces were found rotten in the background. */
  readonly onRotten: () => void;
  readonly log: Logger;
}

export interface RoundOptions {
  readonly pace: Pace;
  /** The piece to begin with. */
  readonly from: number;
  readonly onProgress: (bytesDone: number, size: number) => void;
  readonly onRotten: () => void;
}

export class Scrubber {
  readonly #parts: ScrubberParts;
  readonly #closing = new AbortController();
  readonly #asked = new Set<string>();
  readonly #pacer = new Pacer();
  /** Shares that could not be read: not tried again before this Unix ms. */
  readonly #restUntilMs = new Map<string, number>();
  readonly #loop: Promise<void>;
  #settings: ScrubSettings;
  #running: { group_id: string; file_name: string; bytes_done: number; size: number } | null = null;
  /** Since the start: read and compared, found rotten. */
  bytesRead = 0;
  piecesRotten = 0;

  constructor(parts: ScrubberParts, settings: ScrubSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#loop = this.#run();
  }

  get settings(): ScrubSettings {
    return this.#settings;
  }

  /** What is read now in the background. */
  get running() {
    return this.#running;
  }

  /** Shares whose user asked for them and that are not read yet. */
  get asked(): number {
    return this.#asked.size;
  }

  /** Holds from the next read on. */
  configure(settings: ScrubSettings): void {
    this.#settings = settings;
  }

  /** All shares of the user are due now. */
  askForAll(): void {
    for (const record of this.#parts.shares.records()) this.#asked.add(keyOf(record.userId, record));
  }

  /**
   * Reads one share at once and at full speed.
   * @throws MtError NO_SUCH_SHARE; PATH_NOT_FOUND when its file is gone, INTEGRITY when it was changed.
   */
  async scrubNow(
    file: FileRef,
    { signal, onProgress }: { signal: AbortSignal; onProgress: RoundOptions['onProgress'] },
  ): Promise<{ pieces: number; rotten: number }> {
    const { shares } = this.#parts;
    const pace = () => signal.throwIfAborted();
    const onRotten = () => {}; // its repair begins when all of it is known
    for (let from: number | null = 0; from !== null; ) {
      const record = shares.record(file);
      if (!record) throw noSuchShare(file);
      from = await this.#round(record, { pace, from, onProgress, onRotten });
      const now = shares.record(file);
      if (from === null || !now) continue;
      const problem = await shares.look(now);
      if (problem) throw lostError(now, problem);
      // A repair writes to it just now.
      await sleep(HELD_MS, null, { signal, ref: false });
    }
    const now = shares.record(file);
    if (!now) throw noSuchShare(file);
    return { pieces: shares.pieceCount(now), rotten: shares.rottenOf(now)?.count ?? 0 };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const next = this.#next(Date.now());
      if (!next) {
        await sleep(LOOK_MS, null, { signal, ref: false }).catch(() => {});
        continue;
      }
      this.#asked.delete(keyOf(next.userId, next));
      try {
        await this.#inBackground(next);
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.log.warn(
          { err: error, group: next.groupId, file: next.fileName },
          'a share could not be read again',
        );
        this.#restUntilMs.set(keyOf(next.userId, next), Date.now() + FAILED_REST_MS);
      } finally {
        this.#running = null;
      }
    }
  }

  /** Looked for every second among perhaps 100,000 shares: what few of them fail comes first. */
  #next(nowMs: number): ShareRecord | null {
    const { shares } = this.#parts;
    const isAsked = (record: ShareRecord) => this.#asked.size > 0 && this.#asked.has(keyOf(record.userId, record));
    const due = shares.records().filter((record) => dueAtMs(record, isAsked(record), this.#settings) <= nowMs);
    const there = due.filter((record) => {
      return !shares.problemOf(record) && (this.#restUntilMs.get(keyOf(record.userId, record)) ?? 0) <= nowMs;
    });
    return nextToScrub(there, isAsked, this.#settings, nowMs);
  }

  async #inBackground(record: ShareRecord): Promise<void> {
    const { signal } = this.#closing;
    const { groupId: group_id, fileName: file_name, sizeBytes: size } = record;
    this.#running = { group_id, file_name, bytes_done: 0, size };
    const pace: Pace = async (bytes) => {
      for (;;) {
        const rate = rateNow(this.#settings, this.#parts.movingBytesPerS());
        const waitMs = this.#pacer.waitMs(rate, performance.now());
        if (waitMs === 0) break;
        await sleep(waitMs, null, { signal, ref: false });
      }
      this.#pacer.spend(bytes);
      signal.throwIfAborted();
    };
    const onProgress = (bytesDone: number) => {
      this.#running = { group_id, file_name, bytes_done: bytesDone, size };
    };
    await this.#round(record, { pace, from: record.scrubNext, onProgress, onRotten: this.#parts.onRotten });
  }

  /** @returns null: all of it was read; else the piece before which the file was gone, or not the one that was shared. */
  async #round(record: ShareRecord, { pace, from, onProgress, onRotten }: RoundOptions): Promise<number | null> {
    const { shares, checker } = this.#parts;
    const encoded = shares.manifestOf(record);
    if (!encoded || (await shares.look(record))) return from;
    const manifest = decodeManifest(encoded);
    const content = { manifest, manifestHash: record.manifestHash };
    const file = await PieceFile.openShare(record.path, content, record);
    if (!file) return from;
    const source = sourceOf(file);
    let savedAtMs = performance.now();
    try {
      for (let piece = from; piece < manifest.pieceCount; piece++) {
        const isRight = await this.#check(record, () => checker.isRight(source, manifest, piece, pace));
        this.bytesRead += Math.min(manifest.pieceSize, manifest.size - piece * manifest.pieceSize);
        if (isRight === null || !(await this.#note(record, piece, isRight, onRotten))) {
          // Written to, by its user or by a repair: if it is whole, the round goes on here.
          shares.change(record, { scrubNext: piece });
          return piece;
        }
        onProgress(Math.min(manifest.size, (piece + 1) * manifest.pieceSize), manifest.size);
        if (performance.now() - savedAtMs < CURSOR_MS) continue;
        savedAtMs = performance.now();
        shares.change(record, { scrubNext: piece + 1 });
      }
      // It may have been written to after its last piece was read: then that is seen next time.
      shares.change(record, { scrubbedAtMs: Date.now(), scrubNext: 0 });
      return null;
    } finally {
      await file.close();
    }
  }

  /** null: a file of a directory is not the one that was shared; each is looked at when its turn comes. */
  async #check(opened: ShareRecord, check: () => Promise<boolean>): Promise<boolean | null> {
    try {
      // Twice: what a cable or a bit of memory got wrong once is not the disk's doing.
      return (await check()) || (await check());
    } catch (error) {
      const record = this.#parts.shares.record(opened);
      if (!record || !isSameShare(record, opened) || (await this.#parts.shares.look(record))) return null;
      throw error;
    }
  }

  /** @returns false when the share has ended, or its file is another than was opened. */
  async #note(opened: ShareRecord, piece: number, isRight: boolean, onRotten: () => void): Promise<boolean> {
    const { shares, log } = this.#parts;
    const record = shares.record(opened);
    if (!record || !isSameShare(record, opened)) return false;
    const rotten = shares.rottenOf(record) ?? new Bitfield(shares.pieceCount(record));
    if (rotten.has(piece) === !isRight) return true;
    // Written to by its user: that is seen by its time, and then it is no rot.
    if (await shares.look(record)) return false;
    if (isRight) rotten.clear(piece);
    else rotten.set(piece);
    shares.change(record, { rotten: rotten.count > 0 ? rotten.toBytes() : null });
    if (isRight) return true;
    this.piecesRotten++;
    log.warn(
      { group: record.groupId, file: record.fileName, piece },
      'a piece of a shared file is damaged on the disk',
    );
    onRotten();
    return true;
  }
}

/** The same user's, and nothing was written to it by us or found elsewhere. */
function isSameShare(a: ShareRecord, b: ShareRecord): boolean {
  return a.userId === b.userId && sameFile(a, b) && a.tree === b.tree;
}

export function noSuchShare({ groupId, fileName }: FileRef): MtError {
  return new MtError(
    'NO_SUCH_SHARE',
    `"${fileName}" of group ${groupId} is not shared from here`,
    'See what is: mt show_shares',
  );
}

function lostError({ path }: ShareRecord, problem: 'missing' | 'changed'): MtError {
  if (problem === 'missing') return new MtError('PATH_NOT_FOUND', `There is no file "${path}"`, 'See: mt show_shares');
  return new MtError('INTEGRITY', `"${path}" was written to since it was shared`, 'See: mt show_shares');
}
