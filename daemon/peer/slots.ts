// The memory that content arrives in: one SharedArrayBuffer, cut into slots that network thread and disk workers both see.
// Bounded: when no slot is free, the sockets wait, and so do the senders. Pages that were never used cost nothing.
//
//   slab (1 MiB) ── cut for one size at a time:  1 × 1 MiB, 2 × 512 KiB, … 16 × 64 KiB; whole again when all parts are free
import assert from 'node:assert';

/** Pieces up to this are assembled in memory; larger ones (files beyond 8 GB) are written block by block. */
export const SLOT_SIZE_MAX = 1024 * 1024;
const SLOT_SIZE_MIN = 64 * 1024;
/**
 * 64 slots of the largest size, so that many slow sources with a part of a piece each leave room for fast ones. What one fast
 * source uses is bounded by the disk's backlog (intake.ts), and pages that nobody uses cost nothing.
 */
export const SLOTS_BYTES_MAX = 64 * SLOT_SIZE_MAX;

export interface Slot {
  /** Into the pool's memory. */
  readonly offset: number;
  readonly size: number;
  readonly bytes: Buffer;
}

interface Slab {
  readonly offset: number;
  /** Size its parts have now; 0 = whole and free. */
  partSize: number;
  /** Offsets of free parts, last in first out: warm memory first. */
  free: number[];
}

export class SlotPool {
  readonly memory: SharedArrayBuffer;
  readonly #slabs: Slab[] = [];
  readonly #waiting = new Set<() => void>();
  #usedBytes = 0;

  constructor(bytes = SLOTS_BYTES_MAX) {
    assert(bytes % SLOT_SIZE_MAX === 0);
    this.memory = new SharedArrayBuffer(bytes);
    for (let offset = 0; offset < bytes; offset += SLOT_SIZE_MAX) this.#slabs.push({ offset, partSize: 0, free: [] });
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A slot of at least `size` bytes (≤ SLOT_SIZE_MAX), or null when the memory is all in use: then see `whenFree`. */
  take(size: number): Slot | null {
    assert(size > 0);
    assert(size <= SLOT_SIZE_MAX);
    const partSize = Math.max(SLOT_SIZE_MIN, 2 ** Math.ceil(Math.log2(size)));
    const slab =
      this.#slabs.find((one) => one.partSize === partSize && one.free.length > 0) ??
      this.#slabs.find((one) => one.partSize === 0);
    if (!slab) return null;
    if (slab.partSize === 0) {
      slab.partSize = partSize;
      for (let at = SLOT_SIZE_MAX - partSize; at >= 0; at -= partSize) slab.free.push(slab.offset + at);
    }
    const offset = slab.free.pop()!;
    this.#usedBytes += partSize;
    return { offset, size: partSize, bytes: Buffer.from(this.memory, offset, partSize) };
  }

  give(slot: Slot): void {
    const slab = this.#slabs[Math.floor(slot.offset / SLOT_SIZE_MAX)]!;
    assert.equal(slab.partSize, slot.size, 'a slot goes back where it came from');
    assert(!slab.free.includes(slot.offset), 'a slot goes back once');
    slab.free.push(slot.offset);
    this.#usedBytes -= slot.size;
    if (slab.free.length * slab.partSize === SLOT_SIZE_MAX) {
      slab.partSize = 0;
      slab.free = [];
    }
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once, when a slot was given back. Waiters are woken in the order they came, and may wait again. */
  whenFree(wake: () => void): void {
    this.#waiting.add(wake);
  }

  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
