// Small records that are read whole, each with a checksum: identity, hard state, where the log starts.
import { crc32 } from 'node:zlib';
import type { Statement } from 'better-sqlite3';
import * as v from 'valibot';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { countSchema, tokenSchema } from '../../codec/ids.ts';
import { DamageError, type Db, isBlob } from './database.ts';

export const memberSchema = v.strictObject({
  number: countSchema,
  incarnation: tokenSchema,
  host: v.string(),
  port: countSchema,
});
export type Member = v.InferOutput<typeof memberSchema>;

const SCHEMAS = {
  identity: v.strictObject({
    number: countSchema,
    incarnation: tokenSchema,
    /** Null until the cluster has formed, or this tracker was taken in. */
    cluster_id: v.nullable(tokenSchema),
    /** The members of the first configuration; null for a tracker that joined later. */
    founding: v.nullable(v.array(memberSchema)),
    /** Starts of this data directory, this one included. */
    boot: countSchema,
  }),
  hard_state: v.strictObject({ term: countSchema, vote: v.nullable(tokenSchema), commit: countSchema }),
  log_start: v.strictObject({ purged_index: countSchema, purged_term: countSchema }),
  /** In a copy made by `backup`, in place of an identity: a copy has forgotten what its tracker promised after it. */
  origin: v.strictObject({ number: countSchema, cluster_id: tokenSchema, at: countSchema }),
  /** This tracker was removed from its cluster. */
  removed: v.strictObject({ cluster_id: tokenSchema }),
  /** False: the log is damaged or shorter than what was promised (RaftConfig.mayVote). */
  fitness: v.strictObject({ may_vote: v.boolean() }),
};
export type RecordName = keyof typeof SCHEMAS;
export type RecordOf<N extends RecordName> = v.InferOutput<(typeof SCHEMAS)[N]>;
export type Identity = RecordOf<'identity'>;

export class RecordTable {
  readonly #read: Statement<[string], { value: Buffer; checksum: number }>;
  readonly #delete: Statement<[string]>;
  readonly #write: Statement<[string, Uint8Array, number]>;

  constructor(db: Db) {
    this.#read = db.prepare('SELECT value, checksum FROM records WHERE name = ?');
    this.#delete = db.prepare('DELETE FROM records WHERE name = ?');
    this.#write = db.prepare(`INSERT INTO records (name, value, checksum) VALUES (?, ?, ?)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value, checksum = excluded.checksum`);
  }

  /** @throws DamageError when what is stored is not what was written. */
  read<N extends RecordName>(name: N): RecordOf<N> | null {
    const row = this.#read.get(name);
    if (!row) return null;
    if (!isBlob(row.value) || checksumOf(name, row.value) !== row.checksum)
      throw new DamageError(`the record "${name}"`);
    return decodeCbor(row.value, SCHEMAS[name], name) as RecordOf<N>;
  }

  drop(name: RecordName): void {
    this.#delete.run(name);
  }

  write<N extends RecordName>(name: N, record: RecordOf<N>): void {
    const value = encodeCbor(record);
    this.#write.run(name, value, checksumOf(name, value));
  }
}

function checksumOf(name: string, value: Uint8Array): number {
  return crc32(value, crc32(name));
}
