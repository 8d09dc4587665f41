// Buffers for one block on its way from disk to socket, used again and again: as many as there are, and no more.
import { BLOCK_SIZE } from '../../codec/limits.ts';
import { BLOCK_FRAME_HEADER_SIZE } from '../../codec/peer-messages.ts';

/** 48 MiB when hundreds of receivers are slow at once; one receiver needs six. */
const BUFFERS_MAX = 192;
/** Kept when nobody needs them. */
const BUFFERS_KEPT = 16;

export class BufferPool {
  readonly #free: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  #count = 0;

  /** A buffer with room for a block frame, or null when all are in use: then see `whenFree`. */
  take(): Buffer | null {
    const buffer = this.#free.pop();
    if (buffer) return buffer;
    if (this.#count >= BUFFERS_MAX) return null;
    this.#count++;
    return Buffer.allocUnsafeSlow(BLOCK_FRAME_HEADER_SIZE + BLOCK_SIZE);
  }

  give(buffer: Buffer): void {
    if (this.#free.length < BUFFERS_KEPT || this.#waiting.length > 0) this.#free.push(buffer);
    else this.#count--;
    this.#waiting.shift()?.();
  }

  whenFree(wake: () => void): void {
    this.#waiting.push(wake);
  }
}
