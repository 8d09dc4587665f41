-- What a peer daemon remembers: one SQLite file in its data directory. Times are Unix ms unless a name says otherwise.
-- Version 1 (PRAGMA user_version). A change after the first release is a numbered migration in store.ts, never an edit here.

-- Small facts, one a row: the session, the trusted cluster keys, the cluster's members, the outbox's client id.
CREATE TABLE settings (
  key   TEXT PRIMARY KEY, -- which fact
  value TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

-- Files on this disk that a user shares from here; they outlive logout, so that the next login shares them again.
CREATE TABLE shares (
  user_id       TEXT NOT NULL,    -- who shares it
  group_id      TEXT NOT NULL,    -- in which group
  file_name     TEXT NOT NULL,    -- under which name, in NFC
  path          TEXT NOT NULL,    -- absolute, symlinks resolved
  inode         TEXT NOT NULL,    -- decimal; with size and mtime it tells whether the file is the one that was hashed
  size_bytes    INTEGER NOT NULL, -- of the whole file
  mtime_ns      TEXT NOT NULL,    -- decimal Unix ns
  manifest_hash BLOB NOT NULL,    -- SHA-256
  manifest      BLOB NOT NULL,    -- codec/manifest.ts
  published     INTEGER NOT NULL, -- 1: the trackers acknowledged it once, so that the group knows the file
  announced     TEXT,             -- the session under which the trackers know this daemon as a seeder; null: none
  added_at      INTEGER NOT NULL, -- Unix ms
  PRIMARY KEY (user_id, group_id, file_name)
) STRICT;

-- Commands that must reach the trackers even if this daemon is killed first. Sent one at a time, oldest first.
CREATE TABLE outbox (
  seq       INTEGER PRIMARY KEY AUTOINCREMENT, -- also the exactly-once sequence number under the outbox's client id
  session   TEXT NOT NULL,    -- under which it was given
  method    TEXT NOT NULL,    -- share_file, record_share, stop_share or logout
  user_id   TEXT NOT NULL,    -- whose command
  group_id  TEXT,             -- null for logout
  file_name TEXT,             -- null for logout
  queued_at INTEGER NOT NULL  -- Unix ms
) STRICT;

-- Downloads of every user of this daemon, finished ones included until they are taken off the list.
CREATE TABLE downloads (
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- also names the map of verified pieces: downloads/<id>.map
  user_id       TEXT NOT NULL,    -- who fetches it
  group_id      TEXT NOT NULL,    -- in which group
  file_name     TEXT NOT NULL,    -- under which name, in NFC
  destination   TEXT NOT NULL,    -- absolute path of the finished file
  part_path     TEXT NOT NULL,    -- absolute path of the unfinished one, in the same directory
  force         INTEGER NOT NULL, -- 1: may replace a file at the destination
  peer          TEXT,             -- only from this user's daemons; null: from all
  publisher     TEXT NOT NULL,    -- user who shared this content first: named when its whole SHA-1 is wrong
  manifest_hash BLOB NOT NULL,    -- SHA-256
  manifest      BLOB NOT NULL,    -- codec/manifest.ts; empty once settled: the share has it
  size_bytes    INTEGER NOT NULL, -- of the whole file
  state         TEXT NOT NULL,    -- downloading, finishing, complete, failed or paused
  reason_code   TEXT,             -- why it failed or was paused by itself; null: neither
  reason        TEXT,             -- the same as a sentence
  inode         TEXT,             -- decimal, of the data file: tells whether it has been renamed already
  settled       INTEGER NOT NULL, -- 1: complete and surely on the disk
  boot_id       TEXT,             -- boot in which the inode was noted: after another one, it may have been renamed without a word here
  created_at    INTEGER NOT NULL, -- Unix ms
  UNIQUE (user_id, group_id, file_name)
) STRICT;
