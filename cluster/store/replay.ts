// Applies the log of a database to a state again, with every checksum and the chain verified: at a tracker's start, for listing events,
// for verifying.
import { MtError } from '../../codec/errors.ts';
import { advance, apply } from '../state/apply.ts';
import { decodeCommand } from '../state/commands.ts';
import { SnapshotReader } from '../state/restore.ts';
import { emptyState, type State } from '../state/state.ts';
import type { Applied, Command, Sha256 } from '../state/types.ts';
import type { Archive } from './archive.ts';
import { CHAIN_START, chainRow, KIND_NAME } from './checksum.ts';
import { DamageError } from './database.ts';
import { contentOf, type EntryRow, type EventLog } from './event-log.ts';
import type { Snapshot, SnapshotTable } from './snapshot-table.ts';
import type { Store } from './store.ts';

/** Rows that are applied between two reports of progress. */
const PROGRESS_ROWS = 500;

export interface Replayed {
  readonly row: EntryRow;
  /** Null for entries that carry no command. */
  readonly command: Command | null;
  readonly applied: Applied | null;
}

export interface Replay {
  /** Index that the state starts after: 0, or that of a snapshot. */
  readonly anchor: number;
  readonly state: State;
  /** Entries through the commit index of the moment. Call again for later ones. */
  more(): Generator<Replayed>;
}

/**
 * From the first entry, or, where the history does not reach back that far, from the oldest snapshot that it follows.
 * @throws DamageError @throws UnknownCommandError
 */
export function replay(archive: Archive, sha256: Sha256): Replay {
  const start = archive.history.anchor();
  const state = start ? restoreSnapshot(archive.snapshots, start, sha256) : emptyState();
  const anchor = state.index;
  let chain: Uint8Array = start?.chain ?? CHAIN_START;
  return {
    anchor,
    state,
    *more() {
      // Another process writes: a snapshot may have come in place of the next rows, which are fetched again soon.
      if (archive.isBehindGap(state.index)) return;
      for (const replayed of applyRows(archive.log, state, chain, archive.commit())) {
        chain = replayed.row.chain;
        yield replayed;
      }
    },
  };
}

/**
 * Applies the rows after `state.index` through `upTo`.
 * @param chain hash of the entry at state.index. @throws DamageError
 */
export function* applyRows(log: EventLog, state: State, chain: Uint8Array, upTo: number): Generator<Replayed> {
  let previous = chain;
  for (const row of log.rows(state.index + 1, upTo + 1)) {
    previous = verifyNext(row, state.index + 1, previous);
    yield applyRow(state, row);
  }
}

/**
 * The state as far as it is known to be committed: the newest snapshot and the entries behind it. Every row that the consensus core
 * can see is verified before anybody votes by it.
 * @param onProgress called every few ms: the event loop waits for all of it. @throws DamageError
 */
export function loadState({ snapshots, log, hardState }: Store, sha256: Sha256, onProgress = () => {}): State {
  const snapshot = snapshots.newest();
  const first = log.firstIndex();
  const chain = verifyRows(log, log.chainAt(first - 1), first, snapshot.meta.index);
  if (Buffer.compare(chain, snapshot.chain) !== 0) throw new DamageError('the log does not lead to the snapshot');
  const state = restoreSnapshot(snapshots, snapshot, sha256, onProgress);
  const upTo = Math.min(hardState.commit, log.lastIndex());
  for (const { row } of applyRows(log, state, chain, upTo)) if (row.log_index % PROGRESS_ROWS === 0) onProgress();
  verifyRows(log, log.chainAt(state.index), state.index + 1, log.lastIndex());
  return state;
}

/** Checksums and chain of rows that are not applied: `from` … `to`. @returns the chain at `to`. @throws DamageError */
export function verifyRows(log: EventLog, chain: Uint8Array, from: number, to: number): Uint8Array {
  let next = from;
  let previous = chain;
  for (const row of log.rows(from, to + 1)) {
    previous = verifyNext(row, next, previous);
    next++;
  }
  if (next !== to + 1) throw new DamageError(`log row ${next} is missing`);
  return previous;
}

function verifyNext(row: EntryRow, index: number, previous: Uint8Array): Uint8Array {
  if (row.log_index !== index) throw new DamageError(`log row ${index} is missing`);
  if (!row.chain.equals(chainRow(contentOf(row), previous)))
    throw new DamageError(`the chain is broken at log row ${index}`);
  return row.chain;
}

/** The state of a snapshot; the empty one for the founding one. @throws DamageError */
export function restoreSnapshot(
  snapshots: SnapshotTable,
  snapshot: Snapshot,
  sha256: Sha256,
  onProgress = () => {},
): State {
  if (snapshot.chunkCount === 0) return emptyState();
  try {
    const reader = new SnapshotReader(sha256);
    for (const chunk of snapshots.chunks(snapshot)) {
      reader.push(chunk);
      onProgress();
    }
    return reader.finish();
  } catch (cause) {
    if (cause instanceof MtError) throw new DamageError(`the snapshot (${cause.message})`, { cause });
    throw cause;
  }
}

function applyRow(state: State, row: EntryRow): Replayed {
  if (KIND_NAME[row.kind] !== 'command') {
    advance(state, row.log_index);
    return { row, command: null, applied: null };
  }
  const command = decodeCommand(row.data);
  return { row, command, applied: apply(state, row.log_index, command) };
}
