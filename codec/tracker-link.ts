// The conversation between two trackers of a cluster. Each dials the other once: calls, Raft messages and forwarded commands go
// out on the dialled connection, answers come back on it. Beside the calls below it carries three frames of its own:
//
//   raft      one message of the consensus core (raft-messages.ts)
//   propose   follower → leader: commands of one turn, each a row (byte-rows.ts) of ref, command and manifest
//   proposed  leader → follower: their outcomes, [[ref, outcome, reply | reason | null] …]
import * as v from 'valibot';
import { adminActionSchema, adminResultSchema } from './admin-api.ts';
import { decodeRows, encodeRows } from './byte-rows.ts';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { errorWireSchema } from './errors.ts';
import { addressSchema, countSchema, tokenSchema } from './ids.ts';
import { PIECE_COUNT_MAX, RAFT_PAYLOAD_BYTES_MAX } from './limits.ts';
import { RAFT_FRAME, RAFT_FRAME_BYTES_MAX, snapshotMetaSchema } from './raft-messages.ts';
import type { Api } from './rpc.ts';
import { trackerRowSchema } from './tracker-rpc.ts';

export const PROPOSE_FRAME = 'propose';
export const PROPOSED_FRAME = 'proposed';
/** Live sessions in one report; a tracker with more daemons sends several. */
export const LEASES_PER_REPORT_MAX = 2_000;
/** What earlier versions sent; with a thousand long names beside them they did not fit a frame. */
const LEASES_ACCEPTED_MAX = 5_000;
/** Rows about files in one report, so that it fits a frame; those of one daemon stay together. */
export const PROGRESS_PER_REPORT_MAX = 1_000;

const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array);
const sha256Schema = v.pipe(
  bytes,
  v.check((hash) => hash.length === 32, '32 bytes'),
);
const nothing = v.strictObject({});
/** Session, group, file, pieces. */
const progressSchema = v.array(
  v.tuple([tokenSchema, v.string(), v.string(), v.pipe(countSchema, v.maxValue(PIECE_COUNT_MAX))]),
);

/** One founder: its number, the identity of its data directory, and where the tracker file says it is. */
export const founderSchema = v.strictObject({
  number: countSchema,
  incarnation: tokenSchema,
  ...addressSchema.entries,
});
export type Founder = v.InferOutput<typeof founderSchema>;
const founders = v.pipe(v.array(founderSchema), v.minLength(1), v.maxLength(64));

const trackerAtSchema = v.strictObject({ number: countSchema, ...addressSchema.entries });
export type TrackerAt = v.InferOutput<typeof trackerAtSchema>;

export const snapshotHeaderSchema = v.strictObject({
  meta: snapshotMetaSchema,
  /** Chain hash of the entry at meta.index. */
  chain: sha256Schema,
  chunk_count: countSchema,
  size: countSchema,
  /** SHA-256 of all chunks, one after the other. */
  hash: sha256Schema,
});
export type SnapshotHeader = v.InferOutput<typeof snapshotHeaderSchema>;

/** [term, kind, data, SHA-256 of the manifest, size of the manifest] as in the log's table; indexes follow from the first. */
export const historyRowSchema = v.strictTuple([
  countSchema,
  v.pipe(countSchema, v.maxValue(2)),
  bytes,
  v.nullable(sha256Schema),
  countSchema,
]);
export type HistoryRow = v.InferOutput<typeof historyRowSchema>;

export const linkApi = {
  /** From the first tracker of the file: are you new, and is this who founds the cluster? Refused with a sentence if not. */
  confirm_founding: { params: v.strictObject({ founders }), result: nothing },
  /** The cluster is founded; by whoever knows, to a founder that does not. */
  founded: { params: v.strictObject({ cluster_id: tokenSchema, founders }), result: nothing },
  /** From the leader, also again: you are a learner of this cluster, and this is where its members are. */
  join: {
    params: v.strictObject({
      cluster_id: tokenSchema,
      members: v.optional(v.pipe(v.array(trackerAtSchema), v.maxLength(64)), []),
    }),
    result: nothing,
  },

  /** From the leader: you were removed from this cluster, for good. */
  removed: { params: v.strictObject({ cluster_id: tokenSchema }), result: nothing },
  /** To the leader, from the tracker that an administrator talks to. */
  administer: { params: v.strictObject({ action: adminActionSchema }), result: adminResultSchema },

  status: { params: nothing, result: v.omit(trackerRowSchema, ['reachable', 'lag']) },
  /** Unix ms. */
  clock: { params: nothing, result: v.strictObject({ now: countSchema }) },

  /** Daemons that were heard since the last report, and the progress of their downloads. */
  report_leases: {
    params: v.strictObject({
      sessions: v.pipe(v.array(v.tuple([tokenSchema, countSchema])), v.maxLength(LEASES_ACCEPTED_MAX)),
      downloads: progressSchema,
      /** As in a heartbeat; a tracker of an earlier version does not say it. */
      shortfalls: v.optional(progressSchema, []),
    }),
    result: nothing,
  },

  /** A snapshot for a follower: header, chunks in order, end. A new header forgets an unfinished one. */
  snapshot_begin: { params: snapshotHeaderSchema, result: nothing },
  snapshot_chunk: {
    params: v.strictObject({ index: countSchema, position: countSchema, data: bytes }),
    result: nothing,
  },
  /** Everything has arrived, manifests included: install it. `term` is the leader's. */
  snapshot_end: { params: v.strictObject({ index: countSchema, term: countSchema }), result: nothing },
  get_manifest: {
    params: v.strictObject({ hash: sha256Schema }),
    result: v.strictObject({ manifest: v.nullable(bytes) }),
  },

  /** From the leader: what was your state's hash at that index? Null: not known any more, or not yet. */
  state_hash_at: {
    params: v.strictObject({ index: countSchema }),
    result: v.strictObject({ hash: v.nullable(sha256Schema) }),
  },
  /** From the leader: most voters had this hash at that index. Who had another one must not go on with its state. */
  majority_hash: { params: v.strictObject({ index: countSchema, hash: sha256Schema }), result: nothing },

  /** Rows of the log from `from` on, in order, for a history that is missing; none when they are not there any more. */
  get_history: {
    params: v.strictObject({ from: countSchema, to: countSchema }),
    result: v.strictObject({ rows: v.array(historyRowSchema) }),
  },
} as const satisfies Api;
export type LinkApi = typeof linkApi;

/** What became of a forwarded command: applied with that reply, refused for that reason, or fate unknown. */
const replySchema = v.variant('ok', [
  v.strictObject({ ok: v.literal(true), result: v.record(v.string(), v.unknown()) }),
  v.strictObject({ ok: v.literal(false), error: errorWireSchema }),
]);
const outcomeSchema = v.variant('outcome', [
  v.strictObject({ ref: countSchema, outcome: v.literal('applied'), reply: replySchema }),
  v.strictObject({ ref: countSchema, outcome: v.literal('refused'), reason: v.pipe(v.string(), v.maxLength(64)) }),
  v.strictObject({ ref: countSchema, outcome: v.literal('unknown') }),
]);
export type Outcome = v.InferOutput<typeof outcomeSchema>;
export type ForwardedProposal = readonly [ref: number, data: Uint8Array, manifest: Uint8Array | null];
/** Of one frame: as many as one tracker may have waiting, and its size is limited as well. */
const PROPOSALS_MAX = 32_768;

/** Of one frame: some 15 items of CBOR each, and 4 KiB with the longest error. */
const OUTCOMES_MAX = 2_000;

const outcomesSchema = v.array(outcomeSchema);

export function encodeProposals(proposals: readonly ForwardedProposal[]): Uint8Array {
  return encodeRows(proposals.map(([number, data, attachment]) => ({ number, tag: 0, data, attachment })));
}

/** Commands are copies; manifests alias `payload`. @throws MtError PROTOCOL */
export function decodeProposals(payload: Uint8Array): ForwardedProposal[] {
  const rows = decodeRows(payload, PROPOSALS_MAX, 'forwarded commands');
  return rows.map(({ number, data, attachment }) => [number, data, attachment]);
}

/** Payloads of `proposed` frames, none larger than the other side reads: after a pause, all that waited is answered at once. */
export function* encodeOutcomes(outcomes: readonly Outcome[]): Generator<Uint8Array> {
  for (let at = 0; at < outcomes.length; at += OUTCOMES_MAX) {
    yield encodeCbor(outcomes.slice(at, at + OUTCOMES_MAX));
  }
}

/** @throws MtError PROTOCOL */
export function decodeOutcomes(payload: Uint8Array): Outcome[] {
  return decodeCbor(payload, outcomesSchema, 'outcomes');
}

/** Largest payload of the frames beside the calls. */
export function linkPayloadMax(type: string): number | undefined {
  if (type === RAFT_FRAME) return RAFT_FRAME_BYTES_MAX;
  return type === PROPOSE_FRAME || type === PROPOSED_FRAME ? RAFT_PAYLOAD_BYTES_MAX : undefined;
}
