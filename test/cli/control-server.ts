// A daemon's control socket without a daemon: the real frames, RPC and schemas, answers that a test chooses, and a record of
// every request. For tests of `mt` alone.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlApi, controlApi, controlHelloSchema } from '../../codec/control-api.ts';
import { type ErrorCode, MtError } from '../../codec/errors.ts';
import { CONTROL_PAYLOAD_BYTES_MAX } from '../../codec/limits.ts';
import { type Handlers, RpcConnection } from '../../codec/rpc.ts';

export interface RecordedCall {
  method: string;
  params: Record<string, unknown>;
}

const NO_PARAMS = {};

export class ControlServer {
  readonly socketPath: string;
  readonly folder: string;
  readonly calls: RecordedCall[] = [];
  /** Calls whose caller gave up. */
  cancelled = 0;
  readonly #handlers: Partial<Handlers<ControlApi>>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #version: string;

  private constructor(handlers: Partial<Handlers<ControlApi>>, version: string) {
    this.folder = mkdtempSync(join(tmpdir(), 'mt-cli-'));
    this.socketPath = join(this.folder, 'peerd.sock');
    this.#handlers = handlers;
    this.#version = version;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(handlers: Partial<Handlers<ControlApi>> = {}, version = '0.1.0'): Promise<ControlServer> {
    const server = new ControlServer(handlers, version);
    await new Promise<void>((resolve) => server.#server.listen(server.socketPath, resolve));
    return server;
  }

  /** The only call that came, without the time that it may take. */
  get onlyCall(): RecordedCall {
    if (this.calls.length !== 1) throw new Error(`expected one call, got ${JSON.stringify(this.calls)}`);
    const { method, params } = this.calls[0]!;
    const { timeout_ms: _, ...rest } = params;
    return { method, params: rest };
  }

  /** Ends all connections, as a daemon does that is killed. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.hangUp();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    new RpcConnection(socket, {
      calls: {},
      serves: controlApi,
      handlers: this.#recording(),
      hello: { program: 'mt-peerd', version: this.#version },
      helloSchema: controlHelloSchema,
      keepAlive: false,
      valueBytesMax: CONTROL_PAYLOAD_BYTES_MAX,
    });
  }

  #recording(): Handlers<ControlApi> {
    const entries = Object.keys(controlApi).map((method) => [
      method,
      async (params: Record<string, unknown>, context: { signal: AbortSignal }) => {
        this.calls.push({ method, params });
        context.signal.addEventListener('abort', () => this.cancelled++);
        const handler = this.#handlers[method as keyof ControlApi] as
          | ((given: unknown, context: unknown) => unknown)
          | undefined;
        return handler ? handler(params, context) : NO_PARAMS;
      },
    ]);
    return Object.fromEntries(entries) as Handlers<ControlApi>;
  }
}

/** A handler that refuses. */
export function refuses(code: ErrorCode, message = 'refused by the test', suggestion?: string): () => never {
  return () => {
    throw new MtError(code, message, suggestion);
  };
}

/** A handler that never answers. */
export function hangs(): Promise<never> {
  return new Promise(() => {});
}
