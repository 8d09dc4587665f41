// The receiving half of one file's swarm: where arriving content goes, and its way through hash and disk. Pieces that fit a slot
// are assembled in memory and written whole after their hash matched; larger ones are written block by block and hashed from the file.
// Which blocks are wanted is the policy's word (asked through `wants`).
import { MtError } from '../../codec/errors.ts';
import { BLOCK_SIZE } from '../../codec/limits.ts';
import type { PieceDisk } from '../disk/piece-disk.ts';
import type { PieceFile } from '../disk/piece-file.ts';
import type { WholeHash } from '../disk/whole-hash.ts';
import type { BlockClaim, TransferEvent } from '../pieces/types.ts';
import type { BlockHeader } from './frame-reader.ts';
import type { PeerLink } from './link.ts';
import { SLOT_SIZE_MAX, type Slot, type SlotPool } from './slots.ts';

/** Received and not yet hashed and written: beyond it the sockets wait, and so do the senders. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;

/** The block that a link is in the middle of: its frames come one after the other. */
interface Incoming {
  readonly piece: number;
  readonly block: number;
  /** Bytes of the whole block. */
  readonly size: number;
  /** Within the piece: where the next frame must begin. */
  next: number;
  /** Whether it is kept; false from the moment that the piece's memory is given away. */
  wanted: boolean;
  /** Of a piece that is too large to be assembled in memory. */
  slot: Slot | null;
}

export interface IntakeOptions {
  readonly file: PieceFile;
  readonly disk: PieceDisk;
  readonly pool: SlotPool;
  readonly hash: Pick<WholeHash, 'onVerified'>;
  readonly wants: (link: PeerLink, claim: BlockClaim) => boolean;
  readonly report: (event: TransferEvent) => void;
  /** A whole block came from this link; `kept`: it is in its place. */
  readonly onBlock: (link: PeerLink, claim: BlockClaim, kept: boolean) => void;
  /** The piece could not be written: the disk is full, or worse. */
  readonly onDiskError: (error: { code: string; message: string }) => void;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #isAssembled: boolean;
  /** Memory of pieces on their way, while they fit a slot. */
  readonly #slots = new Map<number, Slot>();
  readonly #incoming = new Map<PeerLink, Incoming>();
  readonly #wakes = new Map<PeerLink, () => void>();
  /** Memory that some socket may still write to once, with the number of such sockets. */
  readonly #pins = new Map<Slot, number>();
  readonly #givenLater = new Set<Slot>();

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#isAssembled = options.file.content.manifest.pieceSize <= SLOT_SIZE_MAX;
  }

  /**
   * Where the content of this frame goes.
   * @throws MtError PROTOCOL when it does not continue the block under way.
   */
  onFrame(link: PeerLink, header: BlockHeader): Buffer | null | 'wait' {
    const incoming = this.#begin(link, header);
    if (!incoming.wanted) return null;
    const slot = this.#slotFor(incoming);
    if (!slot) {
      this.#waitForMemory(link, header);
      return 'wait';
    }
    const at = this.#isAssembled ? header.offset : header.offset - incoming.block * BLOCK_SIZE;
    return slot.bytes.subarray(at, at + header.size);
  }

  onFrameEnd(link: PeerLink, header: BlockHeader, kept: boolean): void {
    const incoming = this.#incoming.get(link);
    if (!incoming) return;
    incoming.next += header.size;
    if (!kept) incoming.wanted = false;
    if (incoming.next < incoming.block * BLOCK_SIZE + incoming.size) return;
    this.#incoming.delete(link);
    const { piece, block, size, wanted } = incoming;
    if (incoming.slot) this.#writeBlock(incoming);
    this.#options.onBlock(link, { piece, offset: block * BLOCK_SIZE, size }, wanted);
  }

  /** Whether content of this link waits for memory. */
  isWaiting(link: PeerLink): boolean {
    return this.#wakes.has(link);
  }

  /** Every block is there: hash, write, mark, and tell. */
  verify(piece: number): void {
    this.#redirect(piece);
    const { file, disk } = this.#options;
    const place = file.place(piece);
    const slot = this.#unpinned(this.#slots.get(piece) ?? null);
    this.#slots.delete(piece);
    file.hold();
    const onAnswer = (answer: { ok: boolean; error?: { code: string; message: string } }): void => {
      file.release();
      if (answer.ok) {
        file.noteWritten(piece);
        this.#options.hash.onVerified(piece, slot, () => this.#give(slot));
        this.#options.report({ type: 'verified', piece });
        return;
      }
      this.#give(slot);
      if (answer.error) this.#options.onDiskError(answer.error);
      this.#options.report({ type: answer.error ? 'write-failed' : 'rejected', piece });
    };
    if (slot) disk.verify(file.target, place, file.sha256(piece), slot, onAnswer);
    else disk.check(file.target, place, file.sha256(piece), onAnswer);
  }

  /** The piece's memory is free for others. */
  discard(piece: number): void {
    this.#redirect(piece);
    const slot = this.#slots.get(piece) ?? null;
    this.#slots.delete(piece);
    this.#give(slot);
  }

  linkDown(link: PeerLink): void {
    const incoming = this.#incoming.get(link);
    this.#incoming.delete(link);
    if (incoming?.slot) this.#give(incoming.slot);
    const wake = this.#wakes.get(link);
    if (wake) this.#options.pool.forget(wake);
    this.#wakes.delete(link);
  }

  /** All memory goes back. Every link must be down. */
  close(): void {
    for (const piece of [...this.#slots.keys()]) this.discard(piece);
  }

  #begin(link: PeerLink, header: BlockHeader): Incoming {
    const { piece, offset } = header;
    const current = this.#incoming.get(link);
    if (current) {
      const end = current.block * BLOCK_SIZE + current.size;
      if (current.piece !== piece || current.next !== offset || offset + header.size > end) {
        throw new MtError(
          'PROTOCOL',
          `block: expected byte ${current.next} of piece ${current.piece}, got ${offset} of ${piece}`,
        );
      }
      return current;
    }
    const { pieceCount } = this.#options.file.content.manifest;
    if (piece >= pieceCount) throw new MtError('PROTOCOL', `block: piece ${piece} of ${pieceCount}`);
    const pieceSize = this.#options.file.place(piece).size;
    const size = Math.min(BLOCK_SIZE, pieceSize - offset);
    if (offset % BLOCK_SIZE !== 0 || header.size > size) {
      throw new MtError('PROTOCOL', `block: ${header.size} bytes at ${offset} are not the beginning of a block`);
    }
    const wanted = this.#options.wants(link, { piece, offset, size });
    const incoming = { piece, block: offset / BLOCK_SIZE, size, next: offset, wanted, slot: null };
    this.#incoming.set(link, incoming);
    return incoming;
  }

  #slotFor(incoming: Incoming): Slot | null {
    const { pool, file, disk } = this.#options;
    const known = this.#isAssembled ? this.#slots.get(incoming.piece) : incoming.slot;
    if (known) return known;
    // The disk cannot keep up: its next answer gives memory back and wakes who waits.
    if (disk.backlogBytes >= BACKLOG_BYTES_MAX) return null;
    const slot = pool.take(this.#isAssembled ? file.place(incoming.piece).size : incoming.size);
    if (slot && this.#isAssembled) this.#slots.set(incoming.piece, slot);
    else incoming.slot = slot;
    return slot;
  }

  /** The link's socket stands still until there is memory; by then the block may be wanted no more. */
  #waitForMemory(link: PeerLink, header: BlockHeader): void {
    const wake = (): void => {
      if (this.#wakes.get(link) !== wake) return;
      this.#wakes.delete(link);
      this.#options.pool.forget(wake);
      const incoming = this.#incoming.get(link);
      if (!incoming || !link.isOpen) return;
      const place = this.onFrame(link, header);
      if (place !== 'wait') link.input?.place(place);
    };
    this.#wakes.set(link, wake);
    this.#options.pool.whenFree(wake);
  }

  #writeBlock({ piece, block, size, wanted, slot }: Incoming): void {
    const { file, disk } = this.#options;
    if (!wanted) return this.#give(slot);
    const position = file.place(piece).position + block * BLOCK_SIZE;
    file.hold();
    disk.write(file.target, { position, size }, slot!, (answer) => {
      file.release();
      this.#give(slot);
      // The piece's check that follows will fail; this says why.
      if (answer.error) this.#options.onDiskError(answer.error);
    });
  }

  /** Frames of this piece that are still arriving go into nowhere: its memory may soon belong to another one. */
  #redirect(piece: number): void {
    for (const [link, incoming] of this.#incoming) {
      if (incoming.piece !== piece) continue;
      incoming.wanted = false;
      const slot = incoming.slot ?? this.#slots.get(piece) ?? null;
      if (slot) {
        this.#pins.set(slot, (this.#pins.get(slot) ?? 0) + 1);
        link.input?.drop(() => this.#unpin(slot));
      }
      this.#give(incoming.slot);
      incoming.slot = null;
      const wake = this.#wakes.get(link);
      if (wake) setImmediate(wake);
    }
  }

  /** A slot with the same bytes that nobody can write to: what is hashed must be what is written. */
  #unpinned(slot: Slot | null): Slot | null {
    if (!slot || !this.#pins.has(slot)) return slot;
    const copy = this.#options.pool.take(slot.size);
    if (!copy) {
      // Rare (an endgame with all memory in use): the late sources lose their link, and with it the memory.
      for (const link of [...this.#incoming.keys()]) link.close();
      return slot;
    }
    slot.bytes.copy(copy.bytes);
    this.#give(slot);
    return copy;
  }

  #unpin(slot: Slot): void {
    const pins = this.#pins.get(slot)! - 1;
    if (pins > 0) {
      this.#pins.set(slot, pins);
      return;
    }
    this.#pins.delete(slot);
    if (this.#givenLater.delete(slot)) this.#options.pool.give(slot);
  }

  #give(slot: Slot | null): void {
    if (!slot) return;
    if (this.#pins.has(slot)) this.#givenLater.add(slot);
    else this.#options.pool.give(slot);
  }
}
