// The conversation between `mt` and its daemon over the Unix socket: one method a command, under the command's own name.
// Paths are absolute here: `mt` resolves what a user typed against the user's working directory.
import * as v from 'valibot';
import { errorWireSchema } from './errors.ts';
import { countSchema, fileNameSchema, idSchema, passwordSchema, tokenSchema } from './ids.ts';
import type { Api } from './rpc.ts';
import { dialVerdictSchema, trackerStatusSchema } from './tracker-rpc.ts';

export const controlHelloSchema = v.strictObject({
  program: v.picklist(['mt', 'mt-peerd']),
  /** Of the package, for messages about version skew. */
  version: v.pipe(v.string(), v.maxLength(64)),
});

const pathSchema = v.pipe(
  v.string(),
  v.startsWith('/'),
  v.maxLength(4096),
  v.check((path) => !path.includes('\0'), 'a path'),
);
/** How long the daemon may wait for a quorum, in ms; absent: its default of 10 s. */
const wait = { timeout_ms: v.optional(countSchema) };
const ofFile = { group_id: idSchema, file_name: fileNameSchema };
/** For directories only: a plain file's row keeps the shape that it had before there were any. */
const ofKind = {
  /** `directory`, or what a newer daemon knows of. */
  kind: v.optional(v.pipe(v.string(), v.maxLength(32))),
  /** Bytes of all files of the directory. */
  content_size: v.optional(countSchema),
};
const nothing = v.strictObject({});
/** Bytes a second; 0 = no limit. */
const rate = countSchema;

export const downloadStateSchema = v.picklist(['downloading', 'complete', 'failed', 'paused']);
export const downloadRowSchema = v.strictObject({
  ...ofFile,
  state: downloadStateSchema,
  /** Bytes of verified pieces. */
  bytes_done: countSchema,
  size: countSchema,
  /** Bytes a second over the last seconds. */
  rate: v.number(),
  /** Peers that pieces come from now. */
  peers: countSchema,
  destination: v.string(),
  /** Why nothing moves, or why it failed; null when it moves. */
  reason: v.nullable(v.string()),
  reason_code: v.nullable(v.string()),
});
export type DownloadRow = v.InferOutput<typeof downloadRowSchema>;

export const shareRowSchema = v.strictObject({
  ...ofFile,
  path: v.string(),
  /** `damaged`: some pieces differ on the disk, the others are served. */
  state: v.picklist(['shared', 'missing', 'changed', 'damaged', 'not_shared', 'pending']),
  /** What is wrong, what is being done about it, what one can do. */
  note: v.optional(v.string()),
});
export type ShareRow = v.InferOutput<typeof shareRowSchema>;

function method<const E extends v.ObjectEntries, R extends v.GenericSchema = typeof nothing>(entries: E, result?: R) {
  return { params: v.strictObject({ ...wait, ...entries }), result: (result ?? nothing) as R };
}
export const controlApi = {
  create_user: method({ user_id: idSchema, password: passwordSchema }),
  login: method({ user_id: idSchema, password: passwordSchema }),
  logout: method({}),
  change_password: method({ old_password: passwordSchema, new_password: passwordSchema }),
  whoami: method({}, v.strictObject({ user_id: v.nullable(idSchema) })),
  status: method(
    {},
    v.strictObject({
      version: v.string(),
      pid: countSchema,
      uptime_ms: countSchema,
      data_dir: v.string(),
      socket: v.string(),
      /** Where peers reach this daemon. */
      address: v.string(),
      fingerprint: v.string(),
      user_id: v.nullable(idSchema),
      tracker: v.strictObject({
        /** The tracker this daemon talks to now. */
        address: v.nullable(v.string()),
        connected: v.boolean(),
        leader: v.nullable(countSchema),
        /** Commands that wait for the trackers (shares to record, …). */
        outbox: countSchema,
        error: v.nullable(errorWireSchema),
      }),
      shares: countSchema,
      downloads: v.strictObject({
        downloading: countSchema,
        complete: countSchema,
        failed: countSchema,
        paused: countSchema,
      }),
      upload_rate: v.number(),
      download_rate: v.number(),
      /** Content since the daemon started. */
      bytes_uploaded: countSchema,
      bytes_downloaded: countSchema,
    }),
  ),

  create_group: method({ group_id: idSchema }),
  join_group: method({ group_id: idSchema }),
  leave_group: method({ group_id: idSchema }),
  accept_request: method({ group_id: idSchema, user_id: idSchema }),
  reject_request: method({ group_id: idSchema, user_id: idSchema }),
  remove_member: method({ group_id: idSchema, user_id: idSchema }),
  transfer_ownership: method({ group_id: idSchema, user_id: idSchema }),

  list_groups: method(
    {},
    v.strictObject({
      groups: v.array(
        v.strictObject({
          group_id: idSchema,
          owner: idSchema,
          members: countSchema,
          standing: v.picklist(['owner', 'member', 'requested', 'none']),
        }),
      ),
    }),
  ),
  list_members: method(
    { group_id: idSchema },
    v.strictObject({
      members: v.array(v.strictObject({ user_id: idSchema, owner: v.boolean(), online: v.boolean() })),
    }),
  ),
  list_requests: method(
    { group_id: idSchema },
    v.strictObject({ requests: v.array(v.strictObject({ user_id: idSchema, at: countSchema })) }),
  ),
  list_files: method(
    { group_id: idSchema },
    v.strictObject({
      files: v.array(
        v.strictObject({
          file_name: fileNameSchema,
          ...ofKind,
          /** What a download moves: of a directory, its files and the list of them. */
          size: countSchema,
          sha1: v.string(),
          piece_count: countSchema,
          seeders: countSchema,
        }),
      ),
    }),
  ),
  list_seeders: method(
    ofFile,
    v.strictObject({
      seeders: v.array(v.strictObject({ user_id: idSchema, pieces: countSchema, complete: v.boolean() })),
    }),
  ),
  list_sessions: method(
    {},
    v.strictObject({
      sessions: v.array(
        v.strictObject({
          session: tokenSchema,
          this_daemon: v.boolean(),
          address: v.nullable(v.string()),
          online: v.boolean(),
          since: countSchema,
        }),
      ),
    }),
  ),
  revoke_session: method({ session: tokenSchema }),

  /** Streams how much is hashed; answers once the trackers know. */
  upload_file: {
    ...method(
      { path: pathSchema, group_id: idSchema },
      v.strictObject({
        ...ofFile,
        ...ofKind,
        size: countSchema,
        sha1: v.string(),
        piece_count: countSchema,
        /** False: the group had this very file, and this daemon is one more seeder. */
        new_file: v.boolean(),
      }),
    ),
    event: v.strictObject({ bytes_done: countSchema, size: countSchema }),
  },
  /** Streams progress; answers when the file has its final name, or at once with `detach`. Cancelling the call leaves the download running. */
  download_file: {
    ...method(
      {
        ...ofFile,
        /** A directory (the file keeps its name) or a file path. */
        destination: pathSchema,
        force: v.boolean(),
        detach: v.boolean(),
        /** Only from this user's daemons. */
        peer: v.nullable(idSchema),
      },
      v.strictObject({
        ...ofFile,
        destination: v.string(),
        size: countSchema,
        sha1: v.string(),
        state: downloadStateSchema,
        /** What went less than well, such as a share that is not recorded yet. */
        warning: v.nullable(v.string()),
      }),
    ),
    event: downloadRowSchema,
  },
  show_downloads: method({}, v.strictObject({ downloads: v.array(downloadRowSchema) })),
  pause_download: method(ofFile),
  resume_download: method(ofFile),
  cancel_download: method(ofFile),
  /** `null` leaves a limit as it is. */
  limits: method({ up: v.nullable(rate), down: v.nullable(rate) }, v.strictObject({ up: rate, down: rate })),
  stop_share: method(ofFile),
  remove_file: method(ofFile),
  show_shares: method({}, v.strictObject({ shares: v.array(shareRowSchema) })),
  /** Where a shared file is now; streams how much is hashed. Size and hashes must be those that the group knows. */
  relocate: {
    ...method({ ...ofFile, path: pathSchema }, v.strictObject({ ...ofFile, path: v.string() })),
    event: v.strictObject({ bytes_done: countSchema, size: countSchema }),
  },
  /** Reads a shared file again at once and compares every piece; streams how much is read. Repairs follow in the background. */
  scrub: {
    ...method(ofFile, v.strictObject({ ...ofFile, pieces: countSchema, damaged_pieces: countSchema })),
    event: v.strictObject({ bytes_done: countSchema, size: countSchema }),
  },
  /** How the background scrub is; with `start` all shares are due now. */
  scrub_status: method(
    { start: v.boolean() },
    v.strictObject({
      /** Bytes a second at most; 0: no limit. */
      rate,
      /** Each share is read again after so long; 0: never by itself. */
      interval_ms: countSchema,
      running: v.nullable(v.strictObject({ ...ofFile, bytes_done: countSchema, size: countSchema })),
      /** Repairs under way. */
      repairing: countSchema,
      /** Since the daemon started. */
      bytes_checked: countSchema,
      pieces_damaged: countSchema,
      pieces_repaired: countSchema,
      shares: v.array(
        v.strictObject({
          ...ofFile,
          /** Unix ms when all of it was last read and compared; null: never. */
          checked_at: v.nullable(countSchema),
          damaged_pieces: countSchema,
        }),
      ),
    }),
  ),
  /** Shares what is and what appears in a directory, from now on. */
  watch: method(
    { path: pathSchema, group_id: idSchema },
    v.strictObject({ path: v.string(), group_id: idSchema, new_watch: v.boolean() }),
  ),
  /** `null`: for every group. */
  unwatch: method(
    { path: pathSchema, group_id: v.nullable(idSchema) },
    v.strictObject({ path: v.string(), group_ids: v.array(idSchema) }),
  ),
  list_watches: method(
    {},
    v.strictObject({
      watches: v.array(
        v.strictObject({
          path: v.string(),
          group_id: idSchema,
          /** Files of the directory, now. */
          shared: countSchema,
          waiting: countSchema,
          failed: v.array(v.strictObject({ file: v.string(), code: v.string(), message: v.string() })),
          /** Why the directory cannot be looked at. */
          problem: v.nullable(v.string()),
        }),
      ),
    }),
  ),
  tracker_status: method({}, trackerStatusSchema),

  /** How far each tracker's clock is ahead of this machine's, in ms; wrong by at most `within_ms`. */
  check_clocks: method(
    {},
    v.strictObject({
      within_ms: countSchema,
      trackers: v.array(v.strictObject({ number: countSchema, ahead_ms: v.pipe(v.number(), v.safeInteger()) })),
    }),
  ),
  /** Whether a tracker, dialling as a peer would, reaches this daemon. */
  check_port: method(
    {},
    v.strictObject({
      address: v.string(),
      tracker: v.string(),
      verdict: dialVerdictSchema,
      why: v.nullable(v.string()),
    }),
  ),
} as const satisfies Api;

export type ControlApi = typeof controlApi;
