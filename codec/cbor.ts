// CBOR (RFC 8949) as this project uses it: plain maps with text keys, arrays, numbers, text, byte strings, booleans, null.
// Input is scanned before cbor-x sees it: no tags, no indefinite lengths, no declared length beyond the bytes at hand,
// bounded depth and item count. What passes the scan is decoded and must then match a schema.
import { Encoder } from 'cbor-x';
import * as v from 'valibot';
import { MtError } from './errors.ts';
import { CBOR_DEPTH_MAX, CBOR_ITEMS_MAX } from './limits.ts';

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false });

/** Encodes a plain value. The result may be a view of a shared pool: copy before transferring its buffer elsewhere. */
export function encodeCbor(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/**
 * Decodes and checks one CBOR document. Byte strings in the result alias `bytes`.
 * @param what names the document in the error, for example `create_group request`.
 * @param itemsMax more than usual, for documents that may be larger than usual.
 * @throws MtError PROTOCOL when the bytes are not one well-formed document of that schema.
 */
export function decodeCbor<S extends v.GenericSchema>(
  bytes: Uint8Array,
  schema: S,
  what: string,
  itemsMax: number = CBOR_ITEMS_MAX,
): v.InferOutput<S> {
  scan(bytes, what, itemsMax);
  let value: unknown;
  try {
    value = encoder.decode(bytes);
  } catch (cause) {
    throw new MtError('PROTOCOL', `${what} is not valid CBOR`, undefined, { cause });
  }
  return checkSchema(value, schema, what);
}

/** @throws MtError PROTOCOL naming the first field that does not fit, never its value (it may be a secret). */
export function checkSchema<S extends v.GenericSchema>(value: unknown, schema: S, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const where = v.getDotPath(issue) ?? 'the whole';
  throw new MtError('PROTOCOL', `${what}: ${where} should be ${issue.expected ?? issue.type}`);
}

/** Walks the bytes once without building anything. */
function scan(bytes: Uint8Array, what: string, itemsMax: number): void {
  const fail = (why: string): never => {
    throw new MtError('PROTOCOL', `${what} is not acceptable CBOR: ${why}`);
  };
  let at = 0;
  let items = 0;
  // remaining[d] = items still due at depth d; an explicit stack, so that nesting cannot overflow ours.
  const remaining: number[] = [1];
  while (remaining.length > 0) {
    const depth = remaining.length - 1;
    if (remaining[depth] === 0) {
      remaining.pop();
      continue;
    }
    remaining[depth]! -= 1;
    if (++items > itemsMax) fail('too many items');
    if (at >= bytes.length) fail('it ends early');
    const initial = bytes[at++]!;
    const major = initial >> 5;
    const info = initial & 31;
    let argument = info;
    if (info >= 24) {
      if (info > 27) fail('reserved or indefinite length');
      const width = 1 << (info - 24);
      if (at + width > bytes.length) fail('it ends early');
      argument = 0;
      for (let i = 0; i < width; i++) argument = argument * 256 + bytes[at + i]!;
      at += width;
    }
    if (major === 2 || major === 3) {
      if (argument > bytes.length - at) fail('a string is longer than the document');
      at += argument;
    } else if (major === 4 || major === 5) {
      const due = major === 4 ? argument : argument * 2;
      if (due > bytes.length - at) fail('a list is longer than the document');
      if (remaining.length > CBOR_DEPTH_MAX) fail('nested too deeply');
      remaining.push(due);
    } else if (major === 6) {
      fail('tags are not used');
    } else if (major === 7 && info < 20) {
      fail('unknown simple value');
    }
  }
  if (at !== bytes.length) fail('bytes after its end');
}
