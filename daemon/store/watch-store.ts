// Rows of `watches`: directories of which a user shares what appears in them. Knows SQL and nothing else.
import type { Statement } from 'better-sqlite3';
import type { Sqlite } from './store.ts';

export interface WatchRecord {
  readonly userId: string;
  /** Absolute, symlinks resolved. */
  readonly path: string;
  readonly groupId: string;
}

export class WatchStore {
  readonly #insert: Statement<[string, string, string, number]>;
  readonly #of: Statement<[string], { path: string; group_id: string }>;
  readonly #delete: Statement<[string, string, string]>;

  constructor(db: Sqlite) {
    this.#insert = db.prepare('INSERT OR IGNORE INTO watches VALUES (?, ?, ?, ?)');
    this.#of = db.prepare('SELECT path, group_id FROM watches WHERE user_id = ? ORDER BY added_at, path, group_id');
    this.#delete = db.prepare('DELETE FROM watches WHERE user_id = ? AND path = ? AND group_id = ?');
  }

  of(userId: string): WatchRecord[] {
    return this.#of.all(userId).map(({ path, group_id }) => ({ userId, path, groupId: group_id }));
  }

  add({ userId, path, groupId }: WatchRecord, addedAtMs: number): void {
    this.#insert.run(userId, path, groupId, addedAtMs);
  }

  delete({ userId, path, groupId }: WatchRecord): void {
    this.#delete.run(userId, path, groupId);
  }
}
