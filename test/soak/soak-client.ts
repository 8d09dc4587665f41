// One user of a soak: sends commands to whichever tracker it reaches, repeats them under their request id until it has an answer or
// gives up, and writes down what it saw. It never uses a request id or a unique name for anything else.
import { isMtError, MtError } from '../../codec/errors.ts';
import { makeDaemonIdentity, type TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import type { RpcConnection } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { pause } from '../bench/closed-loop.ts';
import { dial } from '../bench/tracker-load.ts';
import type { GroupInput } from '../sim/groups-model.ts';
import type { Prng } from '../sim/prng.ts';
import { type History, UNIQUE_PREFIX } from './history.ts';

type Connection = RpcConnection<TrackerApi>;
type Write = 'create_group' | 'join_group' | 'leave_group' | 'accept_request' | 'reject_request';

const DIAL_MS = 2_000;
const ATTEMPT_MS = 3_000;
/** After this a command's fate is what it is: unknown, or refused. */
const GIVE_UP_MS = 12_000;
const THINK_MS = 40;
const RETRY_MS = 50;
/** Shared groups that live at the same time, and how long each does: a history that is short can be checked. */
const SHARED_GROUPS = 4;
const GENERATION_MS = 8_000;
const PASSWORD = 'soak';
/** Errors that say that nothing was changed, now or ever, by this attempt. */
const CHANGED_NOTHING = new Set(['NO_QUORUM', 'DISK_FULL', 'OVERLOADED']);
/** Errors that leave a command's fate open. */
const OPEN = new Set(['OUTCOME_UNKNOWN', 'CLOSED', 'TIMEOUT', 'CANCELLED', 'INTERNAL', 'CLIENT_EXPIRED']);

/** What became of a command: the answer of the rules ('ok' or an error code), that nothing happened, or nobody knows. */
type Fate = { readonly answer: string } | 'failed' | 'unknown';

export class SoakClient {
  readonly user: string;
  readonly #number: number;
  readonly #addresses: readonly Address[];
  readonly #random: Prng;
  readonly #history: History;
  readonly #identity: TlsIdentity;
  #connection: Connection | null = null;
  #clientId: string | null = null;
  #session = '';
  #seq = 0;
  #made = 0;
  #stopped = false;

  static async start(
    number: number,
    addresses: readonly Address[],
    random: Prng,
    history: History,
  ): Promise<SoakClient> {
    const client = new SoakClient(number, addresses, random, history, await makeDaemonIdentity(Date.now()));
    await client.#enter();
    return client;
  }

  private constructor(
    number: number,
    addresses: readonly Address[],
    random: Prng,
    history: History,
    identity: TlsIdentity,
  ) {
    this.user = `user${number}`;
    this.#number = number;
    this.#addresses = addresses;
    this.#random = random;
    this.#history = history;
    this.#identity = identity;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Works until it is stopped; a command under way is finished. */
  async run(users: readonly string[]): Promise<void> {
    while (!this.#stopped) {
      await pause(this.#random.exponential(THINK_MS));
      if (this.#random.float() < 0.4) await this.#makeUnique();
      else await this.#meet(users);
    }
    this.#connection?.close();
  }

  async #enter(): Promise<void> {
    const rpc = await this.#reach();
    await this.#register(rpc);
    await rpc.call('create_user', { request: this.#request(), user_id: this.user, password: PASSWORD });
    const address = { host: '127.0.0.1', port: 1 };
    const login = { request: this.#request(), user_id: this.user, password: PASSWORD, address };
    ({ session: this.#session } = await rpc.call('login', login));
  }

  async #makeUnique(): Promise<void> {
    const group_id = `${UNIQUE_PREFIX}${this.#number}-${++this.#made}`;
    const fate = await this.#command('create_group', { group_id });
    if (typeof fate === 'string') return this.#history.addUnique(group_id, this.user, fate);
    this.#history.addUnique(group_id, this.user, 'acknowledged');
    if (fate.answer !== 'ok')
      this.#history.violations.push(`APPLIED TWICE? ${group_id} is new, the answer was ${fate.answer}`);
  }

  /** One operation on a group that others use at the same time. */
  async #meet(users: readonly string[]): Promise<void> {
    const generation = String(Math.floor(performance.now() / GENERATION_MS)).padStart(6, '0');
    const group = `s-${generation}-${this.#random.int(0, SHARED_GROUPS - 1)}`;
    const input = this.#choose(group, users);
    const callAt = performance.now();
    const fate = input.op === 'look' ? await this.#look(group) : await this.#change(input);
    const isFailed = fate === 'failed';
    const output = typeof fate === 'string' ? undefined : fate.answer;
    const returnAt = output === undefined ? Number.POSITIVE_INFINITY : performance.now();
    // A read that failed says nothing, and changed nothing.
    const nothing = isFailed || (input.op === 'look' && output === undefined);
    this.#history.addShared({ client: this.#number, input, output, callAt, returnAt }, nothing);
  }

  #choose(group: string, users: readonly string[]): GroupInput {
    const { user } = this;
    const roll = this.#random.float();
    if (roll < 0.2) return { op: 'create', group, user };
    if (roll < 0.4) return { op: 'join', group, user };
    if (roll < 0.55) return { op: 'leave', group, user };
    const whom = this.#random.pick(users);
    if (roll < 0.75) return { op: roll < 0.7 ? 'accept' : 'reject', group, user, whom };
    return { op: 'look', group, user };
  }

  #change(input: GroupInput): Promise<Fate> {
    const group_id = input.group;
    switch (input.op) {
      case 'create':
        return this.#command('create_group', { group_id });
      case 'join':
        return this.#command('join_group', { group_id });
      case 'leave':
        return this.#command('leave_group', { group_id });
      case 'accept':
        return this.#command('accept_request', { group_id, user_id: input.whom });
      case 'reject':
        return this.#command('reject_request', { group_id, user_id: input.whom });
      case 'look':
        return this.#look(group_id);
    }
  }

  /** One attempt: a read may simply be asked again, as another operation. */
  async #look(group: string): Promise<Fate> {
    try {
      const rpc = await this.#reach();
      // The page begins just before the group's name: '~' follows every digit.
      const before = Number(group.at(-1)) - 1;
      const after = before < 0 ? group.slice(0, -1) : `${group.slice(0, -1)}${before}~`;
      const page = { session: this.#session, after, limit: 1 };
      const { groups } = await rpc.call('list_groups', page, { timeoutMs: ATTEMPT_MS, graceMs: 500 });
      const found = groups[0];
      if (found?.group_id !== group) return { answer: 'none' };
      return { answer: `${found.owner}/${found.members}/${found.standing}` };
    } catch (error) {
      this.#drop(error);
      return 'failed';
    }
  }

  async #command(method: Write, payload: Record<string, string>): Promise<Fate> {
    const giveUpAt = performance.now() + GIVE_UP_MS;
    const request = this.#request();
    let isOpen = false;
    while (performance.now() < giveUpAt && this.#clientId !== null) {
      try {
        const rpc = await this.#reach();
        const params = { request, session: this.#session, ...payload } as never;
        await rpc.call(method, params, { timeoutMs: ATTEMPT_MS, graceMs: 500 });
        return { answer: 'ok' };
      } catch (error) {
        if (!isMtError(error)) throw error;
        if (error.code === 'CLIENT_EXPIRED') this.#clientId = null;
        if (OPEN.has(error.code)) isOpen = true;
        else if (!CHANGED_NOTHING.has(error.code) && error.code !== 'TRACKER_UNREACHABLE')
          return { answer: error.code };
        this.#drop(error);
        await pause(this.#random.exponential(RETRY_MS));
      }
    }
    while (this.#clientId === null) await this.#registerAgain();
    return isOpen ? 'unknown' : 'failed';
  }

  async #registerAgain(): Promise<void> {
    try {
      await this.#register(await this.#reach());
    } catch (error) {
      this.#drop(error);
      await pause(RETRY_MS);
    }
  }

  async #register(rpc: Connection): Promise<void> {
    ({ client_id: this.#clientId } = await rpc.call('register_client', {}, { timeoutMs: ATTEMPT_MS }));
    this.#seq = 0;
  }

  /** One request at a time: every earlier reply has arrived, or will not be asked for again. */
  #request() {
    this.#seq += 1;
    return { client_id: this.#clientId!, seq: this.#seq, acked: this.#seq };
  }

  /** The connection there is, or one to a tracker that answers. @throws MtError TRACKER_UNREACHABLE */
  async #reach(): Promise<Connection> {
    if (this.#connection?.isOpen) return this.#connection;
    this.#connection = await dialWithin(this.#random.pick(this.#addresses), this.#identity);
    return this.#connection;
  }

  /** After trouble another tracker may do better. */
  #drop(error: unknown): void {
    if (!isMtError(error)) throw error;
    if (OPEN.has(error.code) || this.#random.float() < 0.5) {
      this.#connection?.close();
      this.#connection = null;
    }
  }
}

export async function dialWithin(address: Address, identity: TlsIdentity): Promise<Connection> {
  const dialled = dial(address, identity);
  const late = pause(DIAL_MS).then(() => null);
  const rpc = await Promise.race([dialled, late]).catch((cause: Error) => unreachable(cause));
  if (rpc) return rpc;
  dialled.then((connection) => connection.close()).catch(() => {}); // a frozen tracker may still answer one day
  return unreachable();
}

function unreachable(cause?: Error): never {
  throw new MtError('TRACKER_UNREACHABLE', 'no tracker there', undefined, cause ? { cause } : undefined);
}
