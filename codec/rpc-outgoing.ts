// Calls that this side of a connection has made and not settled: their ids, deadlines, cancellation, events and answers.
// Sends through one function and never touches the connection; whoever owns that says when it is over.
import { checkSchema, decodeCbor, encodeCbor } from './cbor.ts';
import { type ErrorWire, MtError, toMtError } from './errors.ts';
import { lenient } from './lenient.ts';
import { RPC_PAYLOAD_BYTES_MAX } from './limits.ts';
import type { CallOptions, Method, Schema } from './rpc-types.ts';
import { errorSchema, idAndValueSchema, TIMER_MS_MAX, tooLarge } from './rpc-wire.ts';

interface PendingCall {
  readonly name: string;
  readonly result: Schema;
  readonly event: Schema | undefined;
  readonly onEvent: ((item: never) => void) | undefined;
  readonly settle: (error: MtError | null, value?: unknown) => void;
}

export class OutgoingCalls {
  readonly #send: (type: 'call' | 'cancel', payload: Uint8Array) => void;
  /** Of a decoded reply or event. */
  readonly #itemsMax: number;
  readonly #pending = new Map<number, PendingCall>();
  #nextId = 1;

  constructor(send: (type: 'call' | 'cancel', payload: Uint8Array) => void, itemsMax: number) {
    this.#send = send;
    this.#itemsMax = itemsMax;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** @throws MtError as the other side answered; TIMEOUT, CANCELLED or CLOSED when its answer is not known. */
  call(name: string, method: Method, params: unknown, options: CallOptions<never>): Promise<unknown> {
    const { graceMs = 0, signal, onEvent } = options;
    const timeoutMs = Math.min(Math.ceil(options.timeoutMs ?? 0), TIMER_MS_MAX);
    if (signal?.aborted) return Promise.reject(new MtError('CANCELLED', `${name} was cancelled`));
    if (timeoutMs < 0) return Promise.reject(new MtError('TIMEOUT', `No time was left for ${name}`));
    const id = this.#nextId++;
    const payload = encodeCbor([id, name, params, timeoutMs]);
    if (payload.length > RPC_PAYLOAD_BYTES_MAX) {
      return Promise.reject(tooLarge(`${name} request`, payload.length, RPC_PAYLOAD_BYTES_MAX));
    }
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const giveUp = (error: MtError) => {
        this.#send('cancel', encodeCbor([id]));
        this.#pending.get(id)?.settle(error);
      };
      const onAbort = () => giveUp(new MtError('CANCELLED', `${name} was cancelled`));
      this.#pending.set(id, {
        name,
        result: lenient(method.result),
        event: method.event && lenient(method.event),
        onEvent,
        settle: (error, value) => {
          this.#pending.delete(id);
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          if (error) reject(error);
          else resolve(value);
        },
      });
      if (timeoutMs > 0) {
        timer = setTimeout(
          () => giveUp(new MtError('TIMEOUT', `No answer to ${name} in ${timeoutMs} ms`)),
          Math.min(timeoutMs + graceMs, TIMER_MS_MAX),
        );
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#send('call', payload);
    });
  }

  /** @throws MtError for a frame that is none: the connection's end. A result of the wrong shape fails its call alone. */
  onReply(payload: Buffer): void {
    const [id, value] = decodeCbor(payload, idAndValueSchema, 'reply', this.#itemsMax);
    const call = this.#pending.get(id);
    if (!call) return; // answered after the caller gave up
    try {
      call.settle(null, checkSchema(value, call.result, `${call.name} reply`));
    } catch (error) {
      call.settle(toMtError(error));
    }
  }

  /** @throws MtError for a frame that is none */
  onError(payload: Buffer): void {
    const [id, wire] = decodeCbor(payload, errorSchema, 'error');
    this.#pending.get(id)?.settle(MtError.fromWire(wire as ErrorWire));
  }

  /** @throws MtError for a frame that is none, or an item of the wrong shape */
  onEvent(payload: Buffer): void {
    const [id, item] = decodeCbor(payload, idAndValueSchema, 'event', this.#itemsMax);
    const call = this.#pending.get(id);
    if (!call?.event) return;
    call.onEvent?.(checkSchema(item, call.event, `${call.name} event`) as never);
  }

  /** The connection is over. */
  failAll(error: MtError): void {
    for (const call of [...this.#pending.values()]) call.settle(error);
  }
}
