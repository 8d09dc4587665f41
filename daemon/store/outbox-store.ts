// Rows of `outbox`: commands that must reach the trackers even if this daemon is killed first. Knows SQL and nothing else.
import type { Statement } from 'better-sqlite3';
import type { Sqlite } from './store.ts';

export type OutboxMethod = 'share_file' | 'record_share' | 'stop_share' | 'logout';

export interface NewOutboxRow {
  readonly session: string;
  readonly method: OutboxMethod;
  readonly userId: string;
  /** null for logout. */
  readonly file: { readonly groupId: string; readonly fileName: string } | null;
}
export interface OutboxRow extends NewOutboxRow {
  readonly seq: number;
}

interface Row {
  seq: number;
  session: string;
  method: OutboxMethod;
  user_id: string;
  group_id: string | null;
  file_name: string | null;
}

export class OutboxStore {
  readonly #insert: Statement<unknown[]>;
  readonly #oldest: Statement<[], Row>;
  readonly #get: Statement<[number], Row>;
  readonly #count: Statement<[], { rows: number }>;
  readonly #delete: Statement<[number]>;

  constructor(db: Sqlite) {
    this.#insert = db.prepare(
      `INSERT INTO outbox (session, method, user_id, group_id, file_name, queued_at) VALUES (?, ?, ?, ?, ?, ?)`,
    );
    const columns = 'seq, session, method, user_id, group_id, file_name';
    this.#oldest = db.prepare(`SELECT ${columns} FROM outbox ORDER BY seq LIMIT 1`);
    this.#get = db.prepare(`SELECT ${columns} FROM outbox WHERE seq = ?`);
    this.#count = db.prepare('SELECT count(*) AS rows FROM outbox');
    this.#delete = db.prepare('DELETE FROM outbox WHERE seq = ?');
  }

  add(row: NewOutboxRow, nowMs: number): OutboxRow {
    const { session, method, userId, file } = row;
    const { lastInsertRowid } = this.#insert.run(
      session,
      method,
      userId,
      file?.groupId ?? null,
      file?.fileName ?? null,
      nowMs,
    );
    return { ...row, seq: Number(lastInsertRowid) };
  }

  /** The next to deliver; null when nothing waits. */
  oldest(): OutboxRow | null {
    return toRow(this.#oldest.get());
  }

  get(seq: number): OutboxRow | null {
    return toRow(this.#get.get(seq));
  }

  count(): number {
    return this.#count.get()!.rows;
  }

  delete(seq: number): void {
    this.#delete.run(seq);
  }
}

function toRow(row: Row | undefined): OutboxRow | null {
  if (!row) return null;
  const file =
    row.group_id === null || row.file_name === null ? null : { groupId: row.group_id, fileName: row.file_name };
  const { seq, session, method, user_id: userId } = row;
  return { seq, session, method, userId, file };
}
