// The dialled connection to one other tracker: dials, greets, dials again with backoff and jitter until it is closed.
// Everything this tracker wants from the other goes out here; what the other wants arrives on its own connection.
import type { Logger } from 'pino';
import { isMtError, MtError, toMtError } from '../../codec/errors.ts';
import type { TlsIdentity } from '../../codec/identity.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import { type LinkApi, linkApi, linkPayloadMax } from '../../codec/tracker-link.ts';
import { type TrackerHello, trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import { DIAL_BACKOFF_MS_MAX, DIAL_BACKOFF_MS_MIN, LINK_KEEP_ALIVE } from './settings.ts';
import { type ClusterKey, dial } from './tls.ts';

export type LinkConnection = RpcConnection<LinkApi, Record<never, never>, typeof trackerHelloSchema>;

export interface LinkOptions {
  readonly identity: TlsIdentity;
  readonly key: ClusterKey;
  readonly log: Logger;
  /** Own hello at this moment. */
  readonly hello: () => TrackerHello;
  readonly onUp: (link: Link) => void;
  readonly onDown: (link: Link, hello: TrackerHello) => void;
  /** A frame beside the calls: outcomes of forwarded commands. */
  readonly onFrame: (link: Link, type: string, payload: Buffer) => void;
}

export class Link {
  readonly number: number;
  readonly address: Address;
  readonly #options: LinkOptions;
  #connection: LinkConnection | null = null;
  #hello: TrackerHello | null = null;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #lastProblem = '';

  constructor(number: number, address: Address, options: LinkOptions) {
    this.number = number;
    this.address = address;
    this.#options = options;
    void this.#dial();
  }

  /** What the other tracker said of itself; null while there is no connection. */
  get hello(): TrackerHello | null {
    return this.#hello;
  }

  /** The connection; null while there is none. */
  get rpc(): LinkConnection | null {
    return this.#hello ? this.#connection : null;
  }

  /** Why there is no connection, in words; '' when there is one or nothing was tried yet. */
  get problem(): string {
    return this.#hello ? '' : this.#lastProblem;
  }

  /** Says hello afresh: ours has changed. */
  redial(): void {
    this.#connection?.close();
  }

  /** The other tracker has dialled us, so it is there: what is left of a backoff is not waited out. */
  dialNow(): void {
    this.#failures = 0;
    if (this.#timer === undefined || this.#closed) return; // up, or dialling
    clearTimeout(this.#timer);
    void this.#dial();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection?.close();
  }

  async #dial(): Promise<void> {
    const { identity, key, hello: ownHello } = this.#options;
    this.#timer = undefined;
    try {
      const socket = await dial(this.address, this.number, identity, key);
      if (this.#closed) {
        socket.destroy();
        return;
      }
      const connection: LinkConnection = new RpcConnection(socket, {
        calls: linkApi,
        hello: ownHello(),
        helloSchema: trackerHelloSchema,
        keepAlive: LINK_KEEP_ALIVE,
        extra: { payloadMax: linkPayloadMax, onFrame: (type, payload) => this.#options.onFrame(this, type, payload) },
      });
      this.#connection = connection;
      const hello = await connection.ready;
      this.#check(hello, ownHello());
      this.#hello = hello;
      this.#failures = 0;
      this.#lastProblem = '';
      this.#options.onUp(this);
      await connection.closed;
      this.#hello = null;
      this.#connection = null;
      this.#options.onDown(this, hello);
    } catch (error) {
      this.#connection?.close();
      this.#connection = null;
      this.#note(error);
    }
    if (this.#closed) return;
    const backoffMs = Math.min(DIAL_BACKOFF_MS_MAX, DIAL_BACKOFF_MS_MIN * 2 ** Math.min(this.#failures++, 10));
    this.#timer = setTimeout(() => void this.#dial(), backoffMs * (0.5 + Math.random()));
  }

  #check(theirs: TrackerHello, ours: TrackerHello): void {
    if (theirs.number !== this.number) {
      throw new MtError('PROTOCOL', `expected tracker ${this.number}, got one that says it is ${theirs.number}`);
    }
    if (theirs.cluster_id && ours.cluster_id && theirs.cluster_id !== ours.cluster_id) throw otherCluster(this.number);
  }

  /** Each new kind of problem once: a tracker may be away for days. */
  #note(error: unknown): void {
    const { code, message } = toMtError(error);
    if (message === this.#lastProblem) return;
    this.#lastProblem = message;
    const at = formatAddress(this.address);
    if (isMtError(error, 'TRACKER_UNREACHABLE', 'CLOSED'))
      this.#options.log.debug({ tracker: this.number, at }, message);
    else this.#options.log.warn({ tracker: this.number, at, code, error }, message);
  }
}

export function otherCluster(number: number): MtError {
  return new MtError(
    'UNTRUSTED_CLUSTER',
    `Tracker ${number} holds the data of another cluster`,
    'Is its --data-dir the right one? An empty data directory would join this cluster.',
  );
}
