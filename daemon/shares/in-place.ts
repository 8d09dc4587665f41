// Writes verified bytes into what is behind a share, where it lies: the one file, or those files of a directory that a piece spans.
// What is right already is left alone, so that a piece of a thousand small files touches only the rotten ones. Never into a file that
// anybody else has written to: its times must be those of the share, or of our own last write. That time stays: were it set back, an
// edit of the same moment would pass for rot.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { fileError } from '../disk/disk-error.ts';
import { type FileIdentity, identityOf, sameFile } from '../disk/file-identity.ts';
import type { ShareChange, ShareRecord } from '../store/share-store.ts';
import { fileAt, readTreeIndex, withIdentity } from '../tree/tree-index.ts';

interface Place {
  readonly path: string;
  readonly position: number;
  readonly sizeBytes: number;
}

interface OpenPlace {
  readonly number: number;
  readonly path: string;
  readonly handle: FileHandle;
  /** As it was shared, then as our last write left it. */
  identity: FileIdentity;
  isWritten: boolean;
}

export class InPlace {
  readonly #record: ShareRecord;
  /** Ascending, without gaps. */
  readonly #places: readonly Place[];
  /** Of a directory: the list of its tree comes first, which is in no file. */
  readonly #listSize: number;
  /** A write has changed what the share is known by: to be remembered at once, or a crash makes it look like an edit. */
  readonly #onWritten: (change: ShareChange) => void;
  #tree: Uint8Array | null;
  /** Pieces come in ascending order: one file at a time is enough. */
  #open: OpenPlace | null = null;

  constructor(record: ShareRecord, onWritten: (change: ShareChange) => void) {
    this.#record = record;
    this.#tree = record.tree;
    this.#onWritten = onWritten;
    const index = record.tree && readTreeIndex(record.tree);
    this.#listSize = index?.document.length ?? 0;
    this.#places = index
      ? index.files.map((file) => ({ ...file, path: join(record.path, file.path) }))
      : [{ path: record.path, position: 0, sizeBytes: record.sizeBytes }];
  }

  /**
   * Makes these bytes of the content what they are to be.
   * @throws MtError INVALID_ARGUMENT when somebody else wrote to a file, or put another in its place; PERMISSION, DISK_FULL …
   */
  async write(bytes: Buffer, position: number): Promise<void> {
    let done = Math.min(bytes.length, Math.max(0, this.#listSize - position));
    for (let number = fileAt(this.#places, position + done); done < bytes.length; number++) {
      const place = this.#places[number]!;
      const within = position + done - place.position;
      const part = bytes.subarray(done, done + place.sizeBytes - within);
      if (part.length > 0) await this.#writeFile(number, part, within);
      done += part.length;
    }
  }

  /** What was written survives a power loss when this returns. */
  async sync(): Promise<void> {
    const opened = this.#open;
    if (!opened?.isWritten) return;
    await opened.handle.datasync().catch((error: unknown) => {
      throw fileError(error, opened.path);
    });
    opened.isWritten = false;
  }

  async close(): Promise<void> {
    const opened = this.#open;
    this.#open = null;
    await opened?.handle.close();
  }

  async #writeFile(number: number, bytes: Buffer, position: number): Promise<void> {
    const opened = this.#open?.number === number ? this.#open : await this.#openFile(number);
    await requireSame(opened);
    if (await isThere(opened.handle, bytes, position)) return;
    await requireSame(opened); // reading took a while
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await opened.handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw fileError(error, opened.path);
    } finally {
      opened.isWritten = true;
      opened.identity = identityOf(await opened.handle.stat({ bigint: true }));
      this.#onWritten(this.#changeOf(opened));
    }
  }

  #changeOf({ number, identity }: OpenPlace): ShareChange {
    if (!this.#tree) return identity;
    this.#tree = withIdentity(this.#tree, number, identity);
    return { tree: this.#tree };
  }

  async #openFile(number: number): Promise<OpenPlace> {
    await this.sync();
    await this.close();
    const { path } = this.#places[number]!;
    const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
      (error: unknown) => {
        throw fileError(error, path);
      },
    );
    const identity = this.#tree ? readTreeIndex(this.#tree).files[number]! : this.#record;
    this.#open = { number, path, handle, identity, isWritten: false };
    return this.#open;
  }
}

/** Also what keeps a link in the place of a directory above it from leading elsewhere: that is another inode. */
async function requireSame({ handle, path, identity }: OpenPlace): Promise<void> {
  const opened = await handle.stat({ bigint: true });
  const atPath = await lstat(path, { bigint: true }).catch(() => null);
  const isSame = (stats: typeof opened) => stats.isFile() && sameFile(identityOf(stats), identity);
  if (!isSame(opened) || !atPath || !isSame(atPath)) throw editedMeanwhile(path);
}

/** Whether the file has these bytes; what the disk cannot give back, it has not. */
async function isThere(handle: FileHandle, bytes: Buffer, position: number): Promise<boolean> {
  const found = Buffer.alloc(bytes.length);
  for (let done = 0; done < found.length; ) {
    try {
      const { bytesRead } = await handle.read(found, done, found.length - done, position + done);
      if (bytesRead === 0) return false;
      done += bytesRead;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EIO') return false;
      throw error;
    }
  }
  return found.equals(bytes);
}

export function editedMeanwhile(path: string): MtError {
  return new MtError('INVALID_ARGUMENT', `"${path}" was written to meanwhile, and is left as it is`);
}
