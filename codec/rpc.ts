// Request and response over any Duplex: the connection itself, with hello, keep-alive, backpressure and its end.
// Symmetric: each side may serve an API (rpc-incoming.ts) and call the other's (rpc-outgoing.ts). Knows nothing of sockets,
// TLS or what the methods mean. How the frames look is in rpc-wire.ts.
import { AssertionError } from 'node:assert';
import type { Duplex } from 'node:stream';
import type * as v from 'valibot';
import { checkSchema, decodeCbor, encodeCbor } from './cbor.ts';
import { MtError, toMtError } from './errors.ts';
import { encodeFrame, encodeFrameHeader, FrameParser } from './frames.ts';
import { agreeOnVersion, OWN_VERSIONS } from './hello.ts';
import { KeepAlive, type KeepAliveTimes } from './keep-alive.ts';
import {
  CBOR_ITEMS_MAX,
  HANDSHAKE_MS_MAX,
  RPC_PAYLOAD_BYTES_MAX,
  RPC_UNSENT_BYTES_HARD_MAX,
  RPC_UNSENT_BYTES_MAX,
} from './limits.ts';
import { IncomingCalls } from './rpc-incoming.ts';
import { OutgoingCalls } from './rpc-outgoing.ts';
import type {
  Api,
  CallOptions,
  EventOf,
  ExtraFrames,
  Handlers,
  Params,
  Result,
  RpcOptions,
  Schema,
} from './rpc-types.ts';
import { closedError, helloEnvelope, rpcPayloadMax } from './rpc-wire.ts';

export type * from './rpc-types.ts';

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
  readonly #parser: FrameParser;
  readonly #outgoing: OutgoingCalls;
  readonly #incoming: IncomingCalls;
  readonly #handshake: NodeJS.Timeout;
  readonly #keepAlive: KeepAlive | null;
  #helloSeen = false;
  #over: MtError | null = null;
  #corked = false;
  #paused = false;
  #resolveReady!: (hello: v.InferOutput<Hello>) => void;
  #rejectReady!: (error: MtError) => void;
  #resolveClosed!: (error: MtError) => void;

  constructor(duplex: Duplex, options: RpcOptions<Calls, Serves, Hello>) {
    this.duplex = duplex;
    this.#options = options;
    this.#extra = options.extra ?? NO_EXTRA;
    const valueMax = options.valueBytesMax ?? RPC_PAYLOAD_BYTES_MAX;
    const itemsMax = CBOR_ITEMS_MAX * Math.ceil(valueMax / RPC_PAYLOAD_BYTES_MAX);
    this.#outgoing = new OutgoingCalls((type, payload) => this.send(type, payload), itemsMax);
    this.#incoming = new IncomingCalls({
      serves: options.serves,
      handlers: options.handlers as Handlers<Api> | undefined,
      fairCalls: options.fairCalls,
      valueMax,
      send: (type, payload) => this.send(type, payload),
      guarded: (work) => this.#guarded(work),
      onLess: () => this.#maybeResume(),
      onHandlerError: (cause) => this.duplex.emit('handlerError', cause),
    });
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => {});
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#parser = new FrameParser(
      (type) => rpcPayloadMax(type, this.#helloSeen, options.serves !== undefined, valueMax) ?? this.#extraMax(type),
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
    const { keepAlive = true } = options;
    this.#keepAlive = keepAlive === false ? null : this.#watch(keepAlive === true ? undefined : keepAlive);
    this.send('hello', encodeCbor({ versions: OWN_VERSIONS, hello: options.hello }));
  }

  get isOpen(): boolean {
    return this.#over === null;
  }

  get inFlight(): number {
    return this.#outgoing.size;
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
    if (this.#over) return Promise.reject(this.#over);
    const definition = this.#options.calls[method]!;
    return this.#outgoing.call(method, definition, params, options) as Promise<Result<Calls, M>>;
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
    this.#outgoing.failAll(error);
    this.#incoming.abortAll(error);
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
        return this.#incoming.onCall(payload);
      case 'reply':
        return this.#outgoing.onReply(payload);
      case 'error':
        return this.#outgoing.onError(payload);
      case 'event':
        return this.#outgoing.onEvent(payload);
      case 'cancel':
        return this.#incoming.onCancel(payload);
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

  /** Too much is under way for the other side: it is not read until that is less. */
  #isFull(): boolean {
    return this.#incoming.isFull || this.duplex.writableLength > RPC_UNSENT_BYTES_MAX;
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
