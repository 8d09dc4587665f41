// Serves daemons: one RpcConnection each, all methods of codec/tracker-rpc.ts. Knows the engine by its interface only.
import type { TLSSocket } from 'node:tls';
import { MtError } from '../../../codec/errors.ts';
import { FairCalls } from '../../../codec/fair-calls.ts';
import { type CallContext, type Handlers, RpcConnection } from '../../../codec/rpc.ts';
import { addressGroup } from '../../../codec/service/admission.ts';
import { daemonHelloSchema, type TrackerApi, type TrackerHello, trackerApi } from '../../../codec/tracker-rpc.ts';
import { accountHandlers } from './accounts.ts';
import { commandHandlers } from './commands.ts';
import type { Caller, HandlerTable, ServerContext } from './context.ts';
import { peerHandlers } from './peers.ts';
import { readHandlers } from './reads.ts';
import { selfCheckHandlers } from './self-check.ts';
import { watchFile } from './watch-file.ts';
import { watchSession } from './watch-session.ts';

const HANDLERS = {
  ...commandHandlers,
  ...accountHandlers,
  ...readHandlers,
  ...peerHandlers,
  ...selfCheckHandlers,
  watch_file: watchFile,
  watch_session: watchSession,
} as HandlerTable;
const METHODS = Object.keys(trackerApi) as (keyof TrackerApi)[];

type DaemonConnection = RpcConnection<Record<never, never>, TrackerApi, typeof daemonHelloSchema>;

/** Answers waiting unsent for all daemons together, looked at so often. */
const UNSENT_BYTES_MAX = 128 * 1024 * 1024;
const UNSENT_LOOK_MS = 500;

export interface DaemonServerOptions {
  readonly hello: () => TrackerHello;
  /** A handler threw what is nobody's mistake but ours, or the disk's. */
  readonly onInternalError: (error: unknown) => void;
  /** Null until the cluster has formed: then nothing can be answered, and `whyNot` says what is missing. */
  readonly context: () => ServerContext | null;
  readonly whyNot: () => string;
  /** This tracker falls behind, and others do not: its daemons are better off with them. */
  readonly isStale: () => boolean;
}

export class DaemonServer {
  readonly #options: DaemonServerOptions;
  #isClosed = false;
  readonly #connections = new Set<DaemonConnection>();
  readonly #turns = new FairCalls();
  readonly #timer = setInterval(() => this.#look(), UNSENT_LOOK_MS).unref();

  constructor(options: DaemonServerOptions) {
    this.#options = options;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** A socket whose certificate is not a tracker's; `fingerprint` is of its key. `known` is called when it said hello. */
  accept(socket: TLSSocket, fingerprint: string, known: () => void): void {
    // Its handshake was under way when the tracker began to stop.
    if (this.#isClosed || this.#options.isStale()) return void socket.destroy();
    const remote = addressGroup(socket.remoteAddress ?? 'unknown');
    const { hello } = this.#options;
    socket.on('handlerError', this.#options.onInternalError);
    const connection: DaemonConnection = new RpcConnection(socket, {
      calls: {},
      serves: trackerApi,
      handlers: this.#handlersFor({ fingerprint, remote }),
      hello: hello(),
      helloSchema: daemonHelloSchema,
      fairCalls: this.#turns,
    });
    this.#connections.add(connection);
    connection.ready.then(known, () => {});
    connection.closed.then(() => this.#connections.delete(connection));
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const connection of this.#connections) connection.close(new MtError('CLOSED', 'The tracker is stopping'));
  }

  #look(): void {
    this.#boundUnsent();
    if (!this.#options.isStale()) return;
    for (const connection of this.#connections) {
      connection.close(new MtError('CLOSED', "This tracker's disk is full: another one serves"));
    }
  }

  /** Answers that nobody reads may fill so much memory and no more: whoever left most unread loses the connection. */
  #boundUnsent(): void {
    const unsent = [...this.#connections].map((connection) => ({
      connection,
      bytes: connection.duplex.writableLength,
    }));
    let total = unsent.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total <= UNSENT_BYTES_MAX) return;
    unsent.sort((a, b) => b.bytes - a.bytes);
    for (const { connection, bytes } of unsent) {
      if (total <= UNSENT_BYTES_MAX) return;
      connection.close(new MtError('OVERLOADED', 'Too many answers wait to be read'));
      total -= bytes;
    }
  }

  #handlersFor(caller: Caller): Handlers<TrackerApi> {
    const handlers: Record<string, unknown> = {};
    for (const method of METHODS) {
      const handler = HANDLERS[method] as (...all: unknown[]) => unknown;
      handlers[method] = (params: unknown, call: CallContext) => handler(this.#context(), caller, params, call);
    }
    return handlers as Handlers<TrackerApi>;
  }

  #context(): ServerContext {
    const context = this.#options.context();
    if (context) return context;
    throw new MtError('NO_QUORUM', `The trackers have not formed a cluster yet. ${this.#options.whyNot()}`);
  }
}
