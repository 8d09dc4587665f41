// Serves `mt-trackerd <subcommand>` on the tracker's port (codec/admin-api.ts). Whoever comes here has shown a certificate that the
// cluster key signed.
import type { TLSSocket } from 'node:tls';
import { type AdminApi, adminApi, adminHelloSchema } from '../../codec/admin-api.ts';
import { MtError } from '../../codec/errors.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import type { TrackerHello } from '../../codec/tracker-rpc.ts';
import type { Member } from './member.ts';

type AdminConnection = RpcConnection<Record<never, never>, AdminApi, typeof adminHelloSchema>;

export interface AdminServerOptions {
  readonly hello: () => TrackerHello;
  readonly member: () => Member | null;
  readonly whyNot: () => string;
  readonly onInternalError: (error: unknown) => void;
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #connections = new Set<AdminConnection>();

  constructor(options: AdminServerOptions) {
    this.#options = options;
  }

  accept(socket: TLSSocket): void {
    const { hello, onInternalError } = this.#options;
    socket.on('handlerError', onInternalError);
    const connection: AdminConnection = new RpcConnection(socket, {
      calls: {},
      serves: adminApi,
      handlers: {
        members: () => this.#member().context.clusterStatus(),
        limits: (change, { timeoutMs }) => this.#member().administrator.limits(change, timeoutMs),
        administer: ({ action }) => this.#member().administrator.act(action),
      },
      hello: hello(),
      helloSchema: adminHelloSchema,
    });
    this.#connections.add(connection);
    connection.ready.catch(() => {});
    connection.closed.then(() => this.#connections.delete(connection));
  }

  close(): void {
    for (const connection of this.#connections) connection.close(new MtError('CLOSED', 'The tracker is stopping'));
  }

  #member(): Member {
    const member = this.#options.member();
    if (member) return member;
    throw new MtError('NO_QUORUM', `This tracker belongs to no cluster yet. ${this.#options.whyNot()}`);
  }
}
