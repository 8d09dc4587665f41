// One connection to the daemon over its Unix socket, and the errors of that connection in the user's words.
// Never retries: a command whose answer did not come is OUTCOME_UNKNOWN when it could have changed something.
import { lstatSync } from 'node:fs';
import { connect } from 'node:net';
import { type ControlApi, controlApi, controlHelloSchema } from '../codec/control-api.ts';
import { isMtError, MtError } from '../codec/errors.ts';
import { CONTROL_PAYLOAD_BYTES_MAX } from '../codec/limits.ts';
import { type EventOf, type Params, type Result, RpcConnection } from '../codec/rpc.ts';
import { VERSION } from './version.ts';

export type ControlMethod = keyof ControlApi & string;

export interface ControlCallOptions<M extends ControlMethod> {
  signal: AbortSignal;
  /** The daemon's time for a quorum, in ms; passed on to it. */
  timeoutMs: number;
  /** Work that takes as long as it takes (hashing, transfers): no deadline on this side. */
  unbounded?: boolean;
  onEvent?: (item: EventOf<ControlApi, M>) => void;
}

/** What the daemon may take beyond --timeout to say that it ran out: only a hung daemon is slower. */
const ANSWER_GRACE_MS = 3_000;

/** Methods that change nothing, or nothing when repeated: without an answer the user may simply ask again. */
const READS: ReadonlySet<ControlMethod> = new Set<ControlMethod>([
  'whoami',
  'status',
  'list_groups',
  'list_members',
  'list_requests',
  'list_files',
  'list_seeders',
  'list_sessions',
  'show_downloads',
  'show_shares',
  'scrub_status',
  'list_watches',
  'tracker_status',
  'check_clocks',
  'check_port',
]);

export class ControlClient {
  readonly #socketPath: string;
  readonly #connection: RpcConnection<ControlApi>;
  #daemonVersion: string | null = null;

  private constructor(socketPath: string, connection: RpcConnection<ControlApi>) {
    this.#socketPath = socketPath;
    this.#connection = connection;
  }

  /**
   * @throws MtError DAEMON_UNREACHABLE, DAEMON_VERSION, TIMEOUT, or INTERRUPTED when `signal` aborts.
   */
  static async open(socketPath: string, options: { signal: AbortSignal; timeoutMs: number }): Promise<ControlClient> {
    requireOwn(socketPath);
    const socket = connect(socketPath);
    const failed = new Promise<never>((_, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    });
    const connection = new RpcConnection(socket, {
      calls: controlApi,
      hello: { program: 'mt', version: VERSION },
      helloSchema: controlHelloSchema,
      keepAlive: false,
      valueBytesMax: CONTROL_PAYLOAD_BYTES_MAX,
    });
    const client = new ControlClient(socketPath, connection as RpcConnection<ControlApi>);
    try {
      const greeted = Promise.race([connection.ready, failed]);
      const hello = await withDeadline(greeted, options.signal, options.timeoutMs + ANSWER_GRACE_MS);
      client.#daemonVersion = hello.version;
      return client;
    } catch (error) {
      client.close();
      throw helloError(socketPath, error);
    }
  }

  /** Package version that the daemon says of itself. */
  get daemonVersion(): string | null {
    return this.#daemonVersion;
  }

  /**
   * @throws MtError as the daemon answered; OUTCOME_UNKNOWN, TIMEOUT or DAEMON_UNREACHABLE when it did not; INTERRUPTED.
   */
  async call<M extends ControlMethod>(
    method: M,
    params: Params<ControlApi, M>,
    options: ControlCallOptions<M>,
  ): Promise<Result<ControlApi, M>> {
    const request = { timeout_ms: options.timeoutMs, ...params } as Params<ControlApi, M>;
    const abort = new AbortController();
    const answer = this.#connection.call(method, request, {
      signal: abort.signal,
      ...(options.onEvent ? { onEvent: options.onEvent } : {}),
    });
    try {
      const deadlineMs = options.unbounded ? 0 : options.timeoutMs + ANSWER_GRACE_MS;
      return await withDeadline(answer, options.signal, deadlineMs);
    } catch (error) {
      abort.abort();
      answer.catch(() => {});
      throw this.#callError(method, error);
    }
  }

  close(): void {
    this.#connection.close();
    this.#connection.duplex.destroy();
  }

  #callError(method: ControlMethod, error: unknown): unknown {
    if (error instanceof LocalDeadline || isMtError(error, 'CLOSED')) {
      const late = error instanceof LocalDeadline;
      const what = late ? 'The daemon did not answer in time' : 'The daemon went away before it answered';
      if (!READS.has(method)) {
        return new MtError(
          'OUTCOME_UNKNOWN',
          `${what}: ${method} may or may not have happened`,
          'Look at the state first (mt status, or the list that it would change), then run it again if need be.',
        );
      }
      if (late) return new MtError('TIMEOUT', `${what}`, 'Try again, or give it longer with --timeout SECONDS.');
      return new MtError('DAEMON_UNREACHABLE', `${what} (socket ${this.#socketPath})`, HOW_TO_START);
    }
    // A method or a field that the other side does not know: two builds of one protocol version.
    if (isMtError(error, 'PROTOCOL') && this.#daemonVersion !== VERSION) {
      return versionError(`mt is ${VERSION} and the daemon is ${this.#daemonVersion}: they disagree about ${method}`);
    }
    return error;
  }
}

const HOW_TO_START = 'Start the daemon with: mt-peerd <ip>:<port> <tracker_info_file>';

/** A socket that another user put there would be told passwords. Root may speak to anyone's daemon. */
function requireOwn(socketPath: string): void {
  const uid = process.getuid!();
  const owner = lstatSync(socketPath, { throwIfNoEntry: false })?.uid;
  if (uid === 0 || owner === undefined || owner === uid) return;
  throw unreachable(socketPath, Object.assign(new Error('not ours'), { code: 'EACCES' }));
}

function unreachable(socketPath: string, error: NodeJS.ErrnoException): MtError {
  const reason =
    error.code === 'ENOENT'
      ? 'there is no such socket'
      : error.code === 'ECONNREFUSED'
        ? 'nobody listens there'
        : error.code === 'EACCES'
          ? 'it belongs to another user'
          : (error.code ?? error.message);
  return new MtError(
    'DAEMON_UNREACHABLE',
    `No daemon answers at ${socketPath}: ${reason}`,
    `${HOW_TO_START} (--socket PATH or MT_SOCKET names another socket, for both programs)`,
  );
}

function helloError(socketPath: string, error: unknown): unknown {
  if (isMtError(error, 'PROTOCOL_VERSION')) return versionError(error.message);
  if (isMtError(error, 'PROTOCOL')) return versionError(`What answers at ${socketPath} does not speak this protocol`);
  if (error instanceof LocalDeadline || isMtError(error, 'CLOSED', 'TIMEOUT')) {
    return new MtError(
      'DAEMON_UNREACHABLE',
      `The daemon at ${socketPath} took the call, but says nothing`,
      'It may be stopped or overloaded: look at its log, or restart it.',
    );
  }
  return error;
}

function versionError(message: string): MtError {
  return new MtError('DAEMON_VERSION', message, 'Install one version of both, and restart mt-peerd.');
}

class LocalDeadline extends Error {}

/** `deadlineMs` 0: none. */
async function withDeadline<T>(work: Promise<T>, signal: AbortSignal, deadlineMs: number): Promise<T> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new MtError('INTERRUPTED', 'Interrupted'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = deadlineMs > 0 ? setTimeout(() => reject(new LocalDeadline()), deadlineMs) : undefined;
  try {
    return await Promise.race([work, stopped]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    work.catch(() => {});
  }
}
