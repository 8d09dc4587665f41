// The SHA-1 of a whole download, kept up while its pieces arrive in any order: the next piece in order is hashed from the memory
// it came in, others are read back once the gap before them is closed. So there is no second pass over the file at the end.
//
//   pieces   # # # # . # # .        next = 4: pieces 5 and 6 wait on the disk until 4 is verified
import assert from 'node:assert';
import type { Slot } from '../peer/slots.ts';
import type { Follower, PieceDisk } from './piece-disk.ts';
import type { PieceFile } from './piece-file.ts';

/** Read back at a time. */
const READ_BACK_SIZE_MAX = 8 * 1024 * 1024;
/** Beyond this much unhashed memory, slots are given back at once and the file is read instead. */
const SLOTS_HELD_MAX = 6;

export class WholeHash {
  readonly #file: PieceFile;
  readonly #disk: PieceDisk;
  readonly #follower: Follower;
  readonly #verified: Uint8Array;
  /** Pieces before this one were given to the worker. */
  #next = 0;
  #slotsHeld = 0;
  #isReading = false;
  #isBroken = false;
  #onEnd: (() => void) | null = null;
  #digest: Promise<Uint8Array | null> | null = null;

  /** @param verified pieces that are in the file already. */
  constructor(file: PieceFile, disk: PieceDisk, verified: readonly number[]) {
    this.#file = file;
    this.#disk = disk;
    this.#follower = disk.follower(file.content.manifest.size);
    this.#verified = new Uint8Array(file.content.manifest.pieceCount);
    for (const piece of verified) this.#verified[piece] = 1;
    this.#readOn();
  }

  /** @param done the slot is no longer needed here; called at once when it is not used. */
  onVerified(piece: number, slot: Slot | null, done: () => void): void {
    this.#verified[piece] = 1;
    if (piece !== this.#next || !slot || this.#slotsHeld >= SLOTS_HELD_MAX) {
      done();
    } else {
      this.#next++;
      this.#slotsHeld++;
      const { position, size } = this.#file.place(piece);
      this.#disk.follow(this.#follower, { fd: this.#file.fd, position, size }, slot, () => {
        this.#slotsHeld--;
        done();
        this.#readOn();
      });
    }
    this.#readOn();
  }

  /**
   * The digest, after the last piece was verified.
   * @returns null when the file could not be read back.
   */
  digest(): Promise<Uint8Array | null> {
    this.#digest ??= this.#end();
    return this.#digest;
  }

  async #end(): Promise<Uint8Array | null> {
    const { pieceCount } = this.#file.content.manifest;
    while (this.#next < pieceCount || this.#isReading) {
      if (this.#isBroken) return null;
      assert(this.#isReading || this.#slotsHeld > 0, 'something is under way');
      await new Promise<void>((resolve) => {
        this.#onEnd = resolve;
      });
    }
    return await new Promise((resolve) => {
      this.#disk.digest(this.#follower, (answer) => resolve(this.#isBroken ? null : (answer.digest ?? null)));
    });
  }

  /** Hashes the verified pieces from `next` on from the file, one stretch at a time. */
  #readOn(): void {
    const { pieceCount } = this.#file.content.manifest;
    if (!this.#isReading && !this.#isBroken && this.#slotsHeld < SLOTS_HELD_MAX && this.#isStretchDue()) {
      const { position } = this.#file.place(this.#next);
      let size = 0;
      while (this.#next < pieceCount && this.#verified[this.#next] === 1 && size < READ_BACK_SIZE_MAX) {
        size += this.#file.place(this.#next).size;
        this.#next++;
      }
      this.#isReading = true;
      this.#file.hold();
      this.#disk.follow(this.#follower, { fd: this.#file.fd, position, size }, null, (answer) => {
        this.#file.release();
        this.#isReading = false;
        if (!answer.ok) this.#isBroken = true;
        this.#readOn();
      });
    }
    const wake = this.#onEnd;
    this.#onEnd = null;
    wake?.();
  }

  #isStretchDue(): boolean {
    return this.#next < this.#verified.length && this.#verified[this.#next] === 1;
  }
}
