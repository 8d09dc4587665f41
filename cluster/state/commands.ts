/**
 * The log's language: how a command becomes the bytes of an entry and comes back, whichever version wrote it.
 *
 *   0        1            9
 *   ┌────────┬────────────┬───────────────────────────────────────────────────────────────────────┐
 *   │format 1│at f64 BE   │CBOR [type, v, client id, seq, acked, fingerprint, session, payload]   │
 *   └────────┴────────────┴───────────────────────────────────────────────────────────────────────┘
 *
 * The time stands at a fixed place, so that the leader stamps it without decoding. Old versions stay readable for ever: their
 * schemas and the upcasters between them are kept, and `apply` sees the newest form only.
 */
import * as v from 'valibot';
import { checkSchema, decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { MtError } from '../../codec/errors.ts';
import { countSchema, tokenSchema } from '../../codec/ids.ts';
import { invariant } from './bytes.ts';
import { actorFingerprintSchema, actorSessionSchema, type CommandType, payloadsV1 } from './payloads.ts';
import type { Command } from './types.ts';

const FORMAT = 1;
const HEADER_SIZE = 9;
const TYPE_LENGTH_MAX = 64;
const SLAB_SIZE = 64 * 1024;

/** A committed command that this build does not know. Skipping it would make this node differ from the others: it must halt. */
export class UnknownCommandError extends Error {
  constructor(what: string) {
    super(`${what} is not known to this program: update it before it can go on`);
    this.name = 'UnknownCommandError';
  }
}

/** One version of one command's payload. `up` turns it into the next version's; the newest has none. */
export interface PayloadVersion {
  readonly schema: v.GenericSchema;
  readonly up?: (payload: unknown) => unknown;
}
/** Version 1 first. */
export type Versions = readonly PayloadVersion[];

/**
 * Every version of every payload. To change one: give its version 1 an `up` that is pure and total, append the new {schema}, and
 * let the tests add a line to the golden file.
 */
const COMMANDS = Object.fromEntries(
  Object.entries(payloadsV1).map(([type, schema]): [string, Versions] => [type, [{ schema }]]),
) as Readonly<Record<CommandType, Versions>>;

export const COMMAND_TYPES = Object.keys(COMMANDS) as readonly CommandType[];

/** The cluster's own: they name no daemon, and may be applied twice without harm. */
const OF_CLUSTER: ReadonlySet<CommandType> = new Set(['expire', 'set_limits', 'upgrade']);
/** Sent without an exactly-once client: also the registration of one. */
const WITHOUT_CLIENT: ReadonlySet<CommandType> = new Set([...OF_CLUSTER, 'register_client']);

const envelopeSchema = v.strictTuple([
  v.pipe(v.string(), v.maxLength(TYPE_LENGTH_MAX)),
  countSchema,
  v.nullable(tokenSchema),
  countSchema,
  countSchema,
  actorFingerprintSchema,
  actorSessionSchema,
  v.unknown(),
]);

/** The version in which a type is written now. */
export function newestVersion(type: CommandType): number {
  return COMMANDS[type].length;
}

/** The bytes of an entry: nobody else's, though they may lie beside those of another. */
export function encodeCommand(command: Command): Uint8Array {
  const { type, clientId, seq, acked, actor, payload } = command;
  const body = encodeCbor([type, newestVersion(type), clientId, seq, acked, actor.fingerprint, actor.session, payload]);
  const bytes = allocate(HEADER_SIZE + body.length);
  bytes[0] = FORMAT;
  bytes.set(body, HEADER_SIZE);
  stampCommand(bytes, command.at);
  return bytes;
}

/** Commands are short-lived, and small: many share a piece of memory, for one of their own each takes longer to make and free. */
let slab = new Uint8Array(0);
let slabUsed = 0;

function allocate(size: number): Uint8Array {
  if (size > SLAB_SIZE / 16) return new Uint8Array(size);
  if (slabUsed + size > slab.length) {
    slab = new Uint8Array(SLAB_SIZE);
    slabUsed = 0;
  }
  slabUsed += size;
  return slab.subarray(slabUsed - size, slabUsed);
}

/** Writes the leader's time into an encoded command. */
export function stampCommand(bytes: Uint8Array, atMs: number): void {
  invariant(bytes.length > HEADER_SIZE && Number.isSafeInteger(atMs) && atMs >= 0, 'a time is whole milliseconds');
  new DataView(bytes.buffer, bytes.byteOffset).setFloat64(1, atMs);
}

/**
 * Reads an entry of any version. Byte strings in the payload alias `bytes`.
 * @throws MtError PROTOCOL when it is malformed: a leader refuses to propose it; from the log it means damage.
 * @throws UnknownCommandError when a newer program wrote it: from the log, halt.
 */
export function decodeCommand(bytes: Uint8Array): Command {
  if (bytes.length <= HEADER_SIZE) throw new MtError('PROTOCOL', 'log command: it ends early');
  if (bytes[0] !== FORMAT) throw new UnknownCommandError(`Log command format ${bytes[0]}`);
  const at = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(1);
  if (!Number.isSafeInteger(at) || at < 0) throw new MtError('PROTOCOL', 'log command: its time is not one');
  const [type, version, clientId, seq, acked, fingerprint, session, raw] = decodeCbor(
    bytes.subarray(HEADER_SIZE),
    envelopeSchema,
    'log command',
  );
  if (!isCommandType(type)) throw new UnknownCommandError(`Log command ${JSON.stringify(type)}`);
  const payload = readPayload(type, version, raw, COMMANDS[type]);
  const fits = WITHOUT_CLIENT.has(type)
    ? clientId === null && seq === 0 && acked === 0
    : clientId !== null && seq >= 1 && acked <= seq;
  if (!fits) throw new MtError('PROTOCOL', `log command ${type}: its client and sequence do not fit`);
  if (fingerprint === null && !OF_CLUSTER.has(type))
    throw new MtError('PROTOCOL', `log command ${type}: from no daemon`);
  return { type, clientId, seq, acked, actor: { fingerprint, session }, at, payload } as Command;
}

/**
 * Checks a payload against the schema of its own version and brings it up to the newest.
 * @throws UnknownCommandError for a version beyond the newest; MtError PROTOCOL when it does not fit.
 */
export function readPayload(type: string, version: number, raw: unknown, versions: Versions): unknown {
  const stored = versions[version - 1];
  if (stored === undefined) throw new UnknownCommandError(`Log command ${type} of version ${version}`);
  let payload: unknown = checkSchema(raw, stored.schema, `log command ${type}`);
  for (let at = version - 1; at < versions.length - 1; at++) {
    const { up } = versions[at]!;
    invariant(up !== undefined, `${type} version ${at + 1} has no upcaster`);
    payload = up(payload);
  }
  return payload;
}

function isCommandType(type: string): type is CommandType {
  return Object.hasOwn(COMMANDS, type);
}
