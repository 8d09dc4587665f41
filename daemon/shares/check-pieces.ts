// Reads pieces of a finished file and compares them with its manifest: in a hashing thread, one part at a time, so that who pays
// with disk and processor time can ask for a pause before each. Writes nothing.
import { type Manifest, pieceSha256 } from '../../codec/manifest.ts';
import type { HashSource } from '../disk/hash.ts';
import type { HashPool } from '../disk/hash-pool.ts';
import type { PieceFile } from '../disk/piece-file.ts';

/** Read and hashed between two pauses. */
const PART_SIZE = 256 * 1024;
const SHA1_SIZE = 20;
/** The two hashes of one piece of a manifest. */
const ROW_SIZE = 52;

/** Called before so many bytes are read; it may wait, and it throws to end the check. */
export type Pace = (bytes: number) => Promise<void> | void;

let nextTask = 2 ** 40; // apart from those of disk/hash.ts, which share the threads

export class PieceChecker {
  readonly #pool: HashPool;

  constructor(pool: HashPool) {
    this.#pool = pool;
  }

  /**
   * Whether a piece is what the manifest says. One that cannot be read (EIO: the disk has lost it) or is cut off is not.
   * @throws what `pace` throws.
   */
  async isRight(source: HashSource, manifest: Manifest, piece: number, pace: Pace): Promise<boolean> {
    const task = nextTask++;
    const thread = this.#pool.threads()[0]!;
    const end = Math.min(manifest.size, (piece + 1) * manifest.pieceSize);
    const memory = new SharedArrayBuffer(PART_SIZE);
    try {
      for (let position = piece * manifest.pieceSize; position < end; position += PART_SIZE) {
        const size = Math.min(PART_SIZE, end - position);
        await pace(size);
        if (!(await readAll(source, memory, size, position))) return false;
        const last = position + size === end;
        const row = await thread.run({ op: 'part', task, memory, at: 0, size, last }, size);
        if (last) return isSame(row!, pieceSha256(manifest, piece));
      }
      return true;
    } finally {
      thread.run({ op: 'forget', task }, 0).catch(() => {});
    }
  }
}

/** An open share, as something to be read and hashed. */
export function sourceOf(file: PieceFile): HashSource {
  return {
    read: (view, _at, size, position) =>
      new Promise((resolve, reject) => {
        const into = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
        file.read({ into, at: 0, size, position }, (error) => (error ? reject(error) : resolve({ bytesRead: size })));
      }),
  };
}

/** False when the file is shorter, or the disk cannot give it back. */
async function readAll(
  source: HashSource,
  memory: SharedArrayBuffer,
  size: number,
  position: number,
): Promise<boolean> {
  let done = 0;
  while (done < size) {
    const view = new Uint8Array(memory, done, size - done);
    try {
      const { bytesRead } = await source.read(view, 0, size - done, position + done);
      if (bytesRead === 0) return false;
      done += bytesRead;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EIO') return false;
      throw error;
    }
  }
  return true;
}

function isSame(row: Uint8Array, sha256: Uint8Array): boolean {
  return row.length === ROW_SIZE && Buffer.compare(row.subarray(SHA1_SIZE), sha256) === 0;
}
