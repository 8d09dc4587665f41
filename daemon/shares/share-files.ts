// What is known of the files behind shares: gone, changed, damaged in places, or all right; and what is being done about it, in
// words. Looks at names and times only; content is read by the scrub (scrubber.ts).
import type { ShareRow } from '../../codec/control-api.ts';
import { SHORTFALLS_MAX } from '../../codec/limits.ts';
import { decodeManifest } from '../../codec/manifest.ts';
import type { FileRef } from '../download/types.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import type { ShareRecord } from '../store/share-store.ts';
import { compareShare } from '../tree/tree-index.ts';

export type Problem = 'missing' | 'changed';

/** Names a share of a user, in maps. */
export function keyOf(userId: string, { groupId, fileName }: FileRef): string {
  return `${userId}/${groupId}/${fileName}`;
}

export class ShareFiles {
  readonly #problems = new Map<string, Problem>();
  /** What is being done about a share that is not whole. */
  readonly #notes = new Map<string, string>();
  /** Being written by ourselves: their times say nothing until that is done. */
  readonly #held = new Set<string>();
  /** By manifest hash in hex: decoding one takes a while. */
  readonly #pieceCounts = new Map<string, number>();
  readonly #manifest: (record: ShareRecord) => Uint8Array | null;

  constructor(manifest: (record: ShareRecord) => Uint8Array | null) {
    this.#manifest = manifest;
  }

  /** The file as it is now; `isCurrent` says afterwards whether the record still holds. */
  async look(record: ShareRecord, isCurrent: () => boolean): Promise<Problem | null> {
    const key = keyOf(record.userId, record);
    const found = await compareShare(record);
    if (this.#held.has(key) || !isCurrent()) return null;
    if (found === 'intact') this.#problems.delete(key);
    else this.#problems.set(key, found);
    return found === 'intact' ? null : found;
  }

  /** As it was when it was last looked at. */
  problemOf(record: ShareRecord): Problem | null {
    return this.#problems.get(keyOf(record.userId, record)) ?? null;
  }

  setProblem(record: ShareRecord, problem: Problem): void {
    this.#problems.set(keyOf(record.userId, record), problem);
  }

  /** Whether any of it may be served now. */
  isServable(record: ShareRecord): boolean {
    const key = keyOf(record.userId, record);
    return !this.#problems.has(key) && !this.#held.has(key);
  }

  /** From now on, and until `release`, it is written by us and not served. */
  hold(record: ShareRecord): void {
    this.#held.add(keyOf(record.userId, record));
  }

  release(record: ShareRecord): void {
    this.#held.delete(keyOf(record.userId, record));
  }

  note(record: ShareRecord, note: string | null): void {
    const key = keyOf(record.userId, record);
    if (note === null) this.#notes.delete(key);
    else this.#notes.set(key, note);
  }

  forget(record: ShareRecord): void {
    const key = keyOf(record.userId, record);
    this.#problems.delete(key);
    this.#notes.delete(key);
  }

  pieceCount(record: ShareRecord): number {
    const hash = Buffer.from(record.manifestHash).toString('hex');
    let count = this.#pieceCounts.get(hash);
    if (count === undefined) {
      const manifest = this.#manifest(record);
      count = manifest ? decodeManifest(manifest).pieceCount : 0;
      this.#pieceCounts.set(hash, count);
    }
    return count;
  }

  /** Damaged pieces; null: none. */
  rottenOf(record: ShareRecord): Bitfield | null {
    return record.rotten && Bitfield.fromBytes(record.rotten, this.pieceCount(record));
  }

  /** How many pieces can be had from here; null: all. */
  shortfallOf(record: ShareRecord): number | null {
    if (this.#problems.has(keyOf(record.userId, record))) return 0;
    const rotten = this.rottenOf(record);
    return rotten && rotten.count > 0 ? rotten.size - rotten.count : null;
  }

  /** Of these, those that cannot be had whole from here; as many as one heartbeat may tell of. */
  shortfalls(records: readonly ShareRecord[]): { group_id: string; file_name: string; pieces: number }[] {
    const rows = [];
    for (const record of records) {
      // Nearly all are whole, and there may be 100,000.
      if (!record.rotten && this.#problems.size === 0) continue;
      const pieces = this.shortfallOf(record);
      if (pieces !== null) rows.push({ group_id: record.groupId, file_name: record.fileName, pieces });
      if (rows.length === SHORTFALLS_MAX) break;
    }
    return rows;
  }

  /** The row of show_shares; `usual` is its state when the file is all right. */
  row(record: ShareRecord, usual: ShareRow['state']): ShareRow {
    const { groupId: group_id, fileName: file_name, path } = record;
    const problem = this.problemOf(record);
    const rotten = this.rottenOf(record);
    const row = { group_id, file_name, path };
    const doing = this.#notes.get(keyOf(record.userId, record));
    if (problem) return { ...row, state: problem, note: doing ?? adviceFor(problem, record) };
    if (!rotten || rotten.count === 0) return { ...row, state: usual };
    const count = `${rotten.count} of ${rotten.size} pieces are damaged on the disk and not served`;
    return { ...row, state: 'damaged', note: doing === undefined ? count : `${count}; ${doing}` };
  }
}

function adviceFor(problem: Problem, { groupId, fileName }: FileRef): string {
  const relocate = `mt relocate ${groupId} ${quoted(fileName)} <new_path>`;
  if (problem === 'missing') return `Not found near its old place either. If it was moved: ${relocate}`;
  return `Another content than the group knows. To share this one: mt stop_share, then mt upload_file. If the old one is elsewhere: ${relocate}`;
}

function quoted(name: string): string {
  return /^[\w.@%+=:,-]+$/.test(name) && !name.startsWith('-') ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}
