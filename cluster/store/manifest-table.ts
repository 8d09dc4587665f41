// Manifests by their SHA-256: attachments of log entries, stored once per content, never in the state's memory.
import { hash as digest } from 'node:crypto';
import type { Statement } from 'better-sqlite3';
import type { Attachment } from './attachments.ts';
import { DamageError, type Db } from './database.ts';

export class ManifestTable {
  readonly #insert: Statement<[Uint8Array, Uint8Array]>;
  readonly #select: Statement<[Uint8Array], { data: Buffer }>;
  readonly #exists: Statement<[Uint8Array]>;

  constructor(db: Db) {
    this.#insert = db.prepare('INSERT INTO manifests (hash, data) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING');
    this.#select = db.prepare('SELECT data FROM manifests WHERE hash = ?');
    this.#exists = db.prepare('SELECT 1 FROM manifests WHERE hash = ?');
  }

  /** In the caller's transaction. */
  put(manifest: Attachment): void {
    this.#insert.run(manifest.hash, manifest.bytes);
  }

  has(hash: Uint8Array): boolean {
    return this.#exists.get(hash) !== undefined;
  }

  /**
   * The manifest of that hash, or null when it is not here.
   * @throws DamageError when the stored bytes have another hash.
   */
  get(hash: Uint8Array): Buffer | null {
    const row = this.#select.get(hash);
    if (!row) return null;
    if (!digest('sha256', row.data, 'buffer').equals(hash)) throw new DamageError('a manifest');
    return row.data;
  }

  /** A manifest that an entry or the state refers to. */
  require(hash: Uint8Array): Buffer {
    const manifest = this.get(hash);
    if (!manifest) throw new DamageError('a manifest is missing');
    return manifest;
  }
}
