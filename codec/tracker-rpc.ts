// The conversation between a daemon and any tracker: every method, its parameters and its result.
// `command` methods become entries of the log and carry a request id, so that a retry is applied once; `read` methods are
// answered after a read barrier. The daemon is who its TLS key says; `session` binds that key to a user.
import * as v from 'valibot';
import {
  addressSchema,
  countSchema,
  fileNameSchema,
  fingerprintSchema,
  idSchema,
  passwordSchema,
  sha1Schema,
  sha256Schema,
  tokenSchema,
} from './ids.ts';
import { MANIFEST_BYTES_MAX, PAGE_ITEMS_MAX, PARTIALS_MAX, PIECE_COUNT_MAX, SHORTFALLS_MAX } from './limits.ts';
import type { Api } from './rpc.ts';

/** What each side says of itself. A tracker that has not joined a cluster yet has no cluster id. */
export const trackerHelloSchema = v.strictObject({
  role: v.literal('tracker'),
  number: countSchema,
  /** New for every data directory: tells a wiped disk from the tracker that had this number. */
  incarnation: tokenSchema,
  cluster_id: v.nullable(tokenSchema),
});
export const daemonHelloSchema = v.strictObject({ role: v.literal('daemon') });
export type TrackerHello = v.InferOutput<typeof trackerHelloSchema>;

/** Exactly-once: `client_id` from register_client, `seq` from 1 upwards, `acked`: every reply below it has arrived. */
export const requestIdSchema = v.strictObject({ client_id: tokenSchema, seq: countSchema, acked: countSchema });
export type RequestId = v.InferOutput<typeof requestIdSchema>;

export const peerSchema = v.strictObject({
  user_id: idSchema,
  /** Of the daemon's TLS key. */
  fingerprint: fingerprintSchema,
  address: addressSchema,
  complete: v.boolean(),
});
export type PeerInfo = v.InferOutput<typeof peerSchema>;

export const fileInfoSchema = v.strictObject({
  file_name: fileNameSchema,
  size: countSchema,
  sha1: sha1Schema,
  piece_size: countSchema,
  piece_count: countSchema,
  manifest_hash: sha256Schema,
  publisher: idSchema,
  published_at: countSchema,
});
export type FileInfo = v.InferOutput<typeof fileInfoSchema>;

export const trackerRowSchema = v.strictObject({
  number: countSchema,
  address: v.string(),
  role: v.picklist(['leader', 'follower', 'candidate', 'learner', 'removed', 'unreachable']),
  term: v.nullable(countSchema),
  last_index: v.nullable(countSchema),
  commit_index: v.nullable(countSchema),
  applied_index: v.nullable(countSchema),
  lag: v.nullable(countSchema),
  reachable: v.boolean(),
  /** What is out of the ordinary with it, in words. */
  note: v.optional(v.pipe(v.string(), v.maxLength(1_000))),
});
export const trackerStatusSchema = v.strictObject({
  trackers: v.array(trackerRowSchema),
  leader: v.nullable(countSchema),
});
export type TrackerStatus = v.InferOutput<typeof trackerStatusSchema>;

/** What came of dialling a daemon: it answered; nobody did; somebody with another key did; the tracker would not try. */
export const dialVerdictSchema = v.picklist(['reachable', 'unreachable', 'somebody_else', 'not_tried']);
export type DialVerdict = v.InferOutput<typeof dialVerdictSchema>;

const nothing = v.strictObject({});
const standing = v.picklist(['owner', 'member', 'requested', 'none']);
const ofFile = { group_id: idSchema, file_name: fileNameSchema };
const piecesOfFile = { ...ofFile, pieces: v.pipe(countSchema, v.maxValue(PIECE_COUNT_MAX)) };

/** A logged command by a session. */
function command<const E extends v.ObjectEntries, R extends v.GenericSchema = typeof nothing>(entries: E, result?: R) {
  return {
    params: v.strictObject({ request: requestIdSchema, session: tokenSchema, ...entries }),
    result: (result ?? nothing) as R,
  };
}
/** A read by a session, in pages: pass `next` as `after` until it is null. */
function listing<const E extends v.ObjectEntries, const R extends v.ObjectEntries>(entries: E, rows: R) {
  return {
    params: v.strictObject({
      session: tokenSchema,
      after: v.nullable(v.string()),
      limit: v.pipe(countSchema, v.minValue(1), v.maxValue(PAGE_ITEMS_MAX)),
      ...entries,
    }),
    result: v.strictObject({ ...rows, next: v.nullable(v.string()) }),
  };
}

export const trackerApi = {
  /** Makes an exactly-once client session. Logged; not idempotent, but an unused one only waits for its expiry. */
  register_client: { params: nothing, result: v.strictObject({ client_id: tokenSchema }) },

  create_user: {
    params: v.strictObject({ request: requestIdSchema, user_id: idSchema, password: passwordSchema }),
    result: nothing,
  },
  login: {
    params: v.strictObject({
      request: requestIdSchema,
      user_id: idSchema,
      password: passwordSchema,
      address: addressSchema,
    }),
    result: v.strictObject({ session: tokenSchema, epoch: countSchema }),
  },
  /** After a restart, an expired lease or a new address: online again. The epoch is the presence epoch for heartbeats. */
  resume: command({ address: addressSchema }, v.strictObject({ user_id: idSchema, epoch: countSchema })),
  logout: command({}),
  change_password: command({ old_password: passwordSchema, new_password: passwordSchema }),
  revoke_session: command({ target: tokenSchema }),

  create_group: command({ group_id: idSchema }),
  join_group: command({ group_id: idSchema }),
  leave_group: command({ group_id: idSchema }),
  accept_request: command({ group_id: idSchema, user_id: idSchema }),
  reject_request: command({ group_id: idSchema, user_id: idSchema }),
  remove_member: command({ group_id: idSchema, user_id: idSchema }),
  transfer_ownership: command({ group_id: idSchema, user_id: idSchema }),

  /** Makes this daemon a seeder. `new_file` is false when the group had this very content under this name already. */
  share_file: command(
    {
      ...ofFile,
      /** See codec/manifest.ts; it carries the size, all hashes and the piece size. */
      manifest: v.pipe(
        v.instance(Uint8Array),
        v.check((bytes) => bytes.length <= MANIFEST_BYTES_MAX, 'a manifest'),
      ),
    },
    v.strictObject({ new_file: v.boolean() }),
  ),
  /** Makes this daemon a partial source: others hear of it while it downloads. */
  begin_download: command({ ...ofFile, manifest_hash: sha256Schema }),
  /** The download is whole: this daemon is a seeder. */
  record_share: command({ ...ofFile, manifest_hash: sha256Schema }),
  /** Ends a share, or a download that is given up. */
  stop_share: command(ofFile),
  remove_file: command(ofFile),

  list_groups: listing(
    {},
    {
      groups: v.array(v.strictObject({ group_id: idSchema, owner: idSchema, members: countSchema, standing })),
    },
  ),
  list_members: listing(
    { group_id: idSchema },
    { members: v.array(v.strictObject({ user_id: idSchema, owner: v.boolean(), online: v.boolean() })) },
  ),
  list_requests: listing(
    { group_id: idSchema },
    { requests: v.array(v.strictObject({ user_id: idSchema, at: countSchema })) },
  ),
  list_files: listing(
    { group_id: idSchema },
    {
      files: v.array(
        v.strictObject({
          file_name: fileNameSchema,
          size: countSchema,
          /** Of a directory: bytes of its tree document (codec/tree.ts), which `size` includes. */
          tree_size: v.optional(countSchema),
          sha1: sha1Schema,
          piece_count: countSchema,
          seeders: countSchema,
        }),
      ),
    },
  ),
  list_seeders: listing(ofFile, {
    seeders: v.array(v.strictObject({ user_id: idSchema, pieces: countSchema, complete: v.boolean() })),
  }),
  list_sessions: listing(
    {},
    {
      sessions: v.array(
        v.strictObject({
          session: tokenSchema,
          fingerprint: fingerprintSchema,
          address: v.nullable(addressSchema),
          online: v.boolean(),
          since: countSchema,
        }),
      ),
    },
  ),

  /** Everything a download needs but the manifest: who has the file (PEERS_TOLD_MAX at most), and the ticket that opens their doors. */
  locate_file: {
    params: v.strictObject({ session: tokenSchema, ...ofFile }),
    result: v.strictObject({
      file: fileInfoSchema,
      peers: v.array(peerSchema),
      ticket: v.instance(Uint8Array),
      ticket_expires_at: countSchema,
      /** Log index that this answer reflects. */
      index: countSchema,
    }),
  },
  get_manifest: {
    params: v.strictObject({ session: tokenSchema, ...ofFile }),
    result: v.strictObject({ manifest: v.instance(Uint8Array) }),
  },

  /**
   * For a seeder that may have missed news: whether holders of tickets are still logged in on that daemon and members of that group.
   * One standing for each holder, in their order. Of groups that the asker is no member of: `left`.
   */
  check_holders: {
    params: v.strictObject({
      session: tokenSchema,
      holders: v.pipe(
        v.array(v.strictObject({ user_id: idSchema, fingerprint: fingerprintSchema, group_id: idSchema })),
        v.maxLength(PAGE_ITEMS_MAX),
      ),
    }),
    result: v.strictObject({ standings: v.array(v.picklist(['valid', 'logged_out', 'left'])) }),
  },
  /**
   * A source was banned by this daemon for a file. Written into the tracker's log, for people to judge; changes nothing: a reporter who
   * lies harms nobody. Only members of the group are heard, and each report once.
   */
  report_peer: {
    params: v.strictObject({
      session: tokenSchema,
      ...ofFile,
      user_id: idSchema,
      fingerprint: fingerprintSchema,
      /** `corrupt`: pieces that did not match their hash; `protocol`: impossible messages; `stalls`: accepted and never sent. */
      reason: v.picklist(['corrupt', 'protocol', 'stalls']),
    }),
    result: nothing,
  },

  /** The daemon lives. `online` false: its lease ran out meanwhile, so it must `resume`. */
  heartbeat: {
    params: v.strictObject({
      session: tokenSchema,
      epoch: countSchema,
      /** Verified pieces of the downloads under way. */
      downloads: v.pipe(v.array(v.strictObject(piecesOfFile)), v.maxLength(PARTIALS_MAX)),
      /**
       * Files that this daemon shares and cannot serve whole now, with the pieces it can: 0 when the file is gone or changed. Absent:
       * none.
       */
      shortfalls: v.optional(v.pipe(v.array(v.strictObject(piecesOfFile)), v.maxLength(SHORTFALLS_MAX))),
    }),
    result: v.strictObject({ online: v.boolean() }),
  },

  /** The daemon stops as planned: offline at once, and not when its lease has run out. Of an earlier presence: nothing happens. */
  goodbye: { params: v.strictObject({ session: tokenSchema, epoch: countSchema }), result: nothing },

  /** News of one file for a downloader. The first event has `reset` and all peers; later ones only changes. */
  watch_file: {
    params: v.strictObject({ session: tokenSchema, ...ofFile }),
    event: v.strictObject({
      index: countSchema,
      reset: v.boolean(),
      up: v.array(peerSchema),
      /** Fingerprints of daemons that stopped sharing or went offline. */
      down: v.array(fingerprintSchema),
      /** The file left the group, and with it whoever shared it. */
      removed: v.boolean(),
    }),
    result: nothing,
  },
  /** News that every daemon needs while logged in. The first event has `reset`, and the epochs of all groups of the user. */
  watch_session: {
    params: v.strictObject({ session: tokenSchema }),
    event: v.strictObject({
      index: countSchema,
      reset: v.boolean(),
      /** Whoever held tickets of an older epoch of this group must renew. */
      epochs: v.array(v.strictObject({ group_id: idSchema, epoch: countSchema })),
      /** Cut at once: this user (only that daemon, when a fingerprint is given) in this group (everywhere, when null). */
      revoked: v.array(
        v.strictObject({
          user_id: idSchema,
          fingerprint: v.nullable(fingerprintSchema),
          group_id: v.nullable(idSchema),
        }),
      ),
      /** Files that left a group of the user: stop serving them. */
      removed_files: v.array(v.strictObject(ofFile)),
      /** Groups the user is no longer a member of: its shares there have ended. */
      left_groups: v.array(idSchema),
      /** This very session was ended (logout elsewhere, revoked). */
      session_ended: v.boolean(),
      /** The cluster's members when they changed, else null. */
      trackers: v.nullable(v.array(v.strictObject({ number: countSchema, address: addressSchema }))),
    }),
    result: nothing,
  },

  tracker_status: { params: nothing, result: trackerStatusSchema },

  /** The clocks of this tracker and of those that it reaches, for a daemon that doubts its own. Needs no quorum. */
  read_clocks: {
    params: nothing,
    result: v.strictObject({
      /** Unix ms, read as the answer left. */
      now: countSchema,
      /** How far the clock of another tracker is ahead of this one's, in ms. */
      others: v.array(v.strictObject({ number: countSchema, ahead_ms: v.pipe(v.number(), v.safeInteger()) })),
    }),
  },
  /**
   * Dials the address that the calling daemon's own session announces, as a peer would. Not a scanner: only an address of the caller's own
   * end of this connection is dialled, seldom, and all that is said is whether the caller's own key answered there.
   */
  dial_back: {
    params: v.strictObject({ session: tokenSchema }),
    result: v.strictObject({ address: addressSchema, verdict: dialVerdictSchema, why: v.nullable(v.string()) }),
  },
} as const satisfies Api;

export type TrackerApi = typeof trackerApi;
