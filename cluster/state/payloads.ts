// What every command of the log carries beside its envelope, as schemas, one per version ever written.
// A schema that has been released is never edited: a change of shape is a new version and an upcaster (commands.ts).
// No payload holds a password, a key or a ticket; manifests travel beside the entry, here is only what they say.
import * as v from 'valibot';
import {
  addressSchema,
  bytesSchema,
  countSchema,
  fileNameSchema,
  fingerprintSchema,
  idSchema,
  sha1Schema,
  sha256Schema,
  tokenSchema,
} from '../../codec/ids.ts';
import { HOST_LENGTH_MAX, PIECE_COUNT_MAX, PIECE_SIZE_MAX, PIECE_SIZE_MIN } from '../../codec/limits.ts';
import { EXPIRED_PER_COMMAND_MAX } from './limits.ts';

/** Where a login attempt came from: the IP address of its connection, without the port. */
const remoteSchema = v.pipe(v.string(), v.minLength(1), v.maxLength(HOST_LENGTH_MAX), v.regex(/^[0-9A-Za-z.:%_-]+$/));

/** scrypt (RFC 7914): cost, block size, parallelisation, salt and derived key. */
const passwordHashSchema = v.strictObject({
  n: v.pipe(countSchema, v.minValue(2)),
  r: v.pipe(countSchema, v.minValue(1)),
  p: v.pipe(countSchema, v.minValue(1)),
  salt: v.pipe(
    v.instance(Uint8Array),
    v.check((bytes) => bytes.length >= 16 && bytes.length <= 64, 'a salt'),
  ),
  hash: bytesSchema(32),
});
export type PasswordHash = v.InferOutput<typeof passwordHashSchema>;

const ofGroup = { group_id: idSchema };
const ofMember = { group_id: idSchema, user_id: idSchema };
const ofFile = { group_id: idSchema, file_name: fileNameSchema };
const ofContent = { ...ofFile, manifest_hash: sha256Schema };

/** Payload schemas of version 1. */
export const payloadsV1 = {
  register_client: v.strictObject({ client_id: tokenSchema }),

  create_user: v.strictObject({ user_id: idSchema, password: passwordHashSchema }),
  /** The receiving tracker has verified the password against the hash of `password_version` (lookups.ts, credentials). */
  login: v.strictObject({
    user_id: idSchema,
    password_version: countSchema,
    /** Drawn by the receiving tracker. */
    session: tokenSchema,
    /** Where peers reach this daemon. */
    address: addressSchema,
    remote: remoteSchema,
  }),
  /** A wrong password, or an unknown user: both look the same and count the same. */
  login_failed: v.strictObject({ user_id: idSchema, remote: remoteSchema }),
  resume: v.strictObject({ address: addressSchema }),
  logout: v.strictObject({}),
  /** From the leader: these daemons were reported by no tracker for a lease's length. */
  expire: v.strictObject({
    sessions: v.pipe(
      v.array(v.strictObject({ session: tokenSchema, epoch: countSchema })),
      v.maxLength(EXPIRED_PER_COMMAND_MAX),
    ),
  }),
  /** The receiving tracker has verified the old password against the hash of `password_version`. */
  change_password: v.strictObject({ password_version: countSchema, password: passwordHashSchema }),
  revoke_session: v.strictObject({ target: tokenSchema }),

  create_group: v.strictObject(ofGroup),
  join_group: v.strictObject(ofGroup),
  leave_group: v.strictObject(ofGroup),
  accept_request: v.strictObject(ofMember),
  reject_request: v.strictObject(ofMember),
  remove_member: v.strictObject(ofMember),
  transfer_ownership: v.strictObject(ofMember),

  /** What the manifest says, checked against it by the receiving tracker. */
  share_file: v.strictObject({
    ...ofContent,
    size: countSchema,
    sha1: sha1Schema,
    piece_size: v.pipe(countSchema, v.minValue(PIECE_SIZE_MIN), v.maxValue(PIECE_SIZE_MAX)),
    piece_count: v.pipe(countSchema, v.maxValue(PIECE_COUNT_MAX)),
  }),
  begin_download: v.strictObject(ofContent),
  record_share: v.strictObject(ofContent),
  stop_share: v.strictObject(ofFile),
  remove_file: v.strictObject(ofFile),

  /** From whoever holds the cluster key: how much one user may have. */
  set_limits: v.strictObject({ groups_per_user: countSchema, files_per_user: countSchema }),
  /** From the leader, once every member runs a program that knows this state-machine version. */
  upgrade: v.strictObject({ version: v.pipe(countSchema, v.minValue(1)) }),
} as const;

export type CommandType = keyof typeof payloadsV1;
/** The newest form of each payload: what `apply` works with. */
export type Payloads = { readonly [T in CommandType]: v.InferOutput<(typeof payloadsV1)[T]> };

/** Who spoke: the fingerprint of the daemon's TLS key, or null for the cluster itself. */
export const actorFingerprintSchema = v.nullable(fingerprintSchema);
export const actorSessionSchema = v.nullable(tokenSchema);
