/**
 * The state as a stream of chunks, each one CBOR document of at most 256 KiB:
 *
 *   ['head', format, index, now, version, groups per user, files per user, hash a, hash b, rows in all]
 *   ['rows', [row, …]]   …        users, groups, members, requests, files, shares, sessions, clients, replies, failures, in this order
 *   ['end', SHA-256 over the SHA-256 so far and each chunk before this one]
 *
 * It is consistent although commands go on being applied between two chunks: at the start only the list of groups is copied (a few
 * ms for 100,000), a record that is about to change is first asked for its row as it was, and a list for what was in it. Each row
 * is written as it stands, so no second copy of the state exists. Tables have an order that all nodes share: the same state gives the same bytes.
 */
import { encodeCbor } from '../../codec/cbor.ts';
import { invariant } from './bytes.ts';
import type { Row } from './content-hash.ts';
import { SNAPSHOT_CHUNK_BYTES_MAX } from './limits.ts';
import type { Ordered } from './ordered.ts';
import type { File, Group, StateRecord } from './records.ts';
import { RowsChunk } from './rows-chunk.ts';
import type { List, State, Witness } from './state.ts';
import type { Sha256, Snapshot } from './types.ts';

export const SNAPSHOT_FORMAT = 1;
/** Some 2,000 rows: written in a millisecond, between two turns of the loop. The largest row, a stored error reply, is a few KiB. */
const ROWS_BYTES_MAX = SNAPSHOT_CHUNK_BYTES_MAX / 4;
const BATCH_RECORDS = 1_024;

/** Starts a snapshot of the state as it is now. One at a time. */
export function takeSnapshot(state: State, sha256: Sha256): Snapshot {
  invariant(state.witness === null, 'one snapshot at a time');
  const earlier = new Map<StateRecord, Row>();
  const lists = new Map<List, readonly StateRecord[]>();
  const witness: Witness = {
    changing(record) {
      if (!earlier.has(record)) earlier.set(record, record.row());
    },
    listChanging(list) {
      if (!lists.has(list)) lists.set(list, list.items());
    },
  };
  const { index } = state;
  const records = recordsOf(state, lists);
  const head = headOf(state, countRecords(state));
  state.witness = witness;
  const close = () => {
    if (state.witness === witness) state.witness = null;
    earlier.clear();
    lists.clear();
  };
  const chunks = chunksOf(head, records, earlier, sha256);
  return {
    index,
    next() {
      const { value, done } = chunks.next();
      if (done === true) close();
      return value ?? null;
    },
    close() {
      chunks.return(undefined);
      close();
    },
  };
}

/** Extends the digest of all chunks so far by one more. */
export function extendDigest(digest: Uint8Array, chunk: Uint8Array, sha256: Sha256): Uint8Array {
  const own = sha256(chunk);
  const both = new Uint8Array(digest.length + own.length);
  both.set(digest);
  both.set(own, digest.length);
  return sha256(both);
}

function headOf(state: State, rowCount: number): unknown[] {
  const { index, now, version, limits, hash } = state;
  const { groupsPerUser, filesPerUser } = limits;
  return ['head', SNAPSHOT_FORMAT, index, now, version, groupsPerUser, filesPerUser, hash.a, hash.b, rowCount];
}

function* chunksOf(
  head: unknown[],
  records: Iterable<readonly StateRecord[]>,
  earlier: Map<StateRecord, Row>,
  sha256: Sha256,
): Generator<Uint8Array, undefined, void> {
  let digest: Uint8Array = new Uint8Array(0);
  const seal = (chunk: Uint8Array): Uint8Array => {
    digest = extendDigest(digest, chunk, sha256);
    return chunk;
  };
  // Copies: the encoder's result is a view of a shared pool.
  yield seal(new Uint8Array(encodeCbor(head)));
  const rows = new RowsChunk(ROWS_BYTES_MAX);
  for (const batch of records) {
    for (const record of batch) {
      const row = earlier.get(record) ?? record.row();
      if (rows.add(row)) continue;
      yield seal(rows.take());
      invariant(rows.add(row), 'a row fits a chunk');
    }
  }
  if (rows.count > 0) yield seal(rows.take());
  yield new Uint8Array(encodeCbor(['end', digest]));
}

/** How many rows a snapshot would have now. */
export function countRecords(state: State): number {
  const { users, groups, memberCount, requestCount, fileCount, shareCount, sessions, clients, replyCount } = state;
  const { user, address } = state.failures;
  const inGroups = groups.size + memberCount + requestCount + fileCount + shareCount;
  return users.size + inGroups + sessions.size + clients.size + replyCount + user.size + address.size;
}

/**
 * Every record as it was at the start, in the order in which a reader can rebuild it: what a row names comes before it. Lists that
 * are long in all (members, files, shares) are read when their turn comes; `lists` has those that have changed since. They come in
 * batches, because a generator that is resumed for each of a million records takes longer than all the rest.
 */
function recordsOf(state: State, lists: ReadonlyMap<List, readonly StateRecord[]>): Generator<readonly StateRecord[]> {
  const users = [...state.users.values()];
  const groups = state.groupsInOrder.items();
  const clients = [...state.clientsByUse.values()];
  const rest: StateRecord[] = [...state.sessions.values(), ...clients];
  for (const client of clients) for (const reply of client.replies.values()) rest.push(reply);
  for (const failures of state.failuresByTime.user.values()) rest.push(failures);
  for (const failures of state.failuresByTime.address.values()) rest.push(failures);
  let batch: StateRecord[] = [];
  const take = (record: StateRecord): void => {
    batch.push(record);
  };
  const takeAll = <T extends StateRecord>(list: Ordered<T, never>): void => {
    const earlier = lists.size === 0 ? undefined : lists.get(list as never);
    if (earlier === undefined) list.each(take);
    else earlier.forEach(take);
  };
  const isEmpty = (list: List) => (lists.get(list)?.length ?? list.size) === 0;
  function* inBatches<T>(all: readonly T[], each: (one: T) => void): Generator<readonly StateRecord[]> {
    for (const one of all) {
      each(one);
      if (batch.length < BATCH_RECORDS) continue;
      yield batch;
      batch = [];
    }
    yield batch;
    batch = [];
  }
  return (function* () {
    yield users;
    yield groups;
    const asked: Group[] = [];
    const sharing: Group[] = [];
    yield* inBatches(groups, (group) => {
      takeAll(group.members);
      if (!isEmpty(group.requests)) asked.push(group);
      if (!isEmpty(group.files)) sharing.push(group);
    });
    yield* inBatches(asked, ({ requests }) => takeAll(requests));
    yield* inBatches(sharing, ({ files }) => takeAll(files));
    for (const { files } of sharing) {
      yield* inBatches((lists.get(files) as readonly File[] | undefined) ?? files.items(), ({ sharers }) =>
        takeAll(sharers),
      );
    }
    yield rest;
  })();
}
