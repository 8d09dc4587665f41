// What trackers' consensus cores say to each other, on the wire: frame type `raft`, one CBOR map a message. Sender and receiver
// are not in it: the connection says who they are. Entries follow `prev_index` without gaps, so they carry no index.
import * as v from 'valibot';
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

const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array);
/** Term, kind, data, and the attached manifest. */
const entrySchema = v.tuple([countSchema, v.picklist(['noop', 'command', 'config']), bytes, v.nullable(bytes)]);
export type WireEntry = v.InferOutput<typeof entrySchema>;

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
    type: v.literal('append'),
    term,
    prev_index: countSchema,
    prev_term: countSchema,
    commit: countSchema,
    boot: countSchema,
    entries: v.pipe(v.array(entrySchema), v.maxLength(RAFT_APPEND_ENTRIES_MAX)),
  }),
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
/** Every message of the core but install_snapshot, which ends a snapshot's own stream (tracker-link.ts). */
export type RaftMessageWire = v.InferOutput<typeof raftMessageSchema>;

export function encodeRaftMessage(message: RaftMessageWire): Uint8Array {
  return encodeCbor(message);
}

/**
 * Byte strings of the result alias `payload`. An append that contradicts itself is refused here, for the core takes the order of
 * terms and indexes for granted. @throws MtError PROTOCOL
 */
export function decodeRaftMessage(payload: Uint8Array): RaftMessageWire {
  const message = decodeCbor(payload, raftMessageSchema, 'raft message');
  if (message.type === 'append') checkOrder(message);
  return message;
}

function checkOrder({ term, prev_index, prev_term, entries }: Extract<RaftMessageWire, { type: 'append' }>): void {
  if (!Number.isSafeInteger(prev_index + entries.length)) throw contradiction('indexes beyond counting');
  let newest = prev_term;
  for (const [entryTerm] of entries) {
    if (entryTerm < newest) throw contradiction(`term ${entryTerm} after term ${newest}`);
    newest = entryTerm;
  }
  if (newest > term) throw contradiction(`an entry of term ${newest} from a leader of term ${term}`);
}

const contradiction = (what: string) => new MtError('PROTOCOL', `raft message: append: ${what}`);
