// Calls of the other side that this side serves: their turn among the connections, deadlines, cancellation, event streams.
// Sends through one function and never touches the connection; whoever owns that asks how much is under way.
import { checkSchema, decodeCbor, encodeCbor } from './cbor.ts';
import { MtError, toMtError } from './errors.ts';
import type { FairCalls, Lane } from './fair-calls.ts';
import {
  RPC_AT_WORK_MAX,
  RPC_IN_FLIGHT_MAX,
  RPC_STREAMS_MAX,
  RPC_WAITING_BYTES_ALL_MAX,
  RPC_WAITING_BYTES_MAX,
} from './limits.ts';
import type { Api, Handlers, Method } from './rpc-types.ts';
import { callSchema, encodeRpcError, idSchema, TIMER_MS_MAX, tooLarge } from './rpc-wire.ts';

export interface IncomingOptions {
  readonly serves: Api | undefined;
  readonly handlers: Handlers<Api> | undefined;
  readonly fairCalls: FairCalls | undefined;
  /** Bytes of a reply or an event. */
  readonly valueMax: number;
  /** False: the other side is slow. */
  readonly send: (type: 'reply' | 'error' | 'event', payload: Uint8Array) => boolean;
  /** Runs what may throw because of what the other side sent: such an error ends the connection. */
  readonly guarded: (work: () => void) => void;
  /** Less is under way than before. */
  readonly onLess: () => void;
  /** A handler broke: for the log, since the other side is only told INTERNAL. */
  readonly onHandlerError: (cause: unknown) => void;
}

interface Call {
  readonly id: number;
  readonly name: string;
  readonly raw: unknown;
  readonly timeoutMs: number;
  /** It has ended: others may begin. */
  readonly done: () => void;
}

export class IncomingCalls {
  readonly #options: IncomingOptions;
  readonly #serving = new Map<number, AbortController>();
  readonly #lane: Lane | null;
  /** Cancelled while they waited for their turn. */
  readonly #cancelled = new Set<number>();
  /** Calls of event-streaming methods: they may last for hours, so they have a limit of their own. */
  #streams = 0;
  #isOver = false;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#lane = options.fairCalls?.lane(() => this.#atWork < RPC_AT_WORK_MAX) ?? null;
  }

  /** So many are at work or wait for their turn, or hold so much, that no more should be read. Streams do not count. */
  get isFull(): boolean {
    const lane = this.#lane;
    if (this.#atWork + (lane?.waiting ?? 0) >= RPC_IN_FLIGHT_MAX) return true;
    if (!lane || lane.waitingBytes === 0) return false;
    const all = this.#options.fairCalls!.waitingBytes;
    return lane.waitingBytes > RPC_WAITING_BYTES_MAX || all > RPC_WAITING_BYTES_ALL_MAX;
  }

  get #atWork(): number {
    return this.#serving.size - this.#streams;
  }

  /**
   * Where connections take turns, a call waits for its own; what is wrong with it then still ends the connection.
   * @throws MtError for a frame that is none
   */
  onCall(payload: Buffer): void {
    const lane = this.#lane;
    if (!lane) return this.#begin(payload, () => {});
    let isNow = true;
    let copy = payload;
    lane.push((done) => {
      if (isNow) return this.#begin(payload, done);
      this.#options.guarded(() => this.#begin(copy, done));
      if (lane.waiting === 0) this.#cancelled.clear();
      this.#options.onLess();
    }, payload.length);
    isNow = false;
    // Only as long as the chunk that it came in.
    if (lane.waiting > 0) copy = Buffer.from(payload);
  }

  /** @throws MtError for a frame that is none */
  onCancel(payload: Buffer): void {
    const [id] = decodeCbor(payload, idSchema, 'cancel');
    const serving = this.#serving.get(id);
    if (serving) serving.abort(new MtError('CANCELLED', 'The caller gave up'));
    else if (this.#lane && this.#lane.waiting > 0) this.#cancelled.add(id);
  }

  /** The connection is over: handlers are told, and nothing more is begun or answered. */
  abortAll(error: MtError): void {
    this.#isOver = true;
    for (const controller of this.#serving.values()) controller.abort(error);
    this.#serving.clear();
    this.#lane?.close();
  }

  #begin(payload: Buffer, done: () => void): void {
    let isServed = false;
    try {
      isServed = this.#tryBegin(payload, done);
    } finally {
      if (!isServed) done();
    }
  }

  /** @returns whether a handler works on it now. */
  #tryBegin(payload: Buffer, done: () => void): boolean {
    if (this.#isOver) return false;
    const [id, name, params, timeoutMs] = decodeCbor(payload, callSchema, 'call');
    if (this.#cancelled.delete(id)) {
      this.#refuse(id, new MtError('CANCELLED', 'The caller gave up'));
      return false;
    }
    const { serves } = this.#options;
    const method = serves && Object.hasOwn(serves, name) ? serves[name] : undefined;
    if (!method) {
      this.#refuse(id, new MtError('PROTOCOL', `There is no method of that name here`));
      return false;
    }
    if (this.#serving.has(id)) throw new MtError('PROTOCOL', 'a call id was used twice');
    if (method.event && this.#streams >= RPC_STREAMS_MAX) {
      this.#refuse(id, new MtError('OVERLOADED', `At most ${RPC_STREAMS_MAX} streams on one connection`));
      return false;
    }
    const controller = new AbortController();
    this.#serving.set(id, controller);
    const call = { id, name, raw: params, timeoutMs: Math.min(timeoutMs, TIMER_MS_MAX), done };
    void this.#serve(method, call, controller);
    return true;
  }

  async #serve(method: Method, { id, name, raw, timeoutMs, done }: Call, abort: AbortController): Promise<void> {
    const timer =
      timeoutMs > 0
        ? setTimeout(() => abort.abort(new MtError('TIMEOUT', `${name} took longer than ${timeoutMs} ms`)), timeoutMs)
        : undefined;
    if (method.event) this.#streams++;
    try {
      const params = checkSchema(raw, method.params, `${name} request`);
      const emit = (item: never) => this.#serving.has(id) && this.#answer('event', id, name, item);
      const handler = this.#options.handlers![name]!;
      const result = await handler(params, { signal: abort.signal, timeoutMs, emit });
      if (this.#serving.has(id)) this.#answer('reply', id, name, result);
    } catch (error) {
      this.#refuse(id, toMtError(error));
    } finally {
      clearTimeout(timer);
      if (method.event) this.#streams--;
      this.#serving.delete(id);
      done();
      this.#lane?.wake();
      this.#options.onLess();
    }
  }

  /** @throws MtError TOO_LARGE: sent, it would cost the whole connection. */
  #answer(type: 'event' | 'reply', id: number, name: string, value: unknown): boolean {
    const payload = encodeCbor([id, value]);
    if (payload.length > this.#options.valueMax) {
      throw tooLarge(`${name} ${type}`, payload.length, this.#options.valueMax);
    }
    return this.#options.send(type, payload);
  }

  #refuse(id: number, error: MtError): void {
    if (error.cause && error.code === 'INTERNAL') this.#options.onHandlerError(error.cause);
    this.#options.send('error', encodeRpcError(id, error));
  }
}
