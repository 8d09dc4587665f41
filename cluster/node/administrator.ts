// What whoever holds the cluster key may change: who belongs to the cluster, and who leads it. Works on the leader; any other
// tracker passes the action on to it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { AdminAction, AdminResult, UserLimitsChange } from '../../codec/admin-api.ts';
import { MtError } from '../../codec/errors.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import type { MembershipChange, NodeId, RefusalReason } from '../raft/types.ts';
import type { Links } from './links.ts';
import type { RaftEngine } from './raft-engine.ts';
import { currentMembers, nextNumber, type RosterEntry, removedNote, rosterOf } from './roster.ts';
import { randomToken } from './server/tokens.ts';

/** One change at a time, and a new leader's first commit: both are over in milliseconds. */
const PATIENCE_MS = 5_000;
const AGAIN_MS = 20;
const TRANSIENT: ReadonlySet<RefusalReason> = new Set([
  'change_in_flight',
  'no_commit_in_term',
  'transferring',
  'behind',
]);

export class Administrator {
  readonly #engine: RaftEngine;
  readonly #links: Links;

  constructor(engine: RaftEngine, links: Links) {
    this.#engine = engine;
    this.#links = links;
  }

  /** Here or on the leader. @throws MtError saying why not; NO_QUORUM when nobody leads. */
  async act(action: AdminAction): Promise<AdminResult> {
    if (this.#engine.isLeader) return this.actAsLeader(action);
    const { leader } = this.#engine.status();
    const rpc = leader === null ? null : this.#links.byNumber(leader)?.rpc;
    if (!rpc) throw noLeader();
    return rpc.call('administer', { action }, { timeoutMs: 2 * PATIENCE_MS });
  }

  /** What one user may have: sets what is not null, on any tracker, and answers what holds now. */
  async limits(
    change: UserLimitsChange,
    timeoutMs: number,
  ): Promise<{ groups_per_user: number; files_per_user: number }> {
    await this.#engine.readBarrier(timeoutMs);
    const now = () => this.#engine.state.limits;
    if (change.groups_per_user !== null || change.files_per_user !== null) {
      const payload = {
        groups_per_user: change.groups_per_user ?? now().groupsPerUser,
        files_per_user: change.files_per_user ?? now().filesPerUser,
      };
      const actor = { fingerprint: null, session: null };
      await this.#engine.propose(
        { type: 'set_limits', clientId: null, seq: 0, acked: 0, actor, payload },
        { timeoutMs },
      );
      return payload;
    }
    return { groups_per_user: now().groupsPerUser, files_per_user: now().filesPerUser };
  }

  actAsLeader(action: AdminAction): Promise<AdminResult> {
    if (!this.#engine.isLeader) throw noLeader();
    switch (action.type) {
      case 'add_member':
        return this.#add(action.address);
      case 'remove_member':
        return this.#remove(action.number);
      case 'transfer_leader':
        return this.#transfer(action.number);
    }
  }

  /** The same address again gets the same number: the first answer may have been lost. */
  async #add(address: Address): Promise<AdminResult> {
    const shown = formatAddress(address);
    const there = currentMembers(this.#engine.membership).find((entry) => formatAddress(entry) === shown);
    if (there?.standing === 'awaited') return { number: there.number };
    if (there) throw new MtError('ALREADY_MEMBER', `Tracker ${there.number} is at ${shown} already`);
    const node = randomToken();
    const number = nextNumber(this.#engine.membership);
    await this.#change({ op: 'note', node, info: { number, ...address } }, number);
    return { number };
  }

  async #remove(number: number): Promise<AdminResult> {
    const entry = this.#require(number);
    const { info } = this.#engine.membership;
    // A tracker that is being replaced has two incarnations: its voter goes last, and leaves the note.
    const others = Object.keys(info).filter((node) => node !== entry.node && info[node]!.number === number);
    for (const node of others) await this.#change({ op: 'remove', node }, number);
    const note = removedNote(info[entry.node]!);
    await this.#change({ op: 'remove', node: entry.node, note }, number);
    return { number };
  }

  async #transfer(number: number | null): Promise<AdminResult> {
    const to = number === null ? null : this.#require(number);
    if (to && to.node === this.#engine.id) return { number: to.number };
    if (to && to.standing !== 'voter') {
      throw new MtError('INVALID_ARGUMENT', `Tracker ${to.number} is no voter: it cannot lead`);
    }
    const outcome = await this.#engine.transfer(to?.node ?? null);
    if (outcome !== 'done') {
      throw new MtError('NO_QUORUM', `Leadership stays where it is: ${WHY_NOT[outcome] ?? outcome}`);
    }
    return { number: await this.#nextLeader(to?.node ?? null) };
  }

  async #nextLeader(wanted: NodeId | null): Promise<number> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (performance.now() < deadlineMs) {
      const { leader } = this.#engine.status();
      if (leader !== null && !this.#engine.isLeader) return leader;
      await sleep(AGAIN_MS);
    }
    throw new MtError(
      'OUTCOME_UNKNOWN',
      wanted ? 'The chosen tracker has not taken over yet' : 'Nobody has taken over yet',
    );
  }

  #require(number: number): RosterEntry {
    const entry = rosterOf(this.#engine.membership).find((other) => other.number === number);
    if (!entry) throw new MtError('NO_SUCH_MEMBER', `There is no tracker ${number} in this cluster`);
    if (entry.standing === 'removed') throw new MtError('NO_SUCH_MEMBER', `Tracker ${number} was removed already`);
    return entry;
  }

  async #change(change: MembershipChange, number: number): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const refusal = await this.#engine.change(change);
      if (refusal === null) return;
      if (!TRANSIENT.has(refusal) || performance.now() > deadlineMs) throw explain(refusal, number);
      await sleep(AGAIN_MS);
    }
  }
}

const WHY_NOT: Readonly<Record<string, string>> = {
  behind: 'the chosen tracker is silent, refilling, or too far behind',
  invalid_change: 'there is no other voter to lead',
  timeout: 'the chosen tracker did not take over in time',
  transferring: 'another hand-over is under way',
};

function explain(refusal: RefusalReason, number: number): MtError {
  switch (refusal) {
    case 'not_leader':
      return new MtError('OUTCOME_UNKNOWN', 'The leader changed meanwhile', 'See: mt-trackerd members list');
    case 'invalid_change':
      return new MtError('INVALID_ARGUMENT', `Tracker ${number} is the last voter: it cannot be removed`);
    case 'unsafe_change':
      return new MtError(
        'NO_QUORUM',
        `Without tracker ${number}, too few of the trackers that are left would be up to decide anything`,
        'Bring the others up first.',
      );
    case 'disk_full':
      return new MtError('DISK_FULL', "The leader's disk is full");
    default:
      return new MtError('OVERLOADED', `The cluster cannot change its members now (${refusal})`, 'Try again soon.');
  }
}

function noLeader(): MtError {
  return new MtError(
    'NO_QUORUM',
    'No tracker leads: fewer than half of them reach each other',
    'If most are lost for good: mt-trackerd recover',
  );
}
