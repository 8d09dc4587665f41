// The load generator of bench:cluster, a process of its own: callers over a few real encrypted connections to one tracker. Speaks
// codec/ only, so that it takes as little of the machine from the trackers as it can.
// Started with one JSON argument; prints one JSON line.
import { createHash, randomBytes } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { encodeManifest } from '../../codec/manifest.ts';
import { RpcConnection } from '../../codec/rpc.ts';
import { type TrackerApi, trackerApi, trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import { closedLoop, type LoopOptions } from './closed-loop.ts';

export type LoadOperation = 'create_group' | 'share_file' | 'read';

export interface TrackerLoad extends LoopOptions {
  readonly address: Address;
  readonly operation: LoadOperation;
  readonly callers: number;
}

/** As many as the etcd generator has. */
export const CONNECTIONS_MAX = 6;
const CALL_MS = 10_000;
/** A manifest as a 64 MiB file has it. */
const FILE = { size: 64 << 20, pieceSize: 128 << 10, pieceCount: 512 };
const ROW_SIZE = 52;

type Connection = RpcConnection<TrackerApi>;

/** A user that is logged in over one connection, with a group of its own. */
interface Entered {
  readonly rpc: Connection;
  readonly session: string;
  readonly group: string;
}

export async function dial(address: Address, identity: TlsIdentity): Promise<Connection> {
  const { keyPem: key, certPem: cert } = identity;
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const made: TLSSocket = connect({ ...address, key, cert, minVersion: 'TLSv1.3', rejectUnauthorized: false }, () =>
      resolve(made),
    ).on('error', reject);
  });
  socket.setNoDelay(true);
  const hello = { role: 'daemon' };
  const rpc: Connection = new RpcConnection(socket, { calls: trackerApi, hello, helloSchema: trackerHelloSchema });
  await rpc.ready;
  return rpc;
}

/** One caller with its own exactly-once client. */
export class Caller {
  readonly #entered: Entered;
  #clientId = '';
  #seq = 0;
  /** Names differ between callers and between runs. */
  readonly #prefix = randomBytes(5).toString('hex');

  constructor(entered: Entered) {
    this.#entered = entered;
  }

  async prepare(): Promise<void> {
    ({ client_id: this.#clientId } = await this.#entered.rpc.call('register_client', {}));
  }

  createGroup(): Promise<unknown> {
    const base = this.#base();
    const group_id = `g${this.#prefix}-${base.request.seq}`;
    return this.#entered.rpc.call('create_group', { ...base, group_id }, { timeoutMs: CALL_MS });
  }

  shareFile(manifest: Uint8Array): Promise<unknown> {
    const base = this.#base();
    const params = {
      ...base,
      group_id: this.#entered.group,
      file_name: `f${this.#prefix}-${base.request.seq}`,
      manifest,
    };
    return this.#entered.rpc.call('share_file', params as never, { timeoutMs: CALL_MS });
  }

  /** Linearizable, as every read is. */
  read(): Promise<unknown> {
    const { session, group } = this.#entered;
    const params = { session, group_id: group, after: null, limit: 1 };
    return this.#entered.rpc.call('list_members', params, { timeoutMs: CALL_MS });
  }

  #base() {
    this.#seq += 1;
    const request = { client_id: this.#clientId, seq: this.#seq, acked: this.#seq };
    return { request, session: this.#entered.session };
  }
}

/** A new user with a group of its own, logged in over a connection of its own. */
export async function enter(address: Address): Promise<Entered> {
  const rpc = await dial(address, await makeDaemonIdentity(Date.now()));
  const user_id = `u${randomBytes(6).toString('hex')}`;
  const { client_id } = await rpc.call('register_client', {});
  const request = (seq: number) => ({ client_id, seq, acked: seq });
  await rpc.call('create_user', { request: request(1), user_id, password: 'bench' });
  const at = { host: '127.0.0.1', port: 1 };
  const { session } = await rpc.call('login', { request: request(2), user_id, password: 'bench', address: at });
  const group = `home-${user_id}`;
  await rpc.call('create_group', { request: request(3), session, group_id: group });
  return { rpc, session, group };
}

/** Another manifest at each call. */
function manifestMaker(): () => Uint8Array {
  const rows = randomBytes(FILE.pieceCount * ROW_SIZE);
  let counter = 0;
  return () => {
    rows.writeUInt32BE(counter++);
    return encodeManifest({ ...FILE, sha1: createHash('sha1').update(rows.subarray(0, 4)).digest(), rows });
  };
}

async function run(options: TrackerLoad): Promise<void> {
  const connections = Math.min(options.callers, CONNECTIONS_MAX);
  const entered = await Promise.all(Array.from({ length: connections }, () => enter(options.address)));
  const callers = Array.from({ length: options.callers }, (_, i) => new Caller(entered[i % connections]!));
  await Promise.all(callers.map((caller) => caller.prepare()));
  const nextManifest = manifestMaker();
  const once = (caller: Caller): Promise<unknown> => {
    if (options.operation === 'create_group') return caller.createGroup();
    if (options.operation === 'share_file') return caller.shareFile(nextManifest());
    return caller.read();
  };
  console.log(JSON.stringify(await closedLoop(callers, once, options)));
}

if (import.meta.main) {
  await run(JSON.parse(process.argv[2]!) as TrackerLoad);
  process.exit(0);
}
