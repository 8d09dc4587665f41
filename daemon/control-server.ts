// The daemon's own door: a Unix socket that only its user can open, 0600 in a private directory. Serves codec/control-api.ts;
// what the methods do is in control/. Never listens on TCP.
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { type ControlApi, controlApi, controlHelloSchema } from '../codec/control-api.ts';
import { MtError } from '../codec/errors.ts';
import { CONTROL_PAYLOAD_BYTES_MAX } from '../codec/limits.ts';
import { type Handlers, RpcConnection } from '../codec/rpc.ts';
import { accountHandlers } from './control/accounts.ts';
import type { ControlContext } from './control/context.ts';
import { fileHandlers } from './control/files.ts';
import { groupHandlers } from './control/groups.ts';
import { shareHandlers } from './control/shares.ts';
import { statusHandlers } from './control/status.ts';
import { transferHandlers } from './control/transfers.ts';
import { watchHandlers } from './control/watches.ts';
import { isDiskFull, stateError } from './disk/disk-error.ts';
import { prepareSocketDirectory } from './socket-dir.ts';

/** A daemon that does not accept within this is not asked again: the socket counts as its own. */
const PROBE_MS_MAX = 2_000;
/** Commands at once; a user's scripts stay far below. */
const CONNECTIONS_MAX = 1_000;

export class ControlServer {
  readonly #context: ControlContext;
  readonly #handlers: Handlers<ControlApi>;
  readonly #server: Server;
  readonly #connections = new Set<RpcConnection<Record<never, never>, ControlApi, typeof controlHelloSchema>>();
  readonly #log: Logger;

  constructor(context: ControlContext, log: Logger) {
    this.#context = context;
    this.#log = log;
    this.#handlers = sayingFull({
      ...accountHandlers(context),
      ...groupHandlers(context),
      ...fileHandlers(context),
      ...shareHandlers(context),
      ...transferHandlers(context),
      ...watchHandlers(context),
      ...statusHandlers(context),
    });
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /**
   * Opens the socket; one that a dead daemon left behind is replaced, after it refused a connection.
   * @throws MtError ADDRESS_IN_USE when a living one answers there, PERMISSION when the directory is open to others.
   */
  async listen(): Promise<void> {
    const { socket } = this.#context.about;
    const warning = prepareSocketDirectory(socket);
    if (warning) this.#log.warn(warning);
    await removeStale(socket);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          error.code === 'EADDRINUSE' ? socketInUse(socket) : stateError(`The socket ${socket} cannot be made`, error),
        );
      });
      // Binding happens within this call: nobody meets the socket with a wider mode.
      const before = process.umask(0o177);
      this.#server.listen(socket, () => resolve());
      process.umask(before);
    });
    chmodSync(socket, 0o600);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.close();
    for (const { duplex } of this.#connections) duplex.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    // The log gets what an unexpected error was; the user only that there was one.
    socket.on('handlerError', (error: unknown) => this.#log.error({ err: error }, 'a command failed unexpectedly'));
    const connection = new RpcConnection<Record<never, never>, ControlApi, typeof controlHelloSchema>(socket, {
      calls: {},
      serves: controlApi,
      handlers: this.#handlers,
      hello: { program: 'mt-peerd', version: this.#context.about.version },
      helloSchema: controlHelloSchema,
      keepAlive: false,
      valueBytesMax: CONTROL_PAYLOAD_BYTES_MAX,
    });
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }
}

/** A full disk under the daemon's own state is no INTERNAL error: its user can mend it. */
function sayingFull(handlers: Handlers<ControlApi>): Handlers<ControlApi> {
  const each = Object.entries(handlers) as [string, (params: never, call: never) => unknown][];
  const saying = each.map(([name, handler]) => [
    name,
    async (params: never, call: never) => {
      try {
        return await handler(params, call);
      } catch (error) {
        throw isDiskFull(error) ? stateError("The daemon's own state cannot be written", error) : error;
      }
    },
  ]);
  return Object.fromEntries(saying) as Handlers<ControlApi>;
}

async function removeStale(path: string): Promise<void> {
  let isSocket: boolean;
  try {
    isSocket = lstatSync(path).isSocket();
  } catch {
    return; // nothing there
  }
  if (!isSocket) {
    throw new MtError('INVALID_ARGUMENT', `${path} is there and is no socket`, 'Choose another --socket.');
  }
  if (!(await isRefused(path))) throw socketInUse(path);
  try {
    unlinkSync(path);
  } catch (error) {
    throw stateError(`The stale socket ${path} cannot be replaced`, error);
  }
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (refused: boolean) => {
      socket.destroy();
      resolve(refused);
    };
    socket.setTimeout(PROBE_MS_MAX, () => answer(false));
    socket.once('connect', () => answer(false));
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code === 'ECONNREFUSED'));
  });
}

function socketInUse(path: string): MtError {
  return new MtError(
    'ADDRESS_IN_USE',
    `Another daemon answers at the socket ${path}`,
    'Start this one with another --socket PATH, and name it to mt too (--socket PATH or MT_SOCKET).',
  );
}
