// The map of verified pieces of one unfinished download: a small file, one byte a piece, written beside no lock and no fsync.
// The disk worker marks a piece right after writing it, so a kill -9 loses nothing; what a power loss may have taken is told by
// the boot id. Not in SQLite, because a durable transaction a piece would put an fsync on the thread that answers commands.
//
//   0      4        8            12     16                48            64
//   ┌──────┬────────┬────────────┬──────┬─────────────────┬─────────────┬────────────────┐
//   │"MTRM"│v1, u32 │pieces, u32 │ zero │manifest hash, 32│boot id, 16  │one byte a piece│
//   └──────┴────────┴────────────┴──────┴─────────────────┴─────────────┴────────────────┘
//
//   0 missing ──verified──▶ 1 written in this boot ──background sync──▶ 2 on the disk for certain
//   After another boot, a 1 is only a candidate: hashed again before it counts.
import { constants, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Manifest } from '../../codec/manifest.ts';

const MAGIC = Buffer.from('MTRM');
const VERSION = 1;
export const MAP_HEADER_SIZE = 64;
const MISSING = 0;
const WRITTEN = 1;
const SYNCED = 2;

/** What a map says of each piece when it is opened. */
export interface ResumeState {
  /** Certain: verified, and surely on the disk. */
  verified: number[];
  /** Verified once, but perhaps lost since: to be hashed again. */
  candidates: number[];
}

/** This boot of this machine, 16 bytes; another one after each power loss. */
export function bootId(): Buffer {
  const text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
  return Buffer.from(text.replaceAll(/[^0-9a-f]/g, ''), 'hex').subarray(0, 16);
}

/**
 * Reads a map. Anything that cannot be the map of this content makes every piece a candidate: the data file is hashed anew.
 * @param boot the id of this boot.
 */
export function readMap(
  bytes: Buffer,
  content: { manifestHash: Uint8Array; pieceCount: number },
  boot: Buffer,
): ResumeState {
  const { manifestHash, pieceCount } = content;
  const isOurs =
    bytes.length === MAP_HEADER_SIZE + pieceCount &&
    bytes.subarray(0, 4).equals(MAGIC) &&
    bytes.readUInt32BE(4) === VERSION &&
    bytes.readUInt32BE(8) === pieceCount &&
    bytes.subarray(16, 48).equals(manifestHash);
  const state: ResumeState = { verified: [], candidates: [] };
  const isSameBoot = isOurs && bytes.subarray(48, 64).equals(boot);
  for (let piece = 0; piece < pieceCount; piece++) {
    const mark = isOurs ? bytes[MAP_HEADER_SIZE + piece]! : WRITTEN;
    if (mark === MISSING) continue;
    if (isOurs && (mark === SYNCED || (mark === WRITTEN && isSameBoot))) state.verified.push(piece);
    else state.candidates.push(piece);
  }
  return state;
}

/** Bytes of the pieces that a map counts as verified, without opening the download; 0 when there is no map. */
export function verifiedBytes(path: string, manifest: Manifest, manifestHash: Uint8Array): number {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return 0;
  }
  const { size, pieceSize, pieceCount } = manifest;
  if (bytes.length !== MAP_HEADER_SIZE + pieceCount) return 0;
  const { verified } = readMap(bytes, { manifestHash, pieceCount }, bootId());
  return verified.reduce((sum, piece) => sum + Math.min(pieceSize, size - piece * pieceSize), 0);
}

/** A map with no piece but those of `state.verified`. */
export function encodeMap(
  content: { manifestHash: Uint8Array; pieceCount: number },
  verified: readonly number[],
  boot: Buffer,
): Buffer {
  const bytes = Buffer.alloc(MAP_HEADER_SIZE + content.pieceCount);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(VERSION, 4);
  bytes.writeUInt32BE(content.pieceCount, 8);
  bytes.set(content.manifestHash, 16);
  boot.copy(bytes, 48);
  for (const piece of verified) bytes[MAP_HEADER_SIZE + piece] = SYNCED;
  return bytes;
}

/** The map of one download, open. */
export class ResumeMap {
  readonly #file: FileHandle;
  /** Pieces written since the last sync of the data file. */
  #unsynced: number[] = [];

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /**
   * Opens or makes the map at `path`.
   * @param hasData whether the data file holds anything: without it, nothing in the map counts.
   */
  static async open(
    path: string,
    content: { manifestHash: Uint8Array; pieceCount: number },
    hasData: boolean,
  ): Promise<{ map: ResumeMap; state: ResumeState }> {
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      const boot = bootId();
      const { size } = await file.stat();
      const expected = MAP_HEADER_SIZE + content.pieceCount;
      const bytes = Buffer.alloc(size === expected ? expected : 0);
      await file.read(bytes, 0, bytes.length, 0);
      const state = hasData ? readMap(bytes, content, boot) : { verified: [], candidates: [] };
      const map = new ResumeMap(file);
      const fresh = encodeMap(content, [], boot);
      // Candidates are forgotten until they are hashed; marks of this boot stay what they are: written, not yet synced.
      for (const piece of state.verified) fresh[MAP_HEADER_SIZE + piece] = bytes[MAP_HEADER_SIZE + piece]!;
      map.#unsynced = state.verified.filter((piece) => bytes[MAP_HEADER_SIZE + piece] === WRITTEN);
      await file.write(fresh, 0, fresh.length, 0);
      if (size !== expected) await file.truncate(expected);
      return { map, state };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get fd(): number {
    return this.#file.fd;
  }

  /** Where the byte of a piece is. */
  static position(piece: number): number {
    return MAP_HEADER_SIZE + piece;
  }

  /** The worker has marked this piece. */
  noteWritten(piece: number): void {
    this.#unsynced.push(piece);
  }

  /** Takes marks back: these pieces are not what they were. */
  async clear(pieces: readonly number[]): Promise<void> {
    const gone = new Set(pieces);
    this.#unsynced = this.#unsynced.filter((piece) => !gone.has(piece));
    for (const piece of pieces) await this.#file.write(Buffer.of(MISSING), 0, 1, MAP_HEADER_SIZE + piece);
  }

  get hasUnsynced(): boolean {
    return this.#unsynced.length > 0;
  }

  /** Runs `sync` (of the data file), then marks what had been written before it as synced. */
  async sync(sync: () => Promise<void>): Promise<void> {
    const pieces = this.#unsynced.toSorted((a, b) => a - b);
    this.#unsynced = [];
    try {
      await sync();
    } catch (error) {
      this.#unsynced.push(...pieces);
      throw error;
    }
    // Only the runs of these very pieces: the worker marks others at the same time.
    for (let from = 0; from < pieces.length; ) {
      let to = from + 1;
      while (to < pieces.length && pieces[to] === pieces[to - 1]! + 1) to++;
      await this.#file.write(Buffer.alloc(to - from, SYNCED), 0, to - from, MAP_HEADER_SIZE + pieces[from]!);
      from = to;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
