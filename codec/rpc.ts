// Request and response over any Duplex: ids, deadlines, cancellation, event streams, backpressure.
// Symmetric: each side may serve an API and call the other's. Knows nothing of sockets, TLS or what the methods mean.
//
//   hello {versions, …}   call [id, method, params, timeoutMs]   reply [id, result]   error [id, error]
//   event [id, item] (any number before the reply)   cancel [id]   ping [n]   pong [n]
import type { Duplex } from 'node:stream';
import * as v from 'valibot';
import { checkSchema, decodeCbor, encodeCbor } from './cbor.ts';
import { type ErrorWire, errorWireSchema, MtError, toMtError } from './errors.ts';
import { encodeFrame, FrameParser } from './frames.ts';
import { agreeOnVersion, OWN_VERSIONS, type VersionRange, versionRangeSchema } from './hello.ts';
import { countSchema } from './ids.ts';
import {
  HANDSHAKE_MS_MAX,
  KEEP_ALIVE_LOST_MS,
  KEEP_ALIVE_MS,
  RPC_IN_FLIGHT_MAX,
  RPC_PAYLOAD_BYTES_MAX,
  RPC_UNSENT_BYTES_MAX,
} from './limits.ts';

type Schema = v.GenericSchema;
/** One method of a conversation. `event` is the schema of what it streams before its result. */
export interface Method {
  readonly params: Schema;
  readonly result: Schema;
  readonly event?: Schema;
}
export type Api = Readonly<Record<string, Method>>;
export type Params<A extends Api, M extends keyof A> = v.InferInput<A[M]['params']>;
export type Result<A extends Api, M extends keyof A> = v.InferOutput<A[M]['result']>;
export type EventOf<A extends Api, M extends keyof A> = A[M] extends { event: infer E extends Schema }
  ? v.InferOutput<E>
  : never;

export interface CallContext<Event = never> {
  /** Aborted when the caller cancels, its deadline passes, or the connection ends. */
  readonly signal: AbortSignal;
  /** Time the caller still waits, in ms; 0 = no deadline. */
  readonly timeoutMs: number;
  /** Streams one item to the caller. Returns false while the connection's unsent bytes are over their limit. */
  emit(item: Event): boolean;
}
export type Handlers<A extends Api> = {
  readonly [M in keyof A]: (
    params: v.InferOutput<A[M]['params']>,
    context: CallContext<EventOf<A, M>>,
  ) => Promise<v.InferInput<A[M]['result']>> | v.InferInput<A[M]['result']>;
};

export interface CallOptions<Event> {
  /** 0 = no deadline. */
  timeoutMs?: number;
  /** Waits this much longer than the other side is told, so that its own answer to a passed deadline can arrive. */
  graceMs?: number;
  signal?: AbortSignal;
  onEvent?: (item: Event) => void;
}

/** Frames beside the RPC ones that a conversation carries, such as Raft messages between trackers. */
export interface ExtraFrames {
  readonly payloadMax: (type: string) => number | undefined;
  readonly onFrame: (type: string, payload: Buffer) => void;
}

export interface RpcOptions<Calls extends Api, Serves extends Api, Hello extends Schema> {
  calls: Calls;
  serves?: Serves;
  handlers?: Handlers<Serves>;
  /** Own hello, beside the versions, and the schema of the other side's. */
  hello: v.InferInput<Hello>;
  helloSchema: Hello;
  extra?: ExtraFrames;
  /** Off for the control socket, where the kernel tells at once. Default: KEEP_ALIVE_MS, KEEP_ALIVE_LOST_MS. */
  keepAlive?: boolean | { readonly probeMs: number; readonly lostMs: number };
}

interface PendingCall {
  method: string;
  result: Schema;
  event: Schema | undefined;
  onEvent: ((item: never) => void) | undefined;
  settle: (error: MtError | null, value?: unknown) => void;
}

const HELLO_BYTES_MAX = 4096;
const idOnly = v.tuple([countSchema]);
const idAndValue = v.tuple([countSchema, v.unknown()]);
const callSchema = v.tuple([countSchema, v.pipe(v.string(), v.maxLength(64)), v.unknown(), countSchema]);
const errorSchema = v.tuple([countSchema, errorWireSchema]);
const NO_EXTRA: ExtraFrames = { payloadMax: () => undefined, onFrame: () => {} };

export class RpcConnection<Calls extends Api, Serves extends Api = Api, Hello extends Schema = Schema> {
  readonly duplex: Duplex;
  /** Resolves with the other side's hello once both have spoken and agree on a version; rejects when the connection fails first. */
  readonly ready: Promise<v.InferOutput<Hello>>;
  /** Resolves (never rejects) when the connection is over, with the reason. */
  readonly closed: Promise<MtError>;
  readonly #options: RpcOptions<Calls, Serves, Hello>;
  readonly #extra: ExtraFrames;
  readonly #parser: FrameParser;
  readonly #pending = new Map<number, PendingCall>();
  readonly #serving = new Map<number, AbortController>();
  readonly #timers: NodeJS.Timeout[] = [];
  #nextId = 1;
  #helloSeen = false;
  #over: MtError | null = null;
  #corked = false;
  #paused = false;
  #heardAt = performance.now();
  #resolveReady!: (hello: v.InferOutput<Hello>) => void;
  #rejectReady!: (error: MtError) => void;
  #resolveClosed!: (error: MtError) => void;

  constructor(duplex: Duplex, options: RpcOptions<Calls, Serves, Hello>) {
    this.duplex = duplex;
    this.#options = options;
    this.#extra = options.extra ?? NO_EXTRA;
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => {});
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#parser = new FrameParser(
      (type) => this.#payloadMax(type),
      (type, payload) => this.#onFrame(type, payload),
    );
    duplex.on('data', (chunk: Buffer) => this.#onData(chunk));
    duplex.on('drain', () => this.#maybeResume());
    duplex.on('error', (error) => this.close(closedError(error)));
    duplex.on('close', () => this.close(closedError()));
    duplex.on('end', () => this.close(closedError()));
    this.#startTimers();
    this.send('hello', encodeCbor({ versions: OWN_VERSIONS, hello: options.hello }));
  }

  get isOpen(): boolean {
    return this.#over === null;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /**
   * Calls a method of the other side.
   * @throws MtError as the other side answered; TIMEOUT, CANCELLED or CLOSED when its answer is not known.
   */
  call<M extends keyof Calls & string>(
    method: M,
    params: Params<Calls, M>,
    options: CallOptions<EventOf<Calls, M>> = {},
  ): Promise<Result<Calls, M>> {
    const definition = this.#options.calls[method]!;
    const { timeoutMs = 0, graceMs = 0, signal, onEvent } = options;
    if (this.#over) return Promise.reject(this.#over);
    if (signal?.aborted) return Promise.reject(new MtError('CANCELLED', `${method} was cancelled`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const giveUp = (error: MtError) => {
        this.send('cancel', encodeCbor([id]));
        this.#pending.get(id)?.settle(error);
      };
      const onAbort = () => giveUp(new MtError('CANCELLED', `${method} was cancelled`));
      this.#pending.set(id, {
        method,
        result: definition.result,
        event: definition.event,
        onEvent: onEvent as ((item: never) => void) | undefined,
        settle: (error, value) => {
          this.#pending.delete(id);
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          if (error) reject(error);
          else resolve(value as Result<Calls, M>);
        },
      });
      if (timeoutMs > 0) {
        timer = setTimeout(
          () => giveUp(new MtError('TIMEOUT', `No answer to ${method} in ${timeoutMs} ms`)),
          timeoutMs + graceMs,
        );
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.send('call', encodeCbor([id, method, params, timeoutMs]));
    });
  }

  /** Sends one frame. All frames of one turn of the event loop leave together. Returns false when the other side is slow. */
  send(type: string, payload: Uint8Array): boolean {
    if (this.#over) return false;
    if (!this.#corked) {
      this.#corked = true;
      this.duplex.cork();
      setImmediate(() => {
        this.#corked = false;
        this.duplex.uncork();
      });
    }
    this.duplex.write(encodeFrame(type, payload));
    return this.duplex.writableLength < RPC_UNSENT_BYTES_MAX;
  }

  /** Ends the connection; all calls under way fail with `error`. Safe to call again. */
  close(error: MtError = new MtError('CLOSED', 'The connection was closed')): void {
    if (this.#over) return;
    this.#over = error;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const call of [...this.#pending.values()]) call.settle(error);
    for (const controller of this.#serving.values()) controller.abort(error);
    this.#serving.clear();
    this.#rejectReady(error);
    this.duplex.end();
    // An answer that is still queued (a clear refusal, say) may leave; a reader that never reads may not hold us.
    setTimeout(() => this.duplex.destroy(), 500).unref();
    this.#resolveClosed(error);
  }

  #payloadMax(type: string): number | undefined {
    if (!this.#helloSeen) return type === 'hello' ? HELLO_BYTES_MAX : undefined;
    switch (type) {
      case 'call':
        return this.#options.serves ? RPC_PAYLOAD_BYTES_MAX : undefined;
      case 'reply':
      case 'event':
        return RPC_PAYLOAD_BYTES_MAX;
      case 'error':
        return 16_384;
      case 'cancel':
      case 'ping':
      case 'pong':
        return 16;
      default:
        return this.#extra.payloadMax(type);
    }
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return;
    this.#heardAt = performance.now();
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.close(toMtError(error));
    }
  }

  #onFrame(type: string, payload: Buffer): void {
    if (this.#over) return;
    switch (type) {
      case 'hello':
        return this.#onHello(payload);
      case 'call':
        return this.#onCall(payload);
      case 'reply':
        return this.#onReply(payload);
      case 'error':
        return this.#onError(payload);
      case 'event':
        return this.#onEvent(payload);
      case 'cancel': {
        const [id] = decodeCbor(payload, idOnly, 'cancel');
        this.#serving.get(id)?.abort(new MtError('CANCELLED', 'The caller gave up'));
        return;
      }
      case 'ping':
        this.send('pong', payload);
        return;
      case 'pong':
        return;
      default:
        this.#extra.onFrame(type, payload);
    }
  }

  #onHello(payload: Buffer): void {
    if (this.#helloSeen) throw new MtError('PROTOCOL', 'a second hello');
    const schema = v.strictObject({ versions: versionRangeSchema, hello: this.#options.helloSchema });
    const hello = decodeCbor(payload, schema, 'hello') as { versions: VersionRange; hello: v.InferOutput<Hello> };
    agreeOnVersion(OWN_VERSIONS, hello.versions);
    this.#helloSeen = true;
    this.#resolveReady(hello.hello);
  }

  #onCall(payload: Buffer): void {
    const [id, name, params, timeoutMs] = decodeCbor(payload, callSchema, 'call');
    const serves = this.#options.serves;
    const method = serves && Object.hasOwn(serves, name) ? serves[name] : undefined;
    if (!method) {
      this.#sendError(id, new MtError('PROTOCOL', `There is no method of that name here`));
      return;
    }
    if (this.#serving.has(id)) throw new MtError('PROTOCOL', 'a call id was used twice');
    const controller = new AbortController();
    this.#serving.set(id, controller);
    if (this.#serving.size >= RPC_IN_FLIGHT_MAX || this.duplex.writableLength > RPC_UNSENT_BYTES_MAX) this.#pause();
    this.#serve(id, name, method, params, timeoutMs, controller);
  }

  async #serve(id: number, name: string, method: Method, raw: unknown, timeoutMs: number, abort: AbortController) {
    const timer =
      timeoutMs > 0
        ? setTimeout(() => abort.abort(new MtError('TIMEOUT', `${name} took longer than ${timeoutMs} ms`)), timeoutMs)
        : undefined;
    try {
      const params = checkSchema(raw, method.params, `${name} request`);
      const emit = (item: never) => this.#serving.has(id) && this.send('event', encodeCbor([id, item]));
      const handler = this.#options.handlers![name]!;
      const result = await handler(params, { signal: abort.signal, timeoutMs, emit });
      if (this.#serving.has(id)) this.send('reply', encodeCbor([id, result]));
    } catch (error) {
      this.#sendError(id, toMtError(error));
    } finally {
      clearTimeout(timer);
      this.#serving.delete(id);
      this.#maybeResume();
    }
  }

  #sendError(id: number, error: MtError): void {
    if (error.cause && error.code === 'INTERNAL') this.duplex.emit('handlerError', error.cause);
    this.send('error', encodeCbor([id, error.toWire()]));
  }

  #onReply(payload: Buffer): void {
    const [id, value] = decodeCbor(payload, idAndValue, 'reply');
    const call = this.#pending.get(id);
    if (!call) return; // answered after the caller gave up
    try {
      call.settle(null, checkSchema(value, call.result, `${call.method} reply`));
    } catch (error) {
      call.settle(toMtError(error));
    }
  }

  #onError(payload: Buffer): void {
    const [id, wire] = decodeCbor(payload, errorSchema, 'error');
    this.#pending.get(id)?.settle(MtError.fromWire(wire as ErrorWire));
  }

  #onEvent(payload: Buffer): void {
    const [id, item] = decodeCbor(payload, idAndValue, 'event');
    const call = this.#pending.get(id);
    if (!call?.event) return;
    call.onEvent?.(checkSchema(item, call.event, `${call.method} event`) as never);
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.duplex.pause();
  }

  #maybeResume(): void {
    if (!this.#paused || this.#over) return;
    if (this.#serving.size >= RPC_IN_FLIGHT_MAX || this.duplex.writableLength > RPC_UNSENT_BYTES_MAX) return;
    this.#paused = false;
    this.duplex.resume();
  }

  #startTimers(): void {
    const handshake = setTimeout(() => {
      if (!this.#helloSeen) this.close(new MtError('TIMEOUT', `No hello in ${HANDSHAKE_MS_MAX} ms`));
    }, HANDSHAKE_MS_MAX);
    handshake.unref();
    this.#timers.push(handshake);
    const { keepAlive = true } = this.#options;
    if (keepAlive === false) return;
    const { probeMs, lostMs } = keepAlive === true ? { probeMs: KEEP_ALIVE_MS, lostMs: KEEP_ALIVE_LOST_MS } : keepAlive;
    const probe = setInterval(() => {
      const silentMs = performance.now() - this.#heardAt;
      if (this.#paused || silentMs < probeMs) return;
      if (silentMs > lostMs) this.close(new MtError('CLOSED', 'The other side went silent'));
      else this.send('ping', encodeCbor([0]));
    }, probeMs);
    probe.unref();
    this.#timers.push(probe);
  }
}

function closedError(cause?: Error): MtError {
  return new MtError('CLOSED', 'The connection ended', undefined, cause ? { cause } : undefined);
}
