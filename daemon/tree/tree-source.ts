// The content of a shared directory as one run of bytes: the tree document, then file after file, read from where they lie. Opens
// files when they are asked for and keeps a few open; each is looked at when it is opened, so that a changed one is never read. Runs
// of small files are read by the thread for them (tree-thread.ts).
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { identityOf, sameFile } from '../disk/file-identity.ts';
import { fileAt, type IndexedFile, type TreeIndex } from './tree-index.ts';
import { BATCH_FILES_MAX, runTreeJob, SMALL_SIZE_MAX, TreeJobError } from './tree-thread.ts';

/** Files kept open: several receivers read at several places. */
const OPEN_MAX = 32;
/** Fewer are not worth a thread. */
const BATCH_FILES_MIN = 8;

interface Part {
  readonly file: IndexedFile;
  readonly within: number;
  readonly count: number;
}

interface OpenFile {
  readonly handle: Promise<FileHandle>;
  readers: number;
}

export class TreeSource {
  readonly #root: string;
  readonly #index: TreeIndex;
  /** By number of the file; those used last are last. */
  readonly #open = new Map<number, OpenFile>();
  #isClosed = false;

  /** @param root absolute path of the directory. */
  constructor(root: string, index: TreeIndex) {
    this.#root = root;
    this.#index = index;
  }

  /**
   * Reads `size` bytes of the content at `position` into `into` at `at`: all of them, as FileHandle.read may.
   * @throws MtError INVALID_ARGUMENT when a file is not what it was; NodeJS.ErrnoException when it cannot be read.
   */
  async read(into: Uint8Array, at: number, size: number, position: number): Promise<{ bytesRead: number }> {
    const { document, files } = this.#index;
    let done = 0;
    if (position < document.length) {
      const part = document.subarray(position, Math.min(position + size, document.length));
      into.set(part, at);
      done = part.length;
    }
    for (let number = fileAt(files, position + done); done < size; ) {
      const parts = this.#partsFrom(number, position + done, size - done);
      if (parts.length === 0) throw new MtError('INVALID_ARGUMENT', 'The directory has less content than asked for');
      const count = parts.reduce((sum, part) => sum + part.count, 0);
      const bytes = into.subarray(at + done, at + done + count);
      if (parts.length >= BATCH_FILES_MIN) await this.#readBatch(parts, bytes);
      else await this.#readOpened(number, parts, bytes);
      number += parts.length;
      done += count;
    }
    return { bytesRead: size };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open.keys()].map((number) => this.#shut(number)));
  }

  /** What to read of this file and of those behind it, as far as they are small. */
  #partsFrom(first: number, position: number, size: number): Part[] {
    const parts: Part[] = [];
    let left = size;
    for (let number = first; left > 0 && parts.length < BATCH_FILES_MAX; number++) {
      const file = this.#index.files[number];
      if (!file || (parts.length > 0 && file.sizeBytes > SMALL_SIZE_MAX)) break;
      const within = position + size - left - file.position;
      const count = Math.min(left, file.sizeBytes - within);
      parts.push({ file, within, count });
      left -= count;
      if (file.sizeBytes > SMALL_SIZE_MAX) break;
    }
    return parts;
  }

  async #readBatch(all: readonly Part[], into: Uint8Array): Promise<void> {
    const parts = all.filter(({ count }) => count > 0);
    const isShared = into.buffer instanceof SharedArrayBuffer;
    const memory = isShared ? (into.buffer as unknown as SharedArrayBuffer) : new SharedArrayBuffer(into.length);
    const paths = parts.map(({ file }) => join(this.#root, file.path));
    const expected = parts.flatMap(({ file }) => [BigInt.asIntN(64, file.inode), file.mtimeNs, BigInt(file.sizeBytes)]);
    const ranges = new Float64Array(parts.flatMap(({ within, count }) => [within, count]));
    const at = isShared ? into.byteOffset : 0;
    try {
      await runTreeJob({ op: 'read', paths, expected: new BigInt64Array(expected), ranges, memory, at });
    } catch (error) {
      throw error instanceof TreeJobError && error.code === 'CHANGED' ? changed(error.path) : error;
    }
    if (!isShared) into.set(new Uint8Array(memory));
  }

  async #readOpened(first: number, parts: readonly Part[], into: Uint8Array): Promise<void> {
    let done = 0;
    for (const [i, { file, within, count }] of parts.entries()) {
      if (count > 0) await this.#readFile(first + i, file, into.subarray(done, done + count), within);
      done += count;
    }
  }

  async #readFile(number: number, file: IndexedFile, into: Uint8Array, position: number): Promise<void> {
    const opened = this.#open.get(number) ?? { handle: this.#openFile(file), readers: 0 };
    this.#open.delete(number);
    this.#open.set(number, opened);
    opened.readers++;
    try {
      const handle = await opened.handle;
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
        if (bytesRead === 0) throw changed(join(this.#root, file.path));
        done += bytesRead;
      }
    } finally {
      opened.readers--;
      await this.#shutIdle();
    }
  }

  async #openFile(file: IndexedFile): Promise<FileHandle> {
    const path = join(this.#root, file.path);
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat({ bigint: true });
      // Also what keeps a link in the place of a directory above it from leading elsewhere: that is another inode.
      if (!stats.isFile() || !sameFile(identityOf(stats), file)) throw changed(path);
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #shutIdle(): Promise<void> {
    for (const [number, { readers }] of this.#open) {
      if (this.#open.size <= OPEN_MAX && !this.#isClosed) return;
      if (readers === 0) await this.#shut(number);
    }
  }

  async #shut(number: number): Promise<void> {
    const opened = this.#open.get(number);
    if (!opened || opened.readers > 0) return;
    this.#open.delete(number);
    await opened.handle.then((handle) => handle.close()).catch(() => {});
  }
}

function changed(path: string): MtError {
  return new MtError('INVALID_ARGUMENT', `${path} was changed`, 'Share it again when it is complete.');
}
