// Manifests by their SHA-256: attachments of log entries, stored once per content, never in the state's memory.
import { hash as digest } from 'node:crypto';
import type { Statement } from 'better-sqlite3';
import type { Attachment } from './attachments.ts';
import { DamageError, type Db, isBlob } from './database.ts';

/** Tree sizes that are remembered once their manifests' hashes were right. */
const TREE_SIZES_MAX = 10_000;
/** Where codec/manifest.ts has the version's last byte and a directory's tree size. */
const VERSION_AT = 7;
const TREE_SIZE_AT = 48;
const TREE_VERSION = 2;

export class ManifestTable {
  readonly #insert: Statement<[Uint8Array, Uint8Array]>;
  readonly #select: Statement<[Uint8Array], { data: Buffer }>;
  readonly #exists: Statement<[Uint8Array]>;
  readonly #tree: Statement<[Uint8Array]>;
  readonly #treeSizes = new Map<string, number>();
  readonly #delete: Statement<[Uint8Array]>;
  readonly #hashes: Statement<[], { hash: Buffer }>;
  readonly #named: Statement<[number], { hash: Buffer }>;
  readonly #count: Statement<[], { count: number }>;

  constructor(db: Db) {
    this.#insert = db.prepare('INSERT INTO manifests (hash, data) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING');
    this.#select = db.prepare('SELECT data FROM manifests WHERE hash = ?');
    this.#delete = db.prepare('DELETE FROM manifests WHERE hash = ?');
    this.#hashes = db.prepare('SELECT hash FROM manifests');
    this.#count = db.prepare('SELECT count(*) AS count FROM manifests');
    this.#named = db.prepare(
      'SELECT manifest_hash AS hash FROM entries WHERE log_index > ? AND manifest_hash IS NOT NULL',
    );
    this.#exists = db.prepare('SELECT 1 FROM manifests WHERE hash = ?');
    // The words of the index tree_manifests: answered from it alone, without reading the manifests of plain files.
    this.#tree = db.prepare(
      `SELECT 1 FROM manifests INDEXED BY tree_manifests WHERE hash = ? AND substr(data, 8, 1) = x'02'`,
    );
  }

  /** In the caller's transaction. */
  put(manifest: Attachment): void {
    this.#insert.run(manifest.hash, manifest.bytes);
  }

  has(hash: Uint8Array): boolean {
    return this.#exists.get(hash) !== undefined;
  }

  /**
   * Bytes of the tree document of a directory's manifest; null for a file's, and for one that is not here.
   * @throws DamageError when the stored bytes have another hash.
   */
  treeSize(hash: Uint8Array): number | null {
    if (!this.#tree.get(hash)) return null;
    const key = Buffer.from(hash).toString('hex');
    const known = this.#treeSizes.get(key);
    if (known !== undefined) return known;
    const manifest = this.get(hash);
    if (!manifest || manifest[VERSION_AT] !== TREE_VERSION) return null;
    const size = manifest.readUInt32BE(TREE_SIZE_AT);
    if (this.#treeSizes.size >= TREE_SIZES_MAX) this.#treeSizes.clear();
    this.#treeSizes.set(key, size);
    return size;
  }

  /** In the caller's transaction. */
  delete(hashes: readonly Uint8Array[]): void {
    for (const hash of hashes) this.#delete.run(hash);
  }

  /** Every hash that `isUsed` says no to. @param used how many are used: when there are no more here, none is looked at. */
  unused(used: number, isUsed: (hash: Uint8Array) => boolean): Uint8Array[] {
    if (this.#count.get()!.count <= used) return []; // 100,000 of them would take 0.2 s, while commands wait
    const unused: Uint8Array[] = [];
    for (const { hash } of this.#hashes.iterate()) if (isBlob(hash) && !isUsed(hash)) unused.push(hash);
    return unused;
  }

  /** Of log rows after `index`. */
  namedAfter(index: number): Set<string> {
    return new Set(this.#named.all(index).map(({ hash }) => hash.toString('hex')));
  }

  /**
   * The manifest of that hash, or null when it is not here.
   * @throws DamageError when the stored bytes have another hash.
   */
  get(hash: Uint8Array): Buffer | null {
    const row = this.#select.get(hash);
    if (!row) return null;
    if (!isBlob(row.data) || !digest('sha256', row.data, 'buffer').equals(hash)) throw new DamageError('a manifest');
    return row.data;
  }

  /** A manifest that an entry or the state refers to. */
  require(hash: Uint8Array): Buffer {
    const manifest = this.get(hash);
    if (!manifest) throw new DamageError('a manifest is missing');
    return manifest;
  }
}
