// Reads a data directory from its beginning and applies it again: the way events are listed and data is verified. The beginning is
// the first entry, or, where the history does not reach back that far, the newest snapshot.

import { advance, apply } from '../state/apply.ts';
import { decodeCommand } from '../state/commands.ts';
import { SnapshotReader } from '../state/restore.ts';
import { emptyState, type State } from '../state/state.ts';
import type { Applied, Command, Sha256 } from '../state/types.ts';
import type { Archive } from './archive.ts';
import { CHAIN_START, KIND_NAME, sumRow } from './checksum.ts';
import { contentOf, type EntryRow } from './event-log.ts';
import { DamageError } from './record-table.ts';

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
  /** Entries through the commit index of the moment, with every checksum and the chain verified. Call again for later ones. */
  more(): Generator<Replayed>;
}

/** @throws DamageError @throws UnknownCommandError */
export function replay(archive: Archive, sha256: Sha256): Replay {
  const first = archive.log.rows(1, 2).next();
  const newest = archive.snapshots.newest();
  const fromStart = !first.done || newest.meta.index === 0;
  const anchor = fromStart ? 0 : newest.meta.index;
  const state = fromStart ? emptyState() : restore(archive, sha256);
  let chain: Uint8Array = fromStart ? CHAIN_START : newest.chain;
  let next = anchor + 1;
  return {
    anchor,
    state,
    *more() {
      for (const row of archive.log.rows(next, archive.commit() + 1)) {
        if (row.log_index !== next) throw new DamageError(`log row ${next} is missing`);
        const sums = sumRow(contentOf(row), chain);
        if (!row.chain.equals(sums.chain)) throw new DamageError(`the chain is broken at log row ${next}`);
        chain = sums.chain;
        next++;
        yield applyRow(state, row);
      }
    },
  };
}

function applyRow(state: State, row: EntryRow): Replayed {
  if (KIND_NAME[row.kind] !== 'command') {
    advance(state, row.log_index);
    return { row, command: null, applied: null };
  }
  const command = decodeCommand(row.data);
  return { row, command, applied: apply(state, row.log_index, command) };
}

function restore(archive: Archive, sha256: Sha256): State {
  const reader = new SnapshotReader(sha256);
  for (const chunk of archive.snapshots.chunks()) reader.push(chunk);
  return reader.finish();
}
