// Names and identifiers that people type or programs pass on, as schemas. What passes here is safe to show, store and compare.
import * as v from 'valibot';
import { MtError } from './errors.ts';
import { FILE_NAME_BYTES_MAX, HOST_LENGTH_MAX, ID_LENGTH_MAX, PASSWORD_BYTES_MAX } from './limits.ts';

const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses (C0, DEL, C1)
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const encoder = new TextEncoder();

/** `user_id` and `group_id`: 1–64 of letters, digits, `.`, `_`, `-`, starting with a letter or digit. */
export const idSchema = v.pipe(v.string(), v.maxLength(ID_LENGTH_MAX), v.regex(ID_PATTERN));

export function isValidFileName(name: string): boolean {
  return (
    name.length > 0 &&
    name !== '.' &&
    name !== '..' &&
    !name.includes('/') &&
    !name.includes('\\') &&
    !CONTROL.test(name) &&
    name.isWellFormed() &&
    name === name.normalize('NFC') &&
    encoder.encode(name).length <= FILE_NAME_BYTES_MAX
  );
}

/** A file's name in a group: 1–255 bytes of UTF-8 in NFC, no path, no control characters. */
export const fileNameSchema = v.pipe(
  v.string(),
  v.maxLength(FILE_NAME_BYTES_MAX),
  v.check(isValidFileName, 'a file name'),
);

export const passwordSchema = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(PASSWORD_BYTES_MAX),
  v.check((text) => encoder.encode(text).length <= PASSWORD_BYTES_MAX, 'a password'),
);

/** Bytes of a fixed length, such as a hash or a key fingerprint. */
export function bytesSchema(length: number) {
  return v.pipe(
    v.instance(Uint8Array),
    v.check((bytes) => bytes.length === length, `${length} bytes`),
  );
}

export const sha1Schema = bytesSchema(20);
export const sha256Schema = bytesSchema(32);
/** SHA-256 of a public key in SPKI DER form, in lower-case hex: names a daemon, or the cluster. */
export const fingerprintSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
/** 16 random bytes in lower-case hex: sessions, exactly-once clients, clusters, incarnations. */
export const tokenSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));

export const countSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const portSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(65_535));
export const addressSchema = v.strictObject({
  host: v.pipe(v.string(), v.minLength(1), v.maxLength(HOST_LENGTH_MAX), v.regex(/^[0-9A-Za-z.:_-]+$/)),
  port: portSchema,
});
export type Address = v.InferOutput<typeof addressSchema>;

/** `[v6]:port` or `host:port`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function requireId(kind: 'user' | 'group', text: string): string {
  if (v.is(idSchema, text)) return text;
  throw new MtError(
    'INVALID_NAME',
    `"${printable(text)}" cannot be a ${kind} id`,
    `Use 1 to ${ID_LENGTH_MAX} letters, digits, ".", "_" or "-", starting with a letter or digit.`,
  );
}

/** The name under which a file is known in a group: normalised to NFC, then checked. */
export function requireFileName(text: string): string {
  const name = text.normalize('NFC');
  if (isValidFileName(name)) return name;
  throw new MtError(
    'INVALID_NAME',
    `"${printable(text)}" cannot be the name of a shared file`,
    `A name has 1 to ${FILE_NAME_BYTES_MAX} bytes of UTF-8, without "/", "\\" and control characters, and is not "." or "..".`,
  );
}

export function requirePassword(text: string): string {
  if (v.is(passwordSchema, text)) return text;
  throw new MtError('INVALID_ARGUMENT', `A password has 1 to ${PASSWORD_BYTES_MAX} bytes`);
}

/** A hostile string made safe for a terminal: control characters shown as `?`, cut at 80 characters. */
export function printable(text: string): string {
  const shown = text.toWellFormed().replaceAll(new RegExp(CONTROL, 'g'), '?');
  return shown.length > 80 ? `${shown.slice(0, 79)}…` : shown;
}
