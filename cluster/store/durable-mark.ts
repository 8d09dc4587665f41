// How much this tracker has promised, in a small file beside the database (scenario 36). SQLite drops committed transactions without a
// word when a byte of its WAL is flipped; this mark notices that the log is shorter, or the vote older, than what was promised.
//
// Written after each commit and before any promise of it leaves, without waiting for the disk: after kill -9 it is exact, after a
// power cut at most SYNC_MS old. Waiting would double the cost of every write to catch a flipped byte in the last moments before
// a power cut only. Two slots take turns, so that one is always whole:
//
//   0      4        8        16      24      32         40          56
//   ┌──────┬────────┬────────┬───────┬───────┬──────────┬───────────┬───────┐
//   │"MTDM"│ CRC-32 │ number │ index │ term  │hard state│ vote, 16  │ (64)  │ × 2
//   │      │        │ u64    │ u64   │ u64   │term u64  │ or zeros  │       │
//   └──────┴────────┴────────┴───────┴───────┴──────────┴───────────┴───────┘
import { closeSync, fdatasync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';

export interface Promised {
  /** Last log index and its term. */
  readonly index: number;
  readonly term: number;
  /** Hard state. */
  readonly hardTerm: number;
  readonly vote: string | null;
}

const MAGIC = Buffer.from('MTDM');
const SLOT_SIZE = 64;
const SYNC_MS = 100;

export class DurableMark {
  readonly #fd: number;
  readonly #slot = Buffer.alloc(SLOT_SIZE);
  #serial = 0;
  #syncing: NodeJS.Timeout | null = null;
  #closed = false;
  /** Of the background. It surfaces with the next write: before anything is promised that this disk may not hold. */
  #syncError: Error | null = null;

  constructor(path: string) {
    closeSync(openSync(path, 'a', 0o600));
    this.#fd = openSync(path, 'r+');
    // Room for both slots is taken once: a full disk is noticed by the database, never here.
    if (fstatSync(this.#fd).size < 2 * SLOT_SIZE) writeSync(this.#fd, Buffer.alloc(2 * SLOT_SIZE), 0, 2 * SLOT_SIZE, 0);
  }

  /** The newest mark that is whole; null for a new file. */
  read(): Promised | null {
    const bytes = Buffer.alloc(2 * SLOT_SIZE);
    readSync(this.#fd, bytes, 0, bytes.length, 0);
    let newest: Promised | null = null;
    this.#serial = 0;
    for (const slot of [bytes.subarray(0, SLOT_SIZE), bytes.subarray(SLOT_SIZE)]) {
      if (!slot.subarray(0, 4).equals(MAGIC) || slot.readUInt32BE(4) !== crc32(slot.subarray(8))) continue;
      const serial = Number(slot.readBigUInt64BE(8));
      if (serial <= this.#serial) continue;
      this.#serial = serial;
      const vote = slot.subarray(40, 56);
      newest = {
        index: Number(slot.readBigUInt64BE(16)),
        term: Number(slot.readBigUInt64BE(24)),
        hardTerm: Number(slot.readBigUInt64BE(32)),
        vote: vote.every((byte) => byte === 0) ? null : vote.toString('hex'),
      };
    }
    return newest;
  }

  /** @throws when the disk failed, now or since the last one: the process must end (scenario 37). */
  write({ index, term, hardTerm, vote }: Promised): void {
    if (this.#syncError) throw this.#syncError;
    const slot = this.#slot;
    this.#serial++;
    MAGIC.copy(slot);
    slot.writeBigUInt64BE(BigInt(this.#serial), 8);
    slot.writeBigUInt64BE(BigInt(index), 16);
    slot.writeBigUInt64BE(BigInt(term), 24);
    slot.writeBigUInt64BE(BigInt(hardTerm), 32);
    slot.fill(0, 40);
    if (vote !== null) slot.write(vote, 40, 'hex');
    slot.writeUInt32BE(crc32(slot.subarray(8)), 4);
    writeSync(this.#fd, slot, 0, SLOT_SIZE, (this.#serial % 2) * SLOT_SIZE);
    this.#syncing ??= setTimeout(() => this.#sync(), SYNC_MS).unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#syncing) clearTimeout(this.#syncing);
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  #sync(): void {
    this.#syncing = null;
    if (this.#closed) return;
    fdatasync(this.#fd, (error) => {
      this.#syncError ??= error;
    });
  }
}
