// What trackers' consensus cores say to each other, on the wire: frame type `raft`, one CBOR map a message. Sender and receiver
// are not in it: the connection says who they are. An append's entries come behind its map, so that they are encoded once for all
// followers; they follow `prev_index` without gaps, so they carry no index:
//
//   0           2        2+H
//   ┌───────────┬────────┬─────────────────────────────────────────────────────────────────┐
//   │head size H│head, H │entries (byte-rows.ts): term, kind, data, the attached manifest  │
//   │u16, < 2^15│CBOR    │                                                                 │
//   └───────────┴────────┴─────────────────────────────────────────────────────────────────┘
//
// A CBOR map begins with a byte above 0x9f, an append with one below 0x80.
import * as v from 'valibot';
import { decodeRows, encodeRows } from './byte-rows.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { MtError } from './errors.ts';
import { countSchema, tokenSchema } from './ids.ts';
import { RAFT_APPEND_ENTRIES_MAX, RAFT_PAYLOAD_BYTES_MAX } from './limits.ts';

export const RAFT_FRAME = 'raft';
export const RAFT_FRAME_BYTES_MAX = RAFT_PAYLOAD_BYTES_MAX;

/** Members of a cluster of seven, and as many learners, with room. */
const MEMBERS_MAX = 64;
const members = v.pipe(v.array(tokenSchema), v.maxLength(MEMBERS_MAX));
const nodeInfo = v.record(v.pipe(v.string(), v.maxLength(64)), v.union([v.string(), countSchema]));

export const membershipSchema = v.strictObject({
  voters: members,
  learners: members,
  info: v.record(tokenSchema, nodeInfo),
});
export const snapshotMetaSchema = v.strictObject({
  index: countSchema,
  term: countSchema,
  membership: membershipSchema,
});

/** By their tag in a row. */
const KINDS = ['noop', 'command', 'config'] as const;
/** Term, kind, data, and the attached manifest. */
export type WireEntry = readonly [
  term: number,
  kind: (typeof KINDS)[number],
  data: Uint8Array,
  manifest: Uint8Array | null,
];

const term = countSchema;
const raftMessageSchema = v.variant('type', [
  v.strictObject({
    type: v.literal('request_vote'),
    term,
    pre: v.boolean(),
    transfer: v.boolean(),
    last_index: countSchema,
    last_term: countSchema,
  }),
  v.strictObject({ type: v.literal('request_vote_reply'), term, pre: v.boolean(), granted: v.boolean() }),
  v.strictObject({
    type: v.literal('append_reply'),
    term,
    boot: countSchema,
    ok: v.boolean(),
    index: countSchema,
    hint_index: countSchema,
    hint_term: countSchema,
  }),
  v.strictObject({ type: v.literal('heartbeat'), term, round: countSchema }),
  v.strictObject({
    type: v.literal('heartbeat_reply'),
    term,
    boot: countSchema,
    round: countSchema,
    fit: v.boolean(),
    commit: countSchema,
  }),
  v.strictObject({ type: v.literal('timeout_now'), term }),
  v.strictObject({ type: v.literal('read_request'), term, boot: countSchema, id: countSchema }),
  v.strictObject({
    type: v.literal('read_reply'),
    term,
    boot: countSchema,
    id: countSchema,
    index: v.nullable(countSchema),
  }),
]);
const appendHeadSchema = v.strictObject({
  type: v.literal('append'),
  term,
  prev_index: countSchema,
  prev_term: countSchema,
  commit: countSchema,
  boot: countSchema,
});
type AppendHead = v.InferOutput<typeof appendHeadSchema>;
export type AppendWire = AppendHead & { readonly entries: readonly WireEntry[] };
/** Every message of the core but install_snapshot, which ends a snapshot's own stream (tracker-link.ts). */
export type RaftMessageWire = v.InferOutput<typeof raftMessageSchema> | AppendWire;

const HEAD_SIZE_SIZE = 2;

/** The parts of a message, to be sent one behind the other. @param entries of an append, when encodeEntries has made them already. */
export function encodeRaftMessage(message: RaftMessageWire, entries?: Uint8Array): readonly Uint8Array[] {
  if (message.type !== 'append') return [encodeCbor(message)];
  const { entries: list, ...rest } = message;
  const map = encodeCbor(rest);
  const head = new Uint8Array(HEAD_SIZE_SIZE + map.length);
  head[0] = map.length >> 8;
  head[1] = map.length;
  head.set(map, HEAD_SIZE_SIZE);
  return [head, entries ?? encodeEntries(list)];
}

export function encodeEntries(entries: readonly WireEntry[]): Uint8Array {
  return encodeRows(
    entries.map(([number, kind, data, attachment]) => ({ number, tag: KINDS.indexOf(kind), data, attachment })),
  );
}

/**
 * The data of entries is a copy; manifests alias `payload`. An append that contradicts itself is refused here, for the core takes
 * the order of terms and indexes for granted. @throws MtError PROTOCOL
 */
export function decodeRaftMessage(payload: Uint8Array): RaftMessageWire {
  if (payload.length < HEAD_SIZE_SIZE || payload[0]! > 0x7f)
    return decodeCbor(payload, raftMessageSchema, 'raft message');
  const headEnd = HEAD_SIZE_SIZE + ((payload[0]! << 8) | payload[1]!);
  const head = decodeCbor(payload.subarray(HEAD_SIZE_SIZE, headEnd), appendHeadSchema, 'raft message');
  const rows = decodeRows(payload.subarray(headEnd), RAFT_APPEND_ENTRIES_MAX, 'raft message: append');
  const entries = rows.map(({ number, tag, data, attachment }): WireEntry => {
    const kind = KINDS[tag];
    if (!kind) throw contradiction(`an entry of kind ${tag}`);
    return [number, kind, data, attachment];
  });
  const message = { ...head, entries };
  checkOrder(message);
  return message;
}

function checkOrder({ term, prev_index, prev_term, entries }: AppendWire): void {
  if (!Number.isSafeInteger(prev_index + entries.length)) throw contradiction('indexes beyond counting');
  let newest = prev_term;
  for (const [entryTerm] of entries) {
    if (entryTerm < newest) throw contradiction(`term ${entryTerm} after term ${newest}`);
    newest = entryTerm;
  }
  if (newest > term) throw contradiction(`an entry of term ${newest} from a leader of term ${term}`);
}

const contradiction = (what: string) => new MtError('PROTOCOL', `raft message: append: ${what}`);
