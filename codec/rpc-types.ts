// How a conversation over codec/rpc.ts is described: its methods with their schemas, who handles them, how they are called.
import type * as v from 'valibot';
import type { FairCalls } from './fair-calls.ts';
import type { KeepAliveTimes } from './keep-alive.ts';

export type Schema = v.GenericSchema;
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
  /** Own hello, in the shape that the other side expects, and the schema of the other side's. */
  hello: object;
  helloSchema: Hello;
  extra?: ExtraFrames;
  /** Largest reply or event in bytes, the same on both sides. Default: RPC_PAYLOAD_BYTES_MAX. */
  valueBytesMax?: number;
  /** Turns among the connections of a server; without it, calls are served as they come. */
  fairCalls?: FairCalls;
  /** Off for the control socket, where the kernel tells at once. Default: KEEP_ALIVE_MS, KEEP_ALIVE_LOST_MS. */
  keepAlive?: boolean | KeepAliveTimes;
}
