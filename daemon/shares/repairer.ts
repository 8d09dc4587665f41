// Mends shares with rotten pieces: fetches only those from the group into a file of its own, verified, and then writes them in place.
// The user's file is touched for that moment only, and never when anybody else has written to it. Nobody has them: tried again later.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { MtError, toMtError } from '../../codec/errors.ts';
import { decodeManifest, type Manifest } from '../../codec/manifest.ts';
import { PieceFile } from '../disk/piece-file.ts';
import type { DataPlane } from '../download/types.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import type { Shares } from '../share.ts';
import type { ShareRecord } from '../store/share-store.ts';
import { type PieceChecker, sourceOf } from './check-pieces.ts';
import { editedMeanwhile, InPlace } from './in-place.ts';
import { noSuchShare } from './scrubber.ts';
import { keyOf } from './share-files.ts';

const LOOK_MS = 5_000;
/** Each keeps a stream of news and dials. */
const REPAIRS_MAX = 2;
const RETRY_MS_MIN = 30_000;
const RETRY_MS_MAX = 30 * 60_000;
const COPY_SIZE = 1024 * 1024;

export interface RepairerParts {
  readonly shares: Shares;
  readonly checker: PieceChecker;
  readonly dataPlane: Pick<DataPlane, 'fetchPieces'>;
  /** For pieces on their way; its content is nobody else's. */
  readonly directory: string;
  readonly log: Logger;
}

interface Attempts {
  failed: number;
  /** On the clock of performance.now(). */
  nextAtMs: number;
}

export class Repairer {
  readonly #parts: RepairerParts;
  readonly #closing = new AbortController();
  readonly #attempts = new Map<string, Attempts>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #number = 0;
  /** Since the start. */
  piecesRepaired = 0;

  constructor(parts: RepairerParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.kick(), LOOK_MS);
    this.#timer.unref();
  }

  get underWay(): number {
    return this.#running.size;
  }

  /** Starts what is due. */
  kick(): void {
    const { shares } = this.#parts;
    for (const record of shares.records()) {
      const key = keyOf(record.userId, record);
      if (this.#closing.signal.aborted || this.#running.size >= REPAIRS_MAX) return;
      if (!record.rotten || shares.problemOf(record) || this.#running.has(key)) continue;
      if (performance.now() < (this.#attempts.get(key)?.nextAtMs ?? 0)) continue;
      this.#running.set(
        key,
        this.#attempt(record, key).finally(() => {
          this.#running.delete(key);
          // More may have been found meanwhile.
          this.kick();
        }),
      );
    }
  }

  /** Its user asks: what failed before is tried again now. */
  retry(): void {
    this.#attempts.clear();
    this.kick();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.all(this.#running.values());
  }

  async #attempt(record: ShareRecord, key: string): Promise<void> {
    const { shares, log } = this.#parts;
    const about = { group: record.groupId, file: record.fileName };
    try {
      const mended = await this.#repair(record);
      this.#attempts.delete(key);
      shares.note(record, null);
      log.info({ ...about, pieces: mended }, 'damaged pieces were fetched again and written in place');
    } catch (caught) {
      if (this.#closing.signal.aborted) return;
      const error = toMtError(caught);
      const failed = (this.#attempts.get(key)?.failed ?? 0) + 1;
      const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failed - 1, 10));
      this.#attempts.set(key, { failed, nextAtMs: performance.now() + pauseMs });
      shares.note(record, `they could not be repaired (${error.message}) and are tried again`);
      if (error.code === 'INTERNAL') log.error({ err: caught, ...about }, 'a repair met something unexpected');
      else log.warn({ code: error.code, ...about }, error.message);
    }
  }

  /** @returns how many pieces were mended. */
  async #repair(record: ShareRecord): Promise<number> {
    const { shares, dataPlane, directory } = this.#parts;
    const rotten = shares.rottenOf(record);
    const encoded = shares.manifestOf(record);
    if (!rotten || !encoded) throw noSuchShare(record);
    const manifest = decodeManifest(encoded);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const place = join(directory, `repair-${++this.#number}`);
    const paths = { partPath: `${place}.part`, mapPath: `${place}.map` };
    const remove = () => Promise.all(Object.values(paths).map((path) => rm(path, { force: true })));
    await remove(); // of a run that was killed
    try {
      const pieces = [...rotten.pieces()];
      const fetched = await dataPlane.fetchPieces({
        ...paths,
        file: record,
        manifest,
        manifestHash: record.manifestHash,
        pieces,
        signal: this.#closing.signal,
        onNews: (why) =>
          shares.note(record, why === null ? 'they are being fetched again' : `their repair waits: ${why}`),
      });
      try {
        return await this.#write(record, manifest, pieces, fetched);
      } finally {
        await fetched.close();
      }
    } finally {
      await remove();
    }
  }

  /** The fetched pieces take the place of the rotten ones, unless the file is not what it was. */
  async #write(
    opened: ShareRecord,
    manifest: Manifest,
    pieces: readonly number[],
    fetched: PieceFile,
  ): Promise<number> {
    const { shares } = this.#parts;
    const record = shares.record(opened);
    if (record?.userId !== opened.userId || (await shares.look(record))) throw editedMeanwhile(opened.path);
    const release = shares.hold(record);
    try {
      const inPlace = new InPlace(record, (change) => shares.change(record, change));
      try {
        const buffer = Buffer.alloc(COPY_SIZE);
        for (const piece of pieces) {
          const { position, size } = fetched.place(piece);
          for (let done = 0; done < size; done += COPY_SIZE) {
            const part = buffer.subarray(0, Math.min(COPY_SIZE, size - done));
            await readPart(fetched, part, position + done);
            await inPlace.write(part, position + done);
          }
        }
        await inPlace.sync();
      } finally {
        await inPlace.close();
      }
      return await this.#noteMended(record, manifest, pieces);
    } finally {
      release();
    }
  }

  /** Reads again what was written. */
  async #noteMended(record: ShareRecord, manifest: Manifest, pieces: readonly number[]): Promise<number> {
    const { shares, checker } = this.#parts;
    // The writing has changed times.
    const content = { manifest, manifestHash: record.manifestHash };
    const file = await PieceFile.openShare(record.path, content, shares.record(record) ?? record);
    if (!file) throw editedMeanwhile(record.path);
    const right: number[] = [];
    try {
      const source = sourceOf(file);
      for (const piece of pieces) if (await checker.isRight(source, manifest, piece, () => {})) right.push(piece);
    } finally {
      await file.close();
    }
    // The scrub may have found more of them meanwhile.
    const left = shares.rottenOf(shares.record(record) ?? record) ?? new Bitfield(manifest.pieceCount);
    for (const piece of right) left.clear(piece);
    this.piecesRepaired += right.length;
    shares.change(record, { rotten: left.count > 0 ? left.toBytes() : null });
    if (right.length < pieces.length) throw new MtError('INTEGRITY', 'the disk does not keep what is written there');
    return right.length;
  }
}

function readPart(file: PieceFile, into: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    file.read({ into, at: 0, size: into.length, position }, (error) => (error ? reject(error) : resolve()));
  });
}
