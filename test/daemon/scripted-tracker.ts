// A tracker that speaks the real protocol over real TLS and fails as a test tells it to: what no real tracker does on demand.
import { createPrivateKey } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { MtError } from '../../codec/errors.ts';
import { makeClusterKeyPem, makeTrackerIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { type Handlers, RpcConnection } from '../../codec/rpc.ts';
import { daemonHelloSchema, type RequestId, type TrackerApi, trackerApi } from '../../codec/tracker-rpc.ts';

type Connection = RpcConnection<Record<never, never>, TrackerApi, typeof daemonHelloSchema>;

export const CLUSTER_KEY = makeClusterKeyPem();

export class ScriptedTracker {
  readonly #server: Server;
  readonly #number: number;
  readonly #handlers: Handlers<TrackerApi>;
  readonly connections = new Set<Connection>();
  /** Request ids of commands in the order in which they came. */
  readonly requests: RequestId[] = [];

  private constructor(server: Server, number: number, handlers: Partial<Handlers<TrackerApi>>) {
    this.#server = server;
    this.#number = number;
    this.#handlers = withDefaults(handlers, this.requests);
    server.on('secureConnection', (socket: TLSSocket) => this.#serve(socket));
    server.on('tlsClientError', () => {});
  }

  static async start(
    number: number,
    handlers: Partial<Handlers<TrackerApi>> = {},
    clusterKeyPem = CLUSTER_KEY,
    port = 0,
  ): Promise<ScriptedTracker> {
    const identity = await makeTrackerIdentity(createPrivateKey(clusterKeyPem), number, Date.now());
    const server = createServer({
      key: identity.keyPem,
      cert: identity.certPem,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: false,
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return new ScriptedTracker(server, number, handlers);
  }

  get address(): Address {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** As kill -9 looks from outside. */
  dropAll(): void {
    for (const { duplex } of this.connections) duplex.destroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.dropAll();
    await closed;
  }

  #serve(socket: TLSSocket): void {
    const connection: Connection = new RpcConnection(socket, {
      calls: {},
      serves: trackerApi,
      handlers: this.#handlers,
      hello: { role: 'tracker', number: this.#number, incarnation: '0'.repeat(32), cluster_id: '1'.repeat(32) },
      helloSchema: daemonHelloSchema,
    });
    this.connections.add(connection);
    void connection.closed.then(() => this.connections.delete(connection));
  }
}

let clients = 0;

/** Every method answers; commands are noted. */
function withDefaults(handlers: Partial<Handlers<TrackerApi>>, requests: RequestId[]): Handlers<TrackerApi> {
  const all: Record<string, unknown> = {
    register_client: () => ({ client_id: (++clients).toString(16).padStart(32, '0') }),
    tracker_status: () => ({ trackers: [], leader: null }),
    ...handlers,
  };
  return Object.fromEntries(
    Object.keys(trackerApi).map((method) => {
      const handler = (all[method] ?? (() => unscripted(method))) as (params: object, context: unknown) => unknown;
      return [
        method,
        (params: { request?: RequestId }, context: unknown) => {
          if (params.request) requests.push(params.request);
          return handler(params, context);
        },
      ];
    }),
  ) as unknown as Handlers<TrackerApi>;
}

function unscripted(method: string): never {
  throw new MtError('INTERNAL', `the script has no ${method}`);
}
