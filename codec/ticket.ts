// A ticket: the cluster's signed word that a user, from the daemon with this key, may fetch one file of a group until a time.
// Made by any tracker, checked by a seeder offline against the cluster's key and the TLS certificate in front of it.
import { type KeyObject, sign, verify } from 'node:crypto';
import * as v from 'valibot';
import { decodeCbor, encodeCbor } from './cbor.ts';
import { MtError } from './errors.ts';
import { bytesSchema, countSchema, fileNameSchema, fingerprintSchema, idSchema, sha256Schema } from './ids.ts';

/** Keeps a ticket's signature apart from everything else that the cluster key signs. */
const DOMAIN = Buffer.from('mini-torrent ticket v1\0');
export const TICKET_BYTES_MAX = 2_048;
/** Clocks of trackers and daemons may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;

const ticketSchema = v.strictObject({
  user_id: idSchema,
  fingerprint: fingerprintSchema,
  group_id: idSchema,
  /** Grows when someone leaves the group or is removed; seeders refuse older ones soon after. */
  epoch: countSchema,
  file_name: fileNameSchema,
  manifest_hash: sha256Schema,
  /** Unix ms. */
  not_before: countSchema,
  expires_at: countSchema,
});
export type Ticket = v.InferOutput<typeof ticketSchema>;
const envelopeSchema = v.strictTuple([v.instance(Uint8Array), bytesSchema(64)]);

export function signTicket(ticket: Ticket, clusterKey: KeyObject): Uint8Array {
  const body = Buffer.from(encodeCbor(ticket));
  return Buffer.from(encodeCbor([body, sign(null, Buffer.concat([DOMAIN, body]), clusterKey)]));
}

/**
 * Checks form, signature and time. Whether group, file and holder are the right ones is the caller's question.
 * @param clusterKeys the public keys that are valid now (two while a rotation is under way).
 * @throws MtError FORBIDDEN, saying which check failed.
 */
export function openTicket(bytes: Uint8Array, clusterKeys: readonly KeyObject[], nowMs: number): Ticket {
  if (bytes.length > TICKET_BYTES_MAX) throw new MtError('FORBIDDEN', 'The ticket is too large');
  const [body, signature] = decode(bytes, envelopeSchema);
  const signed = Buffer.concat([DOMAIN, body]);
  if (!clusterKeys.some((key) => verify(null, signed, key, signature))) {
    throw new MtError('FORBIDDEN', 'The ticket is not signed by this cluster');
  }
  const ticket = decode(body, ticketSchema);
  if (nowMs + CLOCK_SKEW_MS < ticket.not_before) throw new MtError('FORBIDDEN', 'The ticket is not valid yet');
  if (nowMs > ticket.expires_at) throw new MtError('FORBIDDEN', 'The ticket has expired');
  return ticket;
}

function decode<S extends v.GenericSchema>(bytes: Uint8Array, schema: S): v.InferOutput<S> {
  try {
    return decodeCbor(bytes, schema, 'ticket');
  } catch (cause) {
    throw new MtError('FORBIDDEN', 'The ticket cannot be read', undefined, { cause });
  }
}
