// The leader's care for its members: a tracker that was added, or whose disk was wiped, comes under its number as a new incarnation,
// is taken in as a learner, replaces the note or its former self and is promoted once it has caught up, one membership change at
// a time. A founder that has not heard of the founding is told, and so is a tracker that was removed. Looks once a second; every
// step is visible in the log.
import type { Logger } from 'pino';
import { toMtError } from '../../codec/errors.ts';
import type { Founder } from '../../codec/tracker-link.ts';
import type { MembershipChange } from '../raft/types.ts';
import type { Link } from './link.ts';
import type { Links } from './links.ts';
import type { RaftEngine } from './raft-engine.ts';
import { currentMembers, rosterOf } from './roster.ts';

const CALL_MS = 2_000;
/** Looks without a leader after which it is said why. */
const LEADERLESS_LOOKS = 5;

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
  #leaderlessLooks = 0;
  #said = '';

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  async look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      this.#explainNoLeader();
      for (const link of this.#options.links.all) {
        if (await this.#tellFounder(link)) continue;
        if (!this.#options.engine.isLeader || (await this.#tellRemoved(link))) continue;
        if (await this.#takeIn(link)) break;
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

  async #tellRemoved({ hello, rpc, number }: Link): Promise<boolean> {
    const { engine, clusterId } = this.#options;
    if (!hello || !rpc) return false;
    // It stops for good: a removal that may yet be undone is not told.
    const entry = rosterOf(engine.driver.appliedMembership).find((other) => other.number === number);
    if (entry?.standing !== 'removed') return false;
    await rpc.call('removed', { cluster_id: clusterId }, { timeoutMs: CALL_MS });
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
      if (!former) return false; // never added: `members add` is for that
      const wasMember = voters.includes(former) || learners.includes(former);
      const what = wasMember ? 'came back with a new disk: a learner' : 'has come: a learner';
      return this.#change({ op: 'add_learner', node, info: info[former]! }, number, what);
    }
    // Each time: it may have been restarted before its log told it where the others are.
    const members = currentMembers(engine.membership).map(({ number: n, host, port }) => ({ number: n, host, port }));
    await rpc.call('join', { cluster_id: clusterId, members }, { timeoutMs: CALL_MS });
    if (hello.cluster_id === null) return true;
    if (former) return this.#change({ op: 'remove', node: former }, number, 'is this disk alone from now on');
    return this.#change({ op: 'promote', node }, number, 'has caught up: a voter');
  }

  async #change(change: MembershipChange, number: number, what: string): Promise<boolean> {
    const refusal = await this.#options.engine.change(change);
    if (refusal === null) this.#options.log.info({ tracker: number }, `tracker ${number} ${what}`);
    return refusal === null;
  }

  /** Who is missing, once it lasts. */
  #explainNoLeader(): void {
    const { engine, links, log } = this.#options;
    this.#leaderlessLooks = engine.status().leader === null ? this.#leaderlessLooks + 1 : 0;
    if (this.#leaderlessLooks === 0) this.#said = '';
    if (this.#leaderlessLooks < LEADERLESS_LOOKS) return;
    const { voters, info } = engine.membership;
    if (voters.length === 0) return; // a learner that has not heard of any yet
    const missing = voters.filter((node) => node !== engine.id && !links.byNode(node)?.hello);
    if (2 * (voters.length - missing.length) > voters.length) return;
    const inWords = missing.map((node) => {
      const number = Number(info[node]?.number);
      const isOther = links.byNumber(number)?.hello;
      return `tracker ${number} ${isOther ? 'came back without its data' : 'does not answer'}`;
    });
    const what = `Nobody can lead: of ${voters.length} voters, ${inWords.join(', ')}`;
    if (what === this.#said) return;
    this.#said = what;
    log.error(`${what}. If their data is lost for good: mt-trackerd recover`);
  }
}
