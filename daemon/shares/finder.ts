// Finds a shared file again that is not where it was, or that was touched without another content. By inode where that answers it
// (a rename keeps it), else files of the same size are read and compared: the first piece of each, and all of what passes.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Logger } from 'pino';
import { toMtError } from '../../codec/errors.ts';
import { decodeManifest, encodeManifest, type Manifest, manifestHash } from '../../codec/manifest.ts';
import { type FileIdentity, identityOf, sameFile } from '../disk/file-identity.ts';
import type { FileHasher } from '../disk/hash.ts';
import type { Shares } from '../share.ts';
import type { ShareRecord } from '../store/share-store.ts';
import { compareShare } from '../tree/tree-index.ts';
import type { PieceChecker } from './check-pieces.ts';
import { neighbourhood } from './neighbourhood.ts';
import { type Candidate, isSameFileMoved, isSearchDue, likeliest, type SearchState } from './search-plan.ts';
import { keyOf } from './share-files.ts';

/** Remembered contents that were not the one looked for. */
const OTHERS_MAX = 10_000;

export interface FinderParts {
  readonly shares: Shares;
  readonly checker: PieceChecker;
  readonly hasher: FileHasher;
  readonly log: Logger;
}

export class Finder {
  readonly #parts: FinderParts;
  readonly #searches = new Map<string, SearchState>();
  /** Content that was read and is another one: not read again while it is the same file. */
  readonly #others = new Map<string, FileIdentity>();
  readonly #closing = new AbortController();
  /** One search at a time. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(parts: FinderParts) {
    this.#parts = parts;
  }

  /** It is not lost (any more). */
  forget(record: ShareRecord): void {
    this.#searches.delete(keyOf(record.userId, record));
  }

  /** Looks for it, unless it was looked for a short while ago. Resolves when that is done. */
  async consider(record: ShareRecord, problem: 'missing' | 'changed', nowMs: number): Promise<void> {
    const key = keyOf(record.userId, record);
    const state = this.#searches.get(key);
    if (!isSearchDue(state, nowMs)) return;
    this.#searches.set(key, { attempts: (state?.attempts ?? 0) + 1, lastAtMs: nowMs });
    const search = this.#work.then(() => this.#search(record, problem));
    this.#work = search.catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      this.#parts.log.warn({ err: error, file: record.fileName }, 'a search for a lost file ended early');
    });
    await this.#work;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#work;
  }

  async #search(record: ShareRecord, problem: 'missing' | 'changed'): Promise<void> {
    const { shares, log } = this.#parts;
    if (this.#closing.signal.aborted || !(await shares.look(record))) return;
    const inSight: Candidate[] = [];
    // Touched, or written anew with the same content.
    const atOldPlace = problem === 'changed' && !record.tree ? await candidateAt(record.path) : null;
    if (atOldPlace) inSight.push(atOldPlace);
    for await (const candidate of neighbourhood(record.path)) {
      if (this.#closing.signal.aborted) return;
      if (await isMoved(candidate, record)) {
        // What the disk lost of it stays lost: it moved, and nothing more.
        this.forget(record);
        shares.change(record, { path: candidate.path });
        await shares.look(record);
        log.info({ file: record.fileName, path: candidate.path }, 'a shared file was moved: it is served from there');
        return;
      }
      // What was edited is not to be found again in a copy that its user kept: only what is gone is.
      const isLikely = problem === 'missing' && !record.tree && candidate.identity.sizeBytes === record.sizeBytes;
      if (isLikely) inSight.push(candidate);
    }
    for (const candidate of likeliest(inSight, { ...record, name: basename(record.path) })) {
      if (this.#closing.signal.aborted) return;
      if (!(await this.#isContent(record, candidate))) continue;
      this.forget(record);
      shares.relocate(record, candidate.path, candidate.identity);
      log.info({ file: record.fileName, path: candidate.path }, 'the content of a shared file was found again');
      return;
    }
  }

  async #isContent(record: ShareRecord, { path, identity }: Candidate): Promise<boolean> {
    const known = this.#others.get(path);
    if (known && sameFile(known, identity)) return false;
    const encoded = this.#parts.shares.manifestOf(record);
    if (!encoded) return false;
    let handle: FileHandle | null = null;
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      if (!sameFile(identityOf(await handle.stat({ bigint: true })), identity)) return false;
      const isRight = await this.#compare(handle, decodeManifest(encoded), record);
      const after = await candidateAt(path);
      if (!after || !sameFile(after.identity, identity)) return false; // written to meanwhile: the next search tells
      if (this.#others.size >= OTHERS_MAX) this.#others.clear();
      if (!isRight) this.#others.set(path, identity);
      return isRight;
    } catch (error) {
      if (this.#closing.signal.aborted) throw error;
      const { code } = toMtError(error);
      this.#parts.log.debug({ code, path }, 'a file could not be compared with a lost one');
      return false;
    } finally {
      await handle?.close();
    }
  }

  async #compare(handle: FileHandle, manifest: Manifest, record: ShareRecord): Promise<boolean> {
    const { signal } = this.#closing;
    if (manifest.pieceCount > 0 && !(await this.#parts.checker.isRight(handle, manifest, 0, () => {}))) return false;
    const request = { handle, sizeBytes: record.sizeBytes, signal, onProgress: () => {} };
    const found = manifestHash(encodeManifest(await this.#parts.hasher.hash(request)));
    return Buffer.compare(found, record.manifestHash) === 0;
  }
}

async function candidateAt(path: string): Promise<Candidate | null> {
  const stats = await lstat(path, { bigint: true }).catch(() => null);
  return stats?.isFile() ? { path, name: basename(path), isDirectory: false, identity: identityOf(stats) } : null;
}

/** The very file, or directory with all of its files, under another name. */
async function isMoved({ path, isDirectory, identity }: Candidate, record: ShareRecord): Promise<boolean> {
  if (isDirectory !== Boolean(record.tree) || path === record.path) return false;
  if (!isDirectory) return isSameFileMoved(identity, record);
  return identity.inode === record.inode && (await compareShare({ ...record, path })) === 'intact';
}
