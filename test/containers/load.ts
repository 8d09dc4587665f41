// Users who keep working while the network fails: one at each peer, changing and looking at a few groups. What they saw is a history for the
// linearizability checker. A command refused for want of a quorum is left out of it: if it happened all the same, the history shows it.
import { setTimeout as sleep } from 'node:timers/promises';
import { isMtError } from '../../codec/errors.ts';
import { type GroupInput, type GroupOutput, groupsModel } from '../sim/groups-model.ts';
import { checkLinearizable, type Operation } from '../sim/linearizability.ts';
import { Prng } from '../sim/prng.ts';
import type { Peer } from './world.ts';

const THINK_MS = 25;
const GROUP_COUNT = 4;
/** Refused, and so never done. */
const REFUSED = ['NO_QUORUM', 'TRACKER_UNREACHABLE', 'TIMEOUT', 'OVERLOADED', 'DAEMON_UNREACHABLE'] as const;
/** What the model knows. */
const ANSWERS = [
  'GROUP_EXISTS',
  'NO_SUCH_GROUP',
  'ALREADY_MEMBER',
  'ALREADY_REQUESTED',
  'NOT_MEMBER',
  'NOT_OWNER',
  'NO_SUCH_REQUEST',
] as const;

interface Tally {
  answered: number;
  refused: number;
  unknown: number;
}

export class Load {
  readonly history: Operation<GroupInput, GroupOutput>[] = [];
  readonly seed: number;
  readonly #peers: readonly Peer[];
  readonly #prefix: string;
  readonly #timeoutMs: number;
  readonly #tallies: Map<Peer, Tally>;
  readonly #loops: Promise<void>[];
  #stopped = false;

  /** @param prefix of group names: every load has groups of its own. */
  constructor(peers: readonly Peer[], prefix: string, { timeoutMs = 1_500, seed = Date.now() % 1_000_000 } = {}) {
    this.#peers = peers;
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
    this.seed = seed;
    this.#tallies = new Map(peers.map((peer) => [peer, { answered: 0, refused: 0, unknown: 0 }]));
    this.#loops = peers.map((peer, client) => this.#work(peer, client, new Prng(seed * 10 + client)));
    for (const loop of this.#loops) loop.catch(() => {}); // stop() tells
  }

  /** How many of a peer's commands were answered, refused, or are unknown until now. */
  of(peer: Peer): Tally {
    return { ...this.#tallies.get(peer)! };
  }

  /** Stops the users, and says whether all of them together saw one order of things. @throws when not. */
  async stop(): Promise<Tally> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    const verdict = checkLinearizable(this.history, groupsModel);
    if (!verdict.ok) {
      const lines = verdict.operations.map(
        (operation, i) => `${verdict.longest.includes(i) ? ' ' : '!'} ${shown(operation)}`,
      );
      throw new Error(`group ${verdict.key} is not linearizable (seed ${this.seed}):\n${lines.join('\n')}`);
    }
    const sum = { answered: 0, refused: 0, unknown: 0 };
    for (const tally of this.#tallies.values()) {
      sum.answered += tally.answered;
      sum.refused += tally.refused;
      sum.unknown += tally.unknown;
    }
    return sum;
  }

  async #work(peer: Peer, client: number, random: Prng): Promise<void> {
    while (!this.#stopped) {
      const input = this.#choose(peer, random);
      const callAt = performance.now();
      const output = await this.#execute(peer, input);
      const tally = this.#tallies.get(peer)!;
      if (output === REFUSAL) tally.refused += 1;
      else {
        if (output === undefined) tally.unknown += 1;
        else tally.answered += 1;
        const returnAt = output === undefined ? Number.POSITIVE_INFINITY : performance.now();
        this.history.push({ client, input, output, callAt, returnAt });
      }
      await sleep(THINK_MS * random.float() * 2);
    }
  }

  #choose(peer: Peer, random: Prng): GroupInput {
    const group = `${this.#prefix}-${random.int(1, GROUP_COUNT)}`;
    const { user } = peer;
    const op = random.pick([
      'create',
      'create',
      'join',
      'join',
      'leave',
      'look',
      'look',
      'accept',
      'accept',
      'reject',
    ] as const);
    if (op !== 'accept' && op !== 'reject') return { op, group, user };
    return { op, group, user, whom: random.pick(this.#peers.filter((other) => other !== peer)).user };
  }

  async #execute(peer: Peer, input: GroupInput): Promise<GroupOutput | typeof REFUSAL | undefined> {
    const { group: group_id } = input;
    try {
      switch (input.op) {
        case 'look': {
          const { groups } = await peer.call('list_groups', {}, this.#timeoutMs);
          const row = groups.find((found) => found.group_id === group_id);
          return row ? `${row.owner}/${row.members}/${row.standing}` : 'none';
        }
        case 'create':
          await peer.call('create_group', { group_id }, this.#timeoutMs);
          return 'ok';
        case 'join':
          await peer.call('join_group', { group_id }, this.#timeoutMs);
          return 'ok';
        case 'leave':
          await peer.call('leave_group', { group_id }, this.#timeoutMs);
          return 'ok';
        default:
          await peer.call(`${input.op}_request`, { group_id, user_id: input.whom }, this.#timeoutMs);
          return 'ok';
      }
    } catch (error) {
      if (isMtError(error, ...REFUSED)) return REFUSAL;
      if (isMtError(error, 'OUTCOME_UNKNOWN')) return undefined;
      if (isMtError(error, ...ANSWERS)) return error.code;
      throw error;
    }
  }
}

const REFUSAL = Symbol('refused');

function shown({ client, input, output, callAt, returnAt }: Operation<GroupInput, GroupOutput>): string {
  return `${callAt.toFixed(1)}-${returnAt.toFixed(1)} user ${client}: ${JSON.stringify(input)} → ${output ?? 'unknown'}`;
}
