// A simulated user: sends real commands, retries with the same request id wherever a leader may be, and writes down what it
// saw. What it could not learn stays unknown for ever.
import { encodeCommand, stampCommand } from '../../cluster/state/commands.ts';
import { credentials } from '../../cluster/state/lookups.ts';
import type { Command, Reply } from '../../cluster/state/types.ts';
import type { GroupInput, GroupOutput } from './groups-model.ts';
import type { Operation } from './linearizability.ts';
import type { SimNode } from './node.ts';
import type { Prng } from './prng.ts';
import type { Answer } from './surroundings.ts';
import type { World } from './world.ts';

/** Unix ms at virtual time 0. */
const EPOCH_MS = 1_700_000_000_000;
const ATTEMPT_MS = 800;
const GIVE_UP_MS = 6_000;
/** Mean pause between two operations. */
const THINK_MS = 150;

const GROUPS = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'];

export interface ClientTally {
  acknowledged: number;
  unknown: number;
}

export class SimClient {
  readonly user: string;
  readonly history: Operation<GroupInput, GroupOutput>[] = [];
  readonly tally: ClientTally = { acknowledged: 0, unknown: 0 };
  readonly #number: number;
  readonly #world: World;
  readonly #random: Prng;
  readonly #nodes: readonly SimNode[];
  readonly #users: readonly string[];
  readonly #fingerprint: string;
  readonly #clientId: string;
  #session: string | null = null;
  #seq = 0;
  #stopped = false;
  #busy = false;
  /** Probability that a request or its reply is lost on the way. */
  loss = 0;

  constructor(number: number, world: World, random: Prng, nodes: readonly SimNode[], users: readonly string[]) {
    this.#number = number;
    this.user = users[number]!;
    this.#world = world;
    this.#random = random;
    this.#nodes = nodes;
    this.#users = users;
    this.#fingerprint = hex(number + 1, 64);
    this.#clientId = hex(number + 1, 32);
  }

  start(): void {
    this.#untilDone('register_client', { client_id: this.#clientId }, () => {
      const password = { n: 2, r: 1, p: 1, salt: new Uint8Array(16), hash: new Uint8Array(32) };
      this.#untilDone('create_user', { user_id: this.user, password }, () => this.#login());
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  /** One more command whatever happened before: used to see whether a healed cluster serves. */
  probe(done: (ok: boolean) => void): void {
    if (this.#busy) {
      this.#world.after(10, () => this.probe(done));
      return;
    }
    if (this.#session === null) {
      // The chaos did not let it log in; an answer to a read shows as well that it is served.
      this.#query(
        () => true,
        this.#world.now + GIVE_UP_MS,
        (seen) => done(seen === true),
      );
      return;
    }
    const input: GroupInput = { op: 'create', group: `probe-${this.user}`, user: this.user };
    this.#execute(input, (output) => done(output !== undefined));
  }

  /** As a tracker does it: look the account up, then propose the login against what was seen. */
  #login(): void {
    this.#query(
      (node) => credentials(node.app.state, this.user)?.version,
      this.#world.now + GIVE_UP_MS,
      (version) => {
        if (version === undefined) this.#login();
        else this.#loginAgainst(version);
      },
    );
  }

  #loginAgainst(password_version: number): void {
    const session = hex(this.#number + 1, 32);
    const address = { host: '10.0.0.1', port: 1_000 + this.#number };
    const payload = { user_id: this.user, password_version, session, address, remote: '10.0.0.1' };
    this.#untilDone('login', payload, () => {
      this.#session = session;
      this.#next();
    });
  }

  #next(): void {
    this.#world.after(this.#random.exponential(THINK_MS), () => {
      if (this.#stopped) return;
      this.#execute(this.#choose(), () => this.#next());
    });
  }

  #choose(): GroupInput {
    const group = this.#random.pick(GROUPS);
    const { user } = this;
    const roll = this.#random.float();
    if (roll < 0.2) return { op: 'create', group, user };
    if (roll < 0.4) return { op: 'join', group, user };
    if (roll < 0.55) return { op: 'leave', group, user };
    const whom = this.#random.pick(this.#users);
    if (roll < 0.75) return { op: 'accept', group, user, whom };
    if (roll < 0.8) return { op: 'reject', group, user, whom };
    return { op: 'look', group, user };
  }

  #execute(input: GroupInput, done: (output: GroupOutput | undefined) => void): void {
    const callAt = this.#world.now;
    this.#busy = true;
    const finish = (output: GroupOutput | undefined) => {
      const known = output !== undefined;
      this.#busy = false;
      // A look that nobody answered tells nothing and changes nothing.
      if (known || input.op !== 'look') {
        const returnAt = known ? this.#world.now : Number.POSITIVE_INFINITY;
        this.history.push({ client: this.#number, input, output, callAt, returnAt });
      }
      if (known) this.tally.acknowledged += 1;
      else this.tally.unknown += 1;
      done(output);
    };
    const { group } = input;
    const look = (node: SimNode) => node.app.look(this.#session!, this.#fingerprint, group);
    if (input.op === 'look') this.#query(look, callAt + GIVE_UP_MS, finish);
    else this.#command(input, finish);
  }

  #command(input: Exclude<GroupInput, { op: 'look' }>, finish: (output: GroupOutput | undefined) => void): void {
    const group_id = input.group;
    const [type, payload] =
      'whom' in input
        ? [`${input.op}_request`, { group_id, user_id: input.whom }]
        : [`${input.op}_group`, { group_id }];
    const bytes = this.#encode(type, payload);
    this.#attempts(bytes, this.#world.now + GIVE_UP_MS, (reply) => {
      if (!reply) finish(undefined);
      else finish(reply.ok ? 'ok' : reply.error.code);
    });
  }

  /** Sends until somebody says how it ended, or the time is over. */
  #attempts(bytes: Uint8Array, deadline: number, finish: (reply: Reply | null) => void): void {
    if (this.#world.now >= deadline) return finish(null);
    const node = this.#random.pick(this.#nodes);
    let over = false;
    const settle = (reply: Reply | null) => {
      if (over) return;
      over = true;
      if (reply) finish(reply);
      else this.#world.after(this.#random.float() * 40, () => this.#attempts(bytes, deadline, finish));
    };
    this.#world.after(ATTEMPT_MS, () => settle(null));
    this.#travel(() => {
      if (!node.isUp) return this.#travel(() => settle(null));
      const stamped = bytes.slice();
      stampCommand(stamped, EPOCH_MS + Math.floor(this.#world.now) + node.clockOffsetMs);
      node.propose(stamped, (answer: Answer) => this.#travel(() => settle(answer.ok ? answer.reply : null)));
    });
  }

  /** A linearizable read on any node, asked again until the deadline. */
  #query<T>(ask: (node: SimNode) => T | undefined, deadline: number, finish: (seen: T | undefined) => void): void {
    if (this.#world.now >= deadline) return finish(undefined);
    const node = this.#random.pick(this.#nodes);
    let over = false;
    const settle = (seen: T | undefined) => {
      if (over) return;
      over = true;
      if (seen !== undefined) finish(seen);
      else this.#world.after(this.#random.float() * 40, () => this.#query(ask, deadline, finish));
    };
    this.#world.after(ATTEMPT_MS, () => settle(undefined));
    this.#travel(() => {
      if (!node.isUp) return this.#travel(() => settle(undefined));
      node.read((answer) => {
        const seen = answer.ok ? ask(node) : undefined;
        this.#travel(() => settle(seen));
      });
    });
  }

  #travel(arrive: () => void): void {
    if (this.#random.chance(this.loss)) return;
    this.#world.after(0.1 + this.#random.exponential(0.3), arrive);
  }

  #untilDone(type: string, payload: unknown, done: () => void): void {
    const attempt = () => {
      if (this.#stopped) return;
      this.#attempts(this.#encode(type, payload), this.#world.now + GIVE_UP_MS, (reply) => {
        // A command given up as unknown may have happened after all: then the name is taken, by this very user.
        if (reply && (reply.ok || reply.error.code === 'USER_EXISTS')) done();
        else attempt();
      });
    };
    attempt();
  }

  #encode(type: string, payload: unknown): Uint8Array {
    const cluster = type === 'register_client';
    if (!cluster) this.#seq += 1;
    return encodeCommand({
      type,
      clientId: cluster ? null : this.#clientId,
      seq: cluster ? 0 : this.#seq,
      acked: cluster ? 0 : this.#seq,
      actor: { fingerprint: this.#fingerprint, session: this.#session },
      at: 0,
      payload,
    } as Command);
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
