// The one table of errors: a stable code, its exit number, and the way over the wire in both directions.
// Every program throws MtError for what a user or a peer did; a broken invariant of our own is an AssertionError and ends the process.
import * as v from 'valibot';

/** Exit number of each code. Codes are stable: programs rely on them. */
export const EXIT_OF = {
  INTERNAL: 1,
  USAGE: 2,
  INVALID_NAME: 2,
  INVALID_ARGUMENT: 2,
  INVALID_TRACKER_INFO: 2,
  DAEMON_UNREACHABLE: 3,
  DAEMON_VERSION: 3,
  NOT_LOGGED_IN: 4,
  BAD_CREDENTIALS: 4,
  TOO_MANY_ATTEMPTS: 4,
  ALREADY_LOGGED_IN: 4,
  NOT_MEMBER: 5,
  NOT_OWNER: 5,
  FORBIDDEN: 5,
  UNTRUSTED_CLUSTER: 5,
  NO_SUCH_GROUP: 6,
  NO_SUCH_MEMBER: 6,
  NO_SUCH_FILE: 6,
  NO_SUCH_REQUEST: 6,
  NO_SUCH_DOWNLOAD: 6,
  NO_SUCH_SHARE: 6,
  PATH_NOT_FOUND: 6,
  TRACKER_UNREACHABLE: 7,
  NO_QUORUM: 7,
  OUTCOME_UNKNOWN: 7,
  NO_SEEDERS: 7,
  TIMEOUT: 7,
  INTEGRITY: 8,
  DISK_FULL: 9,
  PERMISSION: 9,
  ADDRESS_IN_USE: 9,
  DATA_DIR_LOCKED: 9,
  USER_EXISTS: 10,
  GROUP_EXISTS: 10,
  ALREADY_MEMBER: 10,
  ALREADY_REQUESTED: 10,
  FILE_EXISTS: 10,
  ALREADY_SHARED: 10,
  ALREADY_DOWNLOADED: 10,
  DESTINATION_EXISTS: 10,
  INTERRUPTED: 130,
  // Between programs; a user meets them only when something is badly wrong.
  PROTOCOL: 1, // the other side sent something that is not our protocol
  PROTOCOL_VERSION: 3, // no common protocol version
  TOO_LARGE: 2, // beyond a limit of codec/limits.ts
  OVERLOADED: 7, // the receiver's queue is full: try later
  CLIENT_EXPIRED: 7, // the exactly-once client session is gone: the fate of a retried command is unknown
  CANCELLED: 130, // the caller gave up
  CLOSED: 7, // the connection ended before the reply
} as const;

export type ErrorCode = keyof typeof EXIT_OF;

export interface ErrorWire {
  code: ErrorCode;
  message: string;
  suggestion?: string | undefined;
}

/** An expected error: what happened to what (`message`), what to do next (`suggestion`), a stable `code` for programs. */
export class MtError extends Error {
  readonly code: ErrorCode;
  readonly suggestion: string | undefined;

  constructor(code: ErrorCode, message: string, suggestion?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MtError';
    this.code = code;
    this.suggestion = suggestion;
  }

  get exit(): number {
    return EXIT_OF[this.code];
  }

  toWire(): ErrorWire {
    return this.suggestion === undefined
      ? { code: this.code, message: this.message }
      : { code: this.code, message: this.message, suggestion: this.suggestion };
  }

  static fromWire(wire: ErrorWire): MtError {
    return new MtError(wire.code, wire.message, wire.suggestion);
  }
}

export const errorWireSchema = v.strictObject({
  code: v.picklist(Object.keys(EXIT_OF) as [ErrorCode, ...ErrorCode[]]),
  message: v.pipe(v.string(), v.maxLength(4096)),
  suggestion: v.optional(v.pipe(v.string(), v.maxLength(4096))),
});

export function isMtError(error: unknown, ...codes: ErrorCode[]): error is MtError {
  return error instanceof MtError && (codes.length === 0 || codes.includes(error.code));
}

/** What a program tells the other side of an unexpected error: no detail that could carry a secret or a path. */
export function toMtError(error: unknown): MtError {
  if (error instanceof MtError) return error;
  return new MtError('INTERNAL', 'Something went wrong inside the program; its log says what.', undefined, {
    cause: error,
  });
}
