// The content of a shared directory as one run of bytes: the tree document, then file after file, read from where they lie. Opens
// files when they are asked for and keeps a few open; each is looked at when it is opened, so that a changed one is never read.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { identityOf, sameFile } from '../disk/file-identity.ts';
import { fileAt, type IndexedFile, type TreeIndex } from './tree-index.ts';

/** Files kept open: several receivers read at several places. */
const OPEN_MAX = 32;

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
    for (let number = fileAt(files, position + done); done < size; number++) {
      const file = files[number];
      if (!file) throw new MtError('INVALID_ARGUMENT', 'The directory has less content than asked for');
      const within = position + done - file.position;
      const count = Math.min(size - done, file.sizeBytes - within);
      if (count > 0) await this.#readFile(number, file, into.subarray(at + done, at + done + count), within);
      done += count;
    }
    return { bytesRead: size };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open.keys()].map((number) => this.#shut(number)));
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
