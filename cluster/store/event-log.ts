// The log of commands in SQLite: appends, truncates, and reads with verified checksums. Implements the consensus core's LogReader.
// Opens no transaction: store.ts groups all writes of a batch into one. A row whose checksum is wrong is never handed out.
import assert from 'node:assert';
import type { Statement } from 'better-sqlite3';
import type { Entry, LogReader, SnapshotMeta } from '../raft/types.ts';
import { attachmentOf } from './attachments.ts';
import { CHAIN_SIZE, CHAIN_START, checksumRow, KIND_CODE, KIND_NAME, type RowContent, sumRow } from './checksum.ts';
import { DamageError, type Db, isBlob } from './database.ts';
import type { ManifestTable } from './manifest-table.ts';
import type { RecordTable } from './record-table.ts';
import type { SnapshotTable } from './snapshot-table.ts';

export interface EntryRow {
  log_index: number;
  term: number;
  kind: number;
  data: Buffer;
  manifest_hash: Buffer | null;
  attachment_size: number;
  checksum: number;
  chain: Buffer;
}

interface LogStart {
  purged_index: number;
  purged_term: number;
}

/** No statement stays open between two rows of a reader that takes its time. */
const ROWS_AT_ONCE = 256;
const COLUMNS = 'log_index, term, kind, data, manifest_hash, attachment_size, checksum, chain';

export class EventLog implements LogReader {
  readonly #records: RecordTable;
  readonly #manifests: ManifestTable;
  readonly #snapshots: SnapshotTable;
  readonly #insert: Statement;
  readonly #delete: Statement;
  readonly #range: Statement<[number, number], EntryRow>;
  readonly #page: Statement<[number, number, number], EntryRow>;
  readonly #one: Statement<[number], EntryRow>;
  readonly #bounds: Statement<[], { last: number | null }>;
  readonly #configs: Statement<[number], EntryRow>;
  /** Invariant: entries purged.purged_index + 1 … #last are readable, without gaps. */
  #start: LogStart = { purged_index: 0, purged_term: 0 };
  #last = 0;
  #lastTerm = 0;
  #lastChain: Uint8Array = CHAIN_START;

  constructor(db: Db, records: RecordTable, manifests: ManifestTable, snapshots: SnapshotTable) {
    this.#records = records;
    this.#manifests = manifests;
    this.#snapshots = snapshots;
    this.#insert = db.prepare(`INSERT INTO entries (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#delete = db.prepare('DELETE FROM entries WHERE log_index >= ?');
    this.#range = db.prepare(
      `SELECT ${COLUMNS} FROM entries WHERE log_index >= ? AND log_index < ? ORDER BY log_index`,
    );
    this.#page = db.prepare(
      `SELECT ${COLUMNS} FROM entries WHERE log_index >= ? AND log_index < ? ORDER BY log_index LIMIT ?`,
    );
    this.#one = db.prepare(`SELECT ${COLUMNS} FROM entries WHERE log_index = ?`);
    this.#configs = db.prepare(`SELECT ${COLUMNS} FROM entries WHERE kind = 2 AND log_index > ? ORDER BY log_index`);
    this.#bounds = db.prepare('SELECT max(log_index) AS last FROM entries');
    this.reload();
  }

  /** Reads again where the log begins and ends: after a transaction that was rolled back. */
  reload(): void {
    this.#start = (this.#records.read('log_start') as LogStart | null) ?? { purged_index: 0, purged_term: 0 };
    this.#last = Math.max(this.#bounds.get()?.last ?? 0, this.#start.purged_index);
    const row = this.#last > this.#start.purged_index ? this.#checkedRow(this.#last) : null;
    this.#lastTerm = row?.term ?? this.#start.purged_term;
    this.#lastChain = row?.chain ?? this.#storedChain(this.#last);
  }

  firstIndex(): number {
    return this.#start.purged_index + 1;
  }

  lastIndex(): number {
    return this.#last;
  }

  term(index: number): number | null {
    if (index === this.#last) return this.#lastTerm;
    if (index === this.#start.purged_index) return this.#start.purged_term;
    if (index < this.#start.purged_index || index > this.#last) return null;
    return this.#checkedRow(index).term;
  }

  entries(lo: number, hi: number, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (const row of this.#range.iterate(lo, hi)) {
      const entry = this.#toEntry(row, lo + entries.length);
      bytes += entry.sizeBytes;
      if (entries.length > 0 && bytes > maxBytes) break;
      entries.push(entry);
    }
    if (entries.length === 0) throw new DamageError(`log row ${lo} is missing`);
    return entries;
  }

  configEntries(): Entry[] {
    return this.#configs.all(this.#start.purged_index).map((row) => this.#toEntry(row, row.log_index));
  }

  snapshot(): SnapshotMeta {
    return this.#snapshots.newest().meta;
  }

  /** The manifest of an entry, from memory or from disk. */
  attachment(entry: Entry): Uint8Array | null {
    if (entry.sizeBytes === entry.data.length) return null;
    const inMemory = attachmentOf(entry.data);
    if (inMemory) return inMemory.bytes;
    const { manifest_hash: hash } = this.#checkedRow(entry.index);
    assert(hash, `entry ${entry.index} has a size of an attachment, but no attachment`);
    const manifest = this.#manifests.require(hash);
    if (manifest.length === entry.sizeBytes - entry.data.length) return manifest;
    throw new DamageError(`log row ${entry.index} has another size than its manifest`);
  }

  /** Chain hash of the entry at `index`, which must be in the log or at its start. */
  chainAt(index: number): Uint8Array {
    return index === this.#last ? this.#lastChain : this.#storedChain(index);
  }

  #storedChain(index: number): Uint8Array {
    if (index === 0) return CHAIN_START;
    const row = this.#one.get(index);
    if (row) return row.chain;
    const snapshot = this.#snapshots.newest();
    if (snapshot.meta.index !== index) throw new DamageError(`the chain hash of log row ${index} is missing`);
    return snapshot.chain;
  }

  /** Verified rows lo … hi-1 with their chain hashes, as far as they are there; also those of the history before firstIndex(). */
  *rows(lo: number, hi: number): Generator<EntryRow> {
    let next = lo;
    for (;;) {
      const page = this.#page.all(next, hi, ROWS_AT_ONCE);
      for (const row of page) {
        this.#check(row);
        yield row;
      }
      if (page.length < ROWS_AT_ONCE) return;
      next = page.at(-1)!.log_index + 1;
    }
  }

  /** In the caller's transaction. Entries must follow the last one. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert.equal(entry.index, this.#last + 1, 'a log has no gaps');
      const attachment = entry.sizeBytes > entry.data.length ? attachmentOf(entry.data) : null;
      if (entry.sizeBytes > entry.data.length)
        assert(attachment, `the manifest of entry ${entry.index} is not at hand`);
      if (attachment) this.#manifests.put(attachment);
      const content: RowContent = {
        index: entry.index,
        term: entry.term,
        kind: KIND_CODE[entry.kind],
        manifestHash: attachment?.hash ?? null,
        data: entry.data,
      };
      const { checksum, chain } = sumRow(content, this.#lastChain);
      this.#insert.run(
        entry.index,
        entry.term,
        content.kind,
        entry.data,
        content.manifestHash,
        entry.sizeBytes - entry.data.length,
        checksum,
        chain,
      );
      this.#last = entry.index;
      this.#lastTerm = entry.term;
      this.#lastChain = chain;
    }
  }

  /** In the caller's transaction: forgets every entry at and after `index`. */
  truncateFrom(index: number): void {
    assert(index > this.#start.purged_index, 'what a snapshot holds is committed');
    if (index > this.#last) return;
    this.#delete.run(index);
    const last = index - 1;
    this.#lastTerm = this.term(last)!;
    this.#lastChain = last === this.#start.purged_index ? this.chainAt(last) : this.#checkedRow(last).chain;
    this.#last = last;
  }

  /**
   * In the caller's transaction: the log begins after `index` now. Rows before it stay as history.
   * With `chain` the state through `index` came as a snapshot: the log follows it, even where it had not reached it.
   */
  startAfter(index: number, term: number, chain: Uint8Array): void {
    const matches = index <= this.#last && this.term(index) === term;
    this.#start = { purged_index: index, purged_term: term };
    this.#records.write('log_start', this.#start);
    if (matches) return;
    this.#delete.run(index); // of another term, or beyond: nothing after it can be right
    this.#last = index;
    this.#lastTerm = term;
    this.#lastChain = chain;
  }

  #checkedRow(index: number): EntryRow {
    const row = this.#one.get(index);
    if (!row) throw new DamageError(`log row ${index} is missing`);
    this.#check(row);
    return row;
  }

  #check(row: EntryRow): void {
    const isRight =
      isWellFormed(row) &&
      checksumRow(contentOf(row)) === row.checksum &&
      row.attachment_size > 0 === (row.manifest_hash !== null);
    if (!isRight) throw new DamageError(`log row ${row.log_index} is damaged`);
  }

  #toEntry(row: EntryRow, expectedIndex: number): Entry {
    if (row.log_index !== expectedIndex) throw new DamageError(`log row ${expectedIndex} is missing`);
    this.#check(row);
    return entryOf(row);
  }
}

/** The values have the types of their columns. */
function isWellFormed({ term, kind, data, manifest_hash: hash, attachment_size: size, chain }: EntryRow): boolean {
  if (![term, kind, size].every((number) => Number.isSafeInteger(number) && number >= 0)) return false;
  return isBlob(data) && isBlob(chain) && (hash === null || (isBlob(hash) && hash.length === CHAIN_SIZE));
}

export function contentOf(row: EntryRow): RowContent {
  return { index: row.log_index, term: row.term, kind: row.kind, manifestHash: row.manifest_hash, data: row.data };
}

export function entryOf(row: EntryRow): Entry {
  const kind = KIND_NAME[row.kind];
  if (!kind) throw new DamageError(`log row ${row.log_index} is of an unknown kind`);
  return {
    index: row.log_index,
    term: row.term,
    kind,
    data: row.data,
    sizeBytes: row.data.length + row.attachment_size,
  };
}
