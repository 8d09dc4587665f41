-- One tracker's memory. Every row that is read back carries a checksum or a hash: SQLite alone does not notice a flipped byte.
-- Written by cluster/store only. Times are inside the commands (Unix ms, stamped by the leader), never columns of their own.

-- The log of commands. Rows at or below log_start.purged_index are history for audit; the consensus core does not see them.
CREATE TABLE IF NOT EXISTS entries (
  log_index       INTEGER PRIMARY KEY, -- 1, 2, 3 …
  term            INTEGER NOT NULL,    -- Raft term of the leader that appended it
  kind            INTEGER NOT NULL,    -- 0 noop, 1 command, 2 config
  data            BLOB NOT NULL,       -- the command or membership, as encoded by its proposer
  manifest_hash   BLOB,                -- SHA-256 of the attached manifest, or NULL
  attachment_size INTEGER NOT NULL,    -- bytes of that manifest, 0 without
  checksum        INTEGER NOT NULL,    -- CRC-32 of index, term, kind, manifest_hash and data
  chain           BLOB NOT NULL        -- SHA-256 of the previous row's chain and of what the checksum covers
) STRICT;
CREATE INDEX IF NOT EXISTS config_entries ON entries (log_index) WHERE kind = 2;

-- Attachments of entries, stored once per content.
CREATE TABLE IF NOT EXISTS manifests (
  hash BLOB PRIMARY KEY,               -- SHA-256 of data
  data BLOB NOT NULL                   -- codec/manifest.ts
) STRICT;
-- Those of directories (version 2, its last byte at 8): listings ask for every file whether it is one.
CREATE INDEX IF NOT EXISTS tree_manifests ON manifests (hash) WHERE substr(data, 8, 1) = x'02';

-- The applied state through log_index, in chunks; the newest complete one counts.
CREATE TABLE IF NOT EXISTS snapshots (
  log_index   INTEGER PRIMARY KEY,     -- the last entry that it holds
  term        INTEGER NOT NULL,        -- of the entry at log_index
  membership  BLOB NOT NULL,           -- CBOR, in force at log_index
  chain       BLOB NOT NULL,           -- chain hash of the entry at log_index
  chunk_count INTEGER NOT NULL,        -- rows of snapshot_chunks; with all of them it is complete
  size        INTEGER NOT NULL,        -- bytes of all chunks
  hash        BLOB NOT NULL,           -- SHA-256 of all chunks, one after the other
  checksum    INTEGER NOT NULL         -- CRC-32 of the columns above
) STRICT;
CREATE TABLE IF NOT EXISTS snapshot_chunks (
  log_index INTEGER NOT NULL,          -- its snapshot
  position  INTEGER NOT NULL,          -- 0, 1, 2 …
  data      BLOB NOT NULL,             -- that part of the encoded state
  PRIMARY KEY (log_index, position)
) STRICT, WITHOUT ROWID;

-- Small records that are read whole: identity, hard state, log start. CBOR values with a checksum each.
CREATE TABLE IF NOT EXISTS records (
  name     TEXT PRIMARY KEY,           -- which record
  value    BLOB NOT NULL,              -- CBOR
  checksum INTEGER NOT NULL            -- CRC-32 of name and value
) STRICT, WITHOUT ROWID;
