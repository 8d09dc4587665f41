// Request and response over any Duplex: ids, deadlines, cancellation, event streams, backpressure.
// Symmetric: each side may serve an API and call the other's. Knows nothing of sockets, TLS or what the methods mean.
// How the frames look is in rpc-wire.ts.
import { AssertionError } from 'node:assert';
import type { Duplex } from 'node:stream';
import type * as v from 'valibot';
import { checkSchema, decodeCbor, encodeCbor } from './cbor.ts';
import { type ErrorWire, MtError, toMtError } from './errors.ts';
import type { Lane } from './fair-calls.ts';
import { encodeFrame, encodeFrameHeader, FrameParser } from './frames.ts';
import { agreeOnVersion, OWN_VERSIONS } from './hello.ts';
import { KeepAlive, type KeepAliveTimes } from './keep-alive.ts';
import {
  CBOR_ITEMS_MAX,
  HANDSHAKE_MS_MAX,
  RPC_AT_WORK_MAX,
  RPC_IN_FLIGHT_MAX,
  RPC_PAYLOAD_BYTES_MAX,
  RPC_STREAMS_MAX,
  RPC_UNSENT_BYTES_HARD_MAX,
  RPC_UNSENT_BYTES_MAX,
} from './limits.ts';
import type {
  Api,
  CallOptions,
  EventOf,
  ExtraFrames,
  Method,
  Params,
  Result,
  RpcOptions,
  Schema,
} from './rpc-types.ts';
import {
  callSchema,
  closedError,
  encodeRpcError,
  errorSchema,
  helloEnvelope,
  idAndValueSchema,
  idSchema,
  rpcPayloadMax,
  tooLarge,
} from './rpc-wire.ts';

export type * from './rpc-types.ts';

interface PendingCall {
  method: string;
  result: Schema;
  event: Schema | undefined;
  onEvent: ((item: never) => void) | undefined;
  settle: (error: MtError | null, value?: unknown) => void;
}

/** setTimeout() fires at once beyond this. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Below it one buffer costs less than several writes. */
const COPIED_TOGETHER_MAX = 16 * 1024;
const NO_EXTRA: ExtraFrames = { payloadMax: () => undefined, onFrame: () => {} };

export class RpcConnection<Calls extends Api, Serves extends Api = Api, Hello extends Schema = Schema> {
  readonly duplex: Duplex;
  /** Resolves with the other side's hello once both have spoken and agree on a version; rejects when the connection fails first. */
  readonly ready: Promise<v.InferOutput<Hello>>;
  /** Resolves (never rejects) when the connection is over, with the reason. */
  readonly closed: Promise<MtError>;
  readonly #options: RpcOptions<Calls, Serves, Hello>;
  readonly #extra: ExtraFrames;
  readonly #valueMax: number;
  readonly #itemsMax: number;
  readonly #parser: FrameParser;
  readonly #pending = new Map<number, PendingCall>();
  readonly #serving = new Map<number, AbortController>();
  readonly #handshake: NodeJS.Timeout;
  readonly #keepAlive: KeepAlive | null;
  readonly #lane: Lane | null;
  /** Cancelled while they waited for their turn. */
  readonly #cancelled = new Set<number>();
  #nextId = 1;
  #helloSeen = false;
  #over: MtError | null = null;
  #corked = false;
  #paused = false;
  /** Calls of event-streaming methods being served: they may last for hours, so they have a limit of their own. */
  #streams = 0;
  #resolveReady!: (hello: v.InferOutput<Hello>) => void;
  #rejectReady!: (error: MtError) => void;
  #resolveClosed!: (error: MtError) => void;

  constructor(duplex: Duplex, options: RpcOptions<Calls, Serves, Hello>) {
    this.duplex = duplex;
    this.#options = options;
    this.#extra = options.extra ?? NO_EXTRA;
    this.#valueMax = options.valueBytesMax ?? RPC_PAYLOAD_BYTES_MAX;
    this.#itemsMax = CBOR_ITEMS_MAX * Math.ceil(this.#valueMax / RPC_PAYLOAD_BYTES_MAX);
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => {});
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#parser = new FrameParser(
      (type) =>
        rpcPayloadMax(type, this.#helloSeen, options.serves !== undefined, this.#valueMax) ?? this.#extraMax(type),
      (type, payload) => this.#onFrame(type, payload),
    );
    duplex.on('data', (chunk: Buffer) => this.#onData(chunk));
    duplex.on('drain', () => this.#maybeResume());
    duplex.on('error', (error) => this.close(closedError(error)));
    duplex.on('close', () => this.close(closedError()));
    duplex.on('end', () => this.close(closedError()));
    this.#handshake = setTimeout(() => {
      if (!this.#helloSeen) this.close(new MtError('TIMEOUT', `No hello in ${HANDSHAKE_MS_MAX} ms`));
    }, HANDSHAKE_MS_MAX);
    this.#handshake.unref();
    this.#lane = options.fairCalls?.lane(() => this.#serving.size - this.#streams < RPC_AT_WORK_MAX) ?? null;
    const { keepAlive = true } = options;
    this.#keepAlive = keepAlive === false ? null : this.#watch(keepAlive === true ? undefined : keepAlive);
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
    const { graceMs = 0, signal, onEvent } = options;
    const timeoutMs = Math.min(Math.ceil(options.timeoutMs ?? 0), TIMER_MS_MAX);
    if (this.#over) return Promise.reject(this.#over);
    if (signal?.aborted) return Promise.reject(new MtError('CANCELLED', `${method} was cancelled`));
    if (timeoutMs < 0) return Promise.reject(new MtError('TIMEOUT', `No time was left for ${method}`));
    const id = this.#nextId++;
    const payload = encodeCbor([id, method, params, timeoutMs]);
    if (payload.length > RPC_PAYLOAD_BYTES_MAX) {
      return Promise.reject(tooLarge(`${method} request`, payload.length, RPC_PAYLOAD_BYTES_MAX));
    }
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
          Math.min(timeoutMs + graceMs, TIMER_MS_MAX),
        );
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.send('call', payload);
    });
  }

  /** Sends one frame. All frames of one turn of the event loop leave together. Returns false when the other side is slow. */
  send(type: string, payload: Uint8Array): boolean {
    return this.#write(encodeFrame(type, payload));
  }

  /** One frame whose payload is in parts; large ones are not copied together, so they must not change any more. */
  sendParts(type: string, parts: readonly Uint8Array[]): boolean {
    const size = parts.reduce((sum, { length }) => sum + length, 0);
    const buffers = [encodeFrameHeader(type, size), ...parts];
    return size > COPIED_TOGETHER_MAX ? this.#write(...buffers) : this.#write(Buffer.concat(buffers));
  }

  #write(...buffers: Uint8Array[]): boolean {
    if (this.#over) return false;
    // Whoever owns the socket may have uncorked it: what had to leave before the turn's end has left.
    if (this.duplex.writableCorked === 0) this.duplex.cork();
    if (!this.#corked) {
      this.#corked = true;
      setImmediate(() => {
        this.#corked = false;
        this.duplex.uncork();
      });
    }
    if (this.duplex.writableLength === 0) this.#onSent();
    for (const buffer of buffers) this.duplex.write(buffer, this.#onSent);
    if (this.duplex.writableLength > RPC_UNSENT_BYTES_HARD_MAX) {
      this.close(new MtError('CLOSED', 'The other side does not read what it asked for'));
      return false;
    }
    return this.duplex.writableLength < RPC_UNSENT_BYTES_MAX;
  }

  /** Ends the connection; all calls under way fail with `error`. Safe to call again. */
  close(error: MtError = new MtError('CLOSED', 'The connection was closed')): void {
    if (this.#over) return;
    this.#over = error;
    clearTimeout(this.#handshake);
    this.#keepAlive?.stop();
    for (const call of [...this.#pending.values()]) call.settle(error);
    for (const controller of this.#serving.values()) controller.abort(error);
    this.#serving.clear();
    this.#lane?.close();
    this.#rejectReady(error);
    this.duplex.end();
    // An answer that is still queued (a clear refusal, say) may leave; a reader that never reads may not hold us.
    setTimeout(() => this.duplex.destroy(), 500).unref();
    this.#resolveClosed(error);
  }

  readonly #onSent = (): void => this.#keepAlive?.sent();

  #watch(times: KeepAliveTimes | undefined): KeepAlive {
    return new KeepAlive(
      {
        probe: () => this.send('ping', encodeCbor([0])),
        giveUp: (why) => this.close(new MtError('CLOSED', why)),
        isPaused: () => this.#paused,
        unsentBytes: () => this.duplex.writableLength,
        unfinished: () => ({ frame: this.#parser.frameCount, bytes: this.#parser.heldSize }),
      },
      times,
    );
  }

  #extraMax(type: string): number | undefined {
    return this.#helloSeen ? this.#extra.payloadMax(type) : undefined;
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return;
    this.#keepAlive?.heard();
    this.#guarded(() => this.#parser.push(chunk));
    // Whatever made us write (calls, but pings and wrong calls too): one that does not read its answers is not read either.
    if (this.#isFull()) this.#pause();
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof AssertionError) throw error; // a bad self, not a bad peer
      this.close(toMtError(error));
    }
  }

  #onFrame(type: string, payload: Buffer): void {
    if (this.#over) return;
    switch (type) {
      case 'hello':
        return this.#onHello(payload);
      case 'call':
        return this.#onCallFrame(payload);
      case 'reply':
        return this.#onReply(payload);
      case 'error':
        return this.#onError(payload);
      case 'event':
        return this.#onEvent(payload);
      case 'cancel': {
        const [id] = decodeCbor(payload, idSchema, 'cancel');
        const serving = this.#serving.get(id);
        if (serving) serving.abort(new MtError('CANCELLED', 'The caller gave up'));
        else if (this.#lane && this.#lane.waiting > 0) this.#cancelled.add(id);
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
    // Versions first: the rest of the hello of another version may look different.
    const { versions, hello } = decodeCbor(payload, helloEnvelope, 'hello');
    agreeOnVersion(OWN_VERSIONS, versions);
    const checked = checkSchema(hello, this.#options.helloSchema, 'hello');
    this.#helloSeen = true;
    this.#resolveReady(checked);
  }

  /** Where connections take turns, a call waits for its own; what is wrong with it then still ends the connection. */
  #onCallFrame(payload: Buffer): void {
    const lane = this.#lane;
    if (!lane) return this.#onCall(payload);
    let isNow = true;
    let copy = payload;
    lane.push(() => {
      if (isNow) return this.#onCall(payload);
      this.#guarded(() => this.#onCall(copy));
      if (lane.waiting === 0) this.#cancelled.clear();
      this.#maybeResume();
    });
    isNow = false;
    // Only as long as the chunk that it came in.
    if (lane.waiting > 0) copy = Buffer.from(payload);
  }

  #onCall(payload: Buffer): void {
    if (this.#over) return;
    const [id, name, params, timeoutMs] = decodeCbor(payload, callSchema, 'call');
    if (this.#cancelled.delete(id)) return this.#sendError(id, new MtError('CANCELLED', 'The caller gave up'));
    const serves = this.#options.serves;
    const method = serves && Object.hasOwn(serves, name) ? serves[name] : undefined;
    if (!method) {
      this.#sendError(id, new MtError('PROTOCOL', `There is no method of that name here`));
      return;
    }
    if (this.#serving.has(id)) throw new MtError('PROTOCOL', 'a call id was used twice');
    if (method.event && this.#streams >= RPC_STREAMS_MAX) {
      this.#sendError(id, new MtError('OVERLOADED', `At most ${RPC_STREAMS_MAX} streams on one connection`));
      return;
    }
    const controller = new AbortController();
    this.#serving.set(id, controller);
    this.#serve(id, name, method, params, Math.min(timeoutMs, TIMER_MS_MAX), controller);
  }

  async #serve(id: number, name: string, method: Method, raw: unknown, timeoutMs: number, abort: AbortController) {
    const timer =
      timeoutMs > 0
        ? setTimeout(() => abort.abort(new MtError('TIMEOUT', `${name} took longer than ${timeoutMs} ms`)), timeoutMs)
        : undefined;
    if (method.event) this.#streams++;
    try {
      const params = checkSchema(raw, method.params, `${name} request`);
      const emit = (item: never) => this.#serving.has(id) && this.#sendValue('event', id, name, item);
      const handler = this.#options.handlers![name]!;
      const result = await handler(params, { signal: abort.signal, timeoutMs, emit });
      if (this.#serving.has(id)) this.#sendValue('reply', id, name, result);
    } catch (error) {
      this.#sendError(id, toMtError(error));
    } finally {
      clearTimeout(timer);
      if (method.event) this.#streams--;
      this.#serving.delete(id);
      this.#lane?.wake();
      this.#maybeResume();
    }
  }

  /** @throws MtError TOO_LARGE: sent, it would cost the whole connection. */
  #sendValue(type: 'event' | 'reply', id: number, name: string, value: unknown): boolean {
    const payload = encodeCbor([id, value]);
    if (payload.length > this.#valueMax) throw tooLarge(`${name} ${type}`, payload.length, this.#valueMax);
    return this.send(type, payload);
  }

  #sendError(id: number, error: MtError): void {
    if (error.cause && error.code === 'INTERNAL') this.duplex.emit('handlerError', error.cause);
    this.send('error', encodeRpcError(id, error));
  }

  #onReply(payload: Buffer): void {
    const [id, value] = decodeCbor(payload, idAndValueSchema, 'reply', this.#itemsMax);
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
    const [id, item] = decodeCbor(payload, idAndValueSchema, 'event', this.#itemsMax);
    const call = this.#pending.get(id);
    if (!call?.event) return;
    call.onEvent?.(checkSchema(item, call.event, `${call.method} event`) as never);
  }

  /** Too much is under way for the other side: it is not read until that is less. */
  #isFull(): boolean {
    const calls = this.#serving.size - this.#streams + (this.#lane?.waiting ?? 0);
    return calls >= RPC_IN_FLIGHT_MAX || this.duplex.writableLength > RPC_UNSENT_BYTES_MAX;
  }

  #pause(): void {
    if (this.#paused || this.#over) return;
    this.#paused = true;
    this.duplex.pause();
  }

  #maybeResume(): void {
    if (!this.#paused || this.#over || this.#isFull()) return;
    this.#paused = false;
    this.#keepAlive?.heard();
    this.duplex.resume();
  }
}
