// Mends shares with rotten pieces: fetches only those from the group into a file of its own, verified, and then writes them in place.
// The user's file is touched for that moment only, and never when anybody else has written to it. Nobody has them: tried again later.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { MtError, toMtError } from '../../codec/errors.ts';
import { decodeManifest, type Manifest } from '../../codec/manifest.ts';
import { type FileIdentity, identityOf, sameFile } from '../disk/file-identity.ts';
import { diskError, type PieceFile } from '../disk/piece-file.ts';
import type { DataPlane } from '../download/types.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import type { Shares } from '../share.ts';
import type { ShareRecord } from '../store/share-store.ts';
import type { PieceChecker } from './check-pieces.ts';
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
    if (record.tree) throw new MtError('INVALID_ARGUMENT', 'files of a shared directory are not written to');
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
    const { shares, checker } = this.#parts;
    const record = shares.record(opened);
    if (record?.userId !== opened.userId || (await shares.look(record))) throw edited(opened);
    const release = shares.hold(record);
    try {
      const handle = await open(record.path, constants.O_RDWR | constants.O_NOFOLLOW).catch((error: unknown) => {
        throw diskError(error, record.path);
      });
      try {
        await this.#writePieces(handle, record, pieces, fetched);
        const right: number[] = [];
        for (const piece of pieces) if (await checker.isRight(handle, manifest, piece, () => {})) right.push(piece);
        // The scrub may have found more of them meanwhile.
        const left = shares.rottenOf(shares.record(opened) ?? record) ?? new Bitfield(manifest.pieceCount);
        for (const piece of right) left.clear(piece);
        const mended = right.length;
        this.piecesRepaired += mended;
        shares.change(record, { rotten: left.count > 0 ? left.toBytes() : null });
        if (mended < pieces.length) throw new MtError('INTEGRITY', 'the disk does not keep what is written there');
        return mended;
      } finally {
        await handle.close();
      }
    } finally {
      release();
    }
  }

  /**
   * Each piece only after a look at the file: its times must be those of our own last write. That time stays: were it set back, an
   * edit of the same moment would pass for rot.
   */
  async #writePieces(
    handle: FileHandle,
    record: ShareRecord,
    pieces: readonly number[],
    fetched: PieceFile,
  ): Promise<void> {
    let expected: FileIdentity = record;
    const { shares } = this.#parts;
    const buffer = Buffer.alloc(COPY_SIZE);
    for (const piece of pieces) {
      const { position, size } = fetched.place(piece);
      for (let done = 0; done < size; done += COPY_SIZE) {
        const count = Math.min(COPY_SIZE, size - done);
        await readPart(fetched, buffer, count, position + done);
        await this.#requireSame(handle, record.path, expected);
        await handle.write(buffer, 0, count, position + done).catch((error: unknown) => {
          throw diskError(error, record.path);
        });
        expected = identityOf(await handle.stat({ bigint: true }));
        // At once: a crash before the last piece must not make our own write look like an edit.
        shares.change(record, expected);
      }
    }
    await handle.datasync();
  }

  async #requireSame(handle: FileHandle, path: string, expected: FileIdentity): Promise<void> {
    const opened = identityOf(await handle.stat({ bigint: true }));
    const atPath = await lstat(path, { bigint: true }).catch(() => null);
    if (sameFile(opened, expected) && atPath?.isFile() && sameFile(identityOf(atPath), expected)) return;
    throw edited({ path });
  }
}

function readPart(file: PieceFile, into: Buffer, size: number, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    file.read({ into, at: 0, size, position }, (error) => (error ? reject(error) : resolve()));
  });
}

function edited({ path }: { path: string }): MtError {
  return new MtError('INVALID_ARGUMENT', `"${path}" was written to meanwhile, and is left as it is`);
}
