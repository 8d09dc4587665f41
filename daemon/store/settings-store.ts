// Small facts that the daemon remembers, each under its own key with its own schema: what comes back is what was meant.
import type { Statement } from 'better-sqlite3';
import * as v from 'valibot';
import { addressSchema, countSchema, fingerprintSchema, idSchema, tokenSchema } from '../../codec/ids.ts';
import type { Sqlite } from './store.ts';

/** Bytes a second; 0: none. */
const limitSchema = v.nullable(countSchema);
const sessionSchema = v.strictObject({ userId: idSchema, token: tokenSchema });
export type StoredSession = v.InferOutput<typeof sessionSchema>;

const SETTINGS = {
  /** Who is logged in here. Kept until logout. */
  session: sessionSchema,
  /** Cluster keys met and accepted, as SPKI PEM under their fingerprints. */
  cluster_keys: v.array(v.strictObject({ fingerprint: fingerprintSchema, pem: v.string() })),
  /** The cluster's members, as a tracker told them last. */
  members: v.array(v.strictObject({ number: countSchema, address: addressSchema })),
  /** What `mt limits` set last, each way; null: never. */
  limits: v.strictObject({ up: limitSchema, down: limitSchema }),
  /** The exactly-once client that the outbox's rows are sent under. */
  outbox_client: tokenSchema,
} as const;
export type SettingKey = keyof typeof SETTINGS;
export type Setting<K extends SettingKey> = v.InferOutput<(typeof SETTINGS)[K]>;

export class SettingsStore {
  readonly #get: Statement<[string], { value: string }>;
  readonly #set: Statement<[string, string]>;
  readonly #delete: Statement<[string]>;

  constructor(db: Sqlite) {
    this.#get = db.prepare('SELECT value FROM settings WHERE key = ?');
    this.#set = db.prepare('INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value');
    this.#delete = db.prepare('DELETE FROM settings WHERE key = ?');
  }

  /** null when it was never set, or when what is there cannot be it any more. */
  get<K extends SettingKey>(key: K): Setting<K> | null {
    const row = this.#get.get(key);
    if (!row) return null;
    const result = v.safeParse(SETTINGS[key], JSON.parse(row.value));
    return result.success ? (result.output as Setting<K>) : null;
  }

  set<K extends SettingKey>(key: K, value: Setting<K>): void {
    this.#set.run(key, JSON.stringify(value));
  }

  delete(key: SettingKey): void {
    this.#delete.run(key);
  }
}
