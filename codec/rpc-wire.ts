// How the frames of codec/rpc.ts look, and how large each may be.
//
//   hello {versions, hello}   call [id, method, params, timeoutMs]   reply [id, result]   error [id, error]
//   event [id, item] (any number before the reply)   cancel [id]   ping [n]   pong [n]
import * as v from 'valibot';
import { encodeCbor } from './cbor.ts';
import { errorWireSchema, MtError } from './errors.ts';
import { versionRangeSchema } from './hello.ts';
import { countSchema } from './ids.ts';
import { RPC_PAYLOAD_BYTES_MAX } from './limits.ts';

/** setTimeout() fires at once beyond this. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

const HELLO_BYTES_MAX = 4096;
const METHOD_NAME_MAX = 64;
const ERROR_BYTES_MAX = 16_384;
/** Of the texts of an error that leaves: two of them fit an error frame even at 3 bytes a character. */
const ERROR_TEXT_MAX = 2_000;
/** Just an id, or a ping's number. */
const SMALL_BYTES_MAX = 16;

/** Loose, and without the hello itself: that of another protocol version may look different, and the versions are checked first. */
export const helloEnvelope = v.looseObject({ versions: versionRangeSchema, hello: v.unknown() });
export const idSchema = v.tuple([countSchema]);
export const idAndValueSchema = v.tuple([countSchema, v.unknown()]);
export const callSchema = v.tuple([
  countSchema,
  v.pipe(v.string(), v.maxLength(METHOD_NAME_MAX)),
  v.unknown(),
  countSchema,
]);
export const errorSchema = v.tuple([countSchema, errorWireSchema]);

/** The largest payload of an RPC frame, `valueMax` for replies and events; undefined: no such frame is due now. */
export function rpcPayloadMax(type: string, helloSeen: boolean, serves: boolean, valueMax: number): number | undefined {
  if (!helloSeen) return type === 'hello' ? HELLO_BYTES_MAX : undefined;
  switch (type) {
    case 'call':
      return serves ? RPC_PAYLOAD_BYTES_MAX : undefined;
    case 'reply':
    case 'event':
      return valueMax;
    case 'error':
      return ERROR_BYTES_MAX;
    case 'cancel':
    case 'ping':
    case 'pong':
      return SMALL_BYTES_MAX;
    default:
      return undefined;
  }
}

/** The payload of an `error` frame, its texts cut to what the other side accepts. */
export function encodeRpcError(id: number, error: MtError): Uint8Array {
  const { code, message, suggestion } = error.toWire();
  return encodeCbor([
    id,
    suggestion === undefined
      ? { code, message: cut(message) }
      : { code, message: cut(message), suggestion: cut(suggestion) },
  ]);
}

export function tooLarge(what: string, size: number, max: number): MtError {
  return new MtError('TOO_LARGE', `${what}: at most ${max} bytes, got ${size}`);
}

export function closedError(cause?: Error): MtError {
  return new MtError('CLOSED', 'The connection ended', undefined, cause ? { cause } : undefined);
}

function cut(text: string): string {
  const shown = text.toWellFormed();
  return shown.length > ERROR_TEXT_MAX ? `${shown.slice(0, ERROR_TEXT_MAX - 1).toWellFormed()}…` : shown;
}
