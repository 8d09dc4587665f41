// The leader's care for its members: a tracker whose disk was wiped comes back under its number as a new incarnation, is added as
// a learner, replaces its former self and is promoted once it has caught up, one membership change at a time. A founder that
// has not heard of the founding is told. Looks once a second; every step is visible in the log.
import type { Logger } from 'pino';
import { toMtError } from '../../codec/errors.ts';
import type { Founder } from '../../codec/tracker-link.ts';
import type { MembershipChange } from '../raft/types.ts';
import type { Link } from './link.ts';
import type { Links } from './links.ts';
import type { RaftEngine } from './raft-engine.ts';

const CALL_MS = 2_000;

export interface ReconcilerOptions {
  readonly engine: RaftEngine;
  readonly links: Links;
  readonly log: Logger;
  readonly clusterId: string;
  /** Null on a tracker that joined later: others tell. */
  readonly founders: readonly Founder[] | null;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  #busy = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  async look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (const link of this.#options.links.all) {
        if (await this.#tellFounder(link)) continue;
        if (this.#options.engine.isLeader && (await this.#takeIn(link))) break;
      }
    } catch (error) {
      this.#options.log.debug({ error: toMtError(error).message }, 'a member could not be told');
    } finally {
      this.#busy = false;
    }
  }

  /** Any founder tells one that crashed before it heard. */
  async #tellFounder({ hello, rpc }: Link): Promise<boolean> {
    const { founders, clusterId } = this.#options;
    if (!hello || !rpc || hello.cluster_id !== null) return false;
    if (!founders?.some((founder) => founder.incarnation === hello.incarnation)) return false;
    await rpc.call('founded', { cluster_id: clusterId, founders: [...founders] }, { timeoutMs: CALL_MS });
    return true;
  }

  /** The next step towards having this incarnation of the tracker, and no other, as a voter. */
  async #takeIn({ hello, rpc, number }: Link): Promise<boolean> {
    const { engine, clusterId } = this.#options;
    if (!hello || !rpc) return false;
    const { voters, learners, info } = engine.membership;
    const node = hello.incarnation;
    if (voters.includes(node)) return false;
    const former = Object.keys(info).find((id) => id !== node && info[id]!.number === number);
    if (!learners.includes(node)) {
      if (!former) return false; // never a member: `members add` is for that
      return this.#change(
        { op: 'add_learner', node, info: info[former]! },
        number,
        'came back with a new disk: a learner',
      );
    }
    if (hello.cluster_id === null) {
      await rpc.call('join', { cluster_id: clusterId }, { timeoutMs: CALL_MS });
      return true;
    }
    if (former) return this.#change({ op: 'remove', node: former }, number, 'its former disk is no member any more');
    return this.#change({ op: 'promote', node }, number, 'has caught up: a voter again');
  }

  async #change(change: MembershipChange, number: number, what: string): Promise<boolean> {
    const refusal = await this.#options.engine.change((ref) => ({ type: 'change_membership', ref, change }));
    if (refusal === null) this.#options.log.info({ tracker: number }, `tracker ${number} ${what}`);
    return refusal === null;
  }
}
