// The log's past: rows at and before log_start.purged_index, which the consensus core does not see any more. They are kept for the
// audit unless the user shortens them, and fetched from other trackers where a snapshot took their place. Rows from elsewhere
// count once the hash chain through them ends in the one that is here.
import type { Statement } from 'better-sqlite3';
import type { HistoryRow } from '../../codec/tracker-link.ts';
import { CHAIN_START, checksumRow, type RowContent, sumRow } from './checksum.ts';
import { DamageError, type Db } from './database.ts';
import { contentOf, type EntryRow, type EventLog } from './event-log.ts';
import type { Snapshot, SnapshotTable } from './snapshot-table.ts';

/** Missing rows: from … to, both included. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** Of one answer, and of one transaction. */
const ROWS_AT_ONCE = 1_000;
const BYTES_AT_ONCE = 256 * 1024;

export class History {
  readonly #db: Db;
  readonly #log: EventLog;
  readonly #snapshots: SnapshotTable;
  readonly #bounds: Statement<[], { first: number | null; last: number | null; count: number }>;
  readonly #lastRunStart: Statement<[], { first: number }>;
  readonly #lastBefore: Statement<[number], { last: number | null }>;
  readonly #insert: Statement;
  readonly #deleteBefore: Statement<[number]>;
  readonly #deleteSome: Statement<[number, number]>;

  constructor(db: Db, log: EventLog, snapshots: SnapshotTable) {
    this.#db = db;
    this.#log = log;
    this.#snapshots = snapshots;
    this.#bounds = db.prepare('SELECT min(log_index) AS first, max(log_index) AS last, count(*) AS count FROM entries');
    this.#lastRunStart = db.prepare(`SELECT max(log_index) AS first FROM entries AS e
      WHERE NOT EXISTS (SELECT 1 FROM entries WHERE log_index = e.log_index - 1)`);
    this.#lastBefore = db.prepare('SELECT max(log_index) AS last FROM entries WHERE log_index < ?');
    this.#insert = db.prepare(`INSERT OR REPLACE INTO entries
      (log_index, term, kind, data, manifest_hash, attachment_size, checksum, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#deleteBefore = db.prepare('DELETE FROM entries WHERE log_index < ?');
    this.#deleteSome = db.prepare(`DELETE FROM entries WHERE log_index IN
      (SELECT log_index FROM entries WHERE log_index <= ? ORDER BY log_index LIMIT ?)`);
  }

  /** First of the rows that reach without a gap to the end of the log; one after the end when there are none. */
  first(): number {
    const { first, last, count } = this.#bounds.get()!;
    const end = this.#log.lastIndex();
    if (first === null || last === null || last < end) return end + 1;
    return last - first + 1 === count ? first : this.#lastRunStart.get()!.first;
  }

  /** The last run of missing rows; null when nothing is missing. */
  gap(): Gap | null {
    const to = this.first() - 1;
    if (to === 0) return null;
    return { from: (this.#lastBefore.get(to + 1)?.last ?? 0) + 1, to };
  }

  /**
   * The snapshot that replaying starts from: the oldest that rows follow without a gap; null: the empty state before the first row.
   * @throws DamageError when nothing fits.
   */
  anchor(): Snapshot | null {
    const first = this.first();
    if (first === 1) return null;
    const anchor = this.#snapshots.all().find(({ meta }) => meta.index >= first - 1);
    if (anchor) return anchor;
    throw new DamageError(`the log begins at ${first}, and there is no snapshot to start from`);
  }

  /** For another tracker: rows from `from` on, as far as they fit one answer; none when `from` is not there. */
  read({ from, to }: Gap): HistoryRow[] {
    const rows: HistoryRow[] = [];
    let bytes = 0;
    for (const row of this.#log.rows(from, Math.min(to + 1, from + ROWS_AT_ONCE))) {
      bytes += row.data.length;
      if (row.log_index !== from + rows.length || (bytes > BYTES_AT_ONCE && rows.length > 0)) break;
      rows.push([row.term, row.kind, row.data, row.manifest_hash, row.attachment_size]);
    }
    return rows;
  }

  /**
   * Stores rows that another tracker gave for the beginning of the gap.
   * @returns false when the gap is closed and the chain through it does not end where it should: all rows before its end are
   * forgotten then, to be fetched anew.
   */
  fill(gap: Gap, rows: readonly HistoryRow[]): boolean {
    return this.#db.transaction(() => {
      let chain: Uint8Array = gap.from === 1 ? CHAIN_START : this.#log.chainAt(gap.from - 1);
      for (const [at, [term, kind, data, manifestHash, attachmentSize]] of rows.entries()) {
        const row: RowContent = { index: gap.from + at, term, kind, manifestHash, data };
        const sums = sumRow(row, chain);
        chain = sums.chain;
        this.#insert.run(row.index, term, kind, data, manifestHash, attachmentSize, sums.checksum, chain);
      }
      if (gap.from + rows.length <= gap.to || this.#isEnd(gap.to, chain)) return true;
      this.#deleteBefore.run(gap.to + 1);
      return false;
    })();
  }

  /** Deletes up to so many of the oldest rows at and before `upTo`, but none that the log begins after. @returns how many. */
  shorten(upTo: number, rowsMax: number): number {
    return this.#deleteSome.run(Math.min(upTo, this.#log.firstIndex() - 2), rowsMax).changes;
  }

  #isEnd(index: number, chain: Uint8Array): boolean {
    const next: EntryRow | undefined = this.#log.rows(index + 1, index + 2).next().value ?? undefined;
    const known = this.#snapshots.all().find(({ meta }) => meta.index === index);
    if (known && !same(known.chain, chain)) return false;
    if (next)
      return checksumRow(contentOf(next)) === next.checksum && same(sumRow(contentOf(next), chain).chain, next.chain);
    return known !== undefined;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
