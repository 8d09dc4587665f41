// Raft's safety, checked from outside at every step (Ongaro and Ousterhout 2014, figure 3, and what RAFT papers leave to
// implementers): one leader a term, logs that match, leaders that have all that was committed, state machines that agree,
// commits that stand on a quorum of durable logs and never change, indexes in order. Keeps the good copy of every committed entry.
import { decodeMembership } from '../../cluster/raft/membership.ts';
import type { Entry, Index, NodeId, Output, Status, Term } from '../../cluster/raft/types.ts';
import type { SimNode } from './node.ts';

export class Violation extends Error {}

const sameEntry = (a: Entry, b: Entry): boolean =>
  a.term === b.term && a.kind === b.kind && Buffer.compare(a.data, b.data) === 0;

export class Invariants {
  readonly #nodes: readonly SimNode[];
  readonly #founders: readonly NodeId[];
  readonly #leaders = new Map<Term, NodeId>();
  /** The good copy: committed[i].index = i + 1. */
  readonly committed: Entry[] = [];
  /** State hash after an index, by whichever node was there first. */
  readonly #hashes = new Map<Index, string>();
  /** Highest term, commit and applied index seen of a member in this life. */
  readonly #seen = new Map<SimNode, { life: object; term: Term; commit: Index; applied: Index }>();
  /** Members whose disk lied or rotted: what they promised may be gone. */
  readonly damaged = new Set<NodeId>();
  checks = 0;

  constructor(nodes: readonly SimNode[]) {
    this.#nodes = nodes;
    this.#founders = nodes.map((node) => node.id);
  }

  afterStep(node: SimNode, output: Output): void {
    this.checks += 1;
    const status = node.raft!.status();
    this.#inOrder(node, status);
    if (status.role === 'leader') {
      const known = this.#leaders.get(status.term);
      if (known !== undefined && known !== node.id) {
        throw new Violation(`election safety: ${known} and ${node.id} both lead term ${status.term}`);
      }
      if (known === undefined) {
        this.#leaders.set(status.term, node.id);
        this.#leaderCompleteness(node, status.term);
      }
    }
    if (output.commit) this.#onCommit(node, output.commit.lo, output.commit.hi);
  }

  afterApply(node: SimNode, entry: Entry): void {
    const good = this.committed[entry.index - 1];
    if (!good || !sameEntry(good, entry))
      throw new Violation(`${node.id} applied ${entry.index}, which is not what was committed`);
    // The hash costs; every entry's is not needed, since a difference stays.
    if (entry.index % 16 !== 0) return;
    const hash = node.app.hash();
    const first = this.#hashes.get(entry.index);
    if (first === undefined) this.#hashes.set(entry.index, hash);
    else if (first !== hash)
      throw new Violation(`state-machine safety: ${node.id} has another state at ${entry.index}`);
  }

  /** Log matching, over all pairs of durable logs. Dear, so called now and then. */
  logMatching(): void {
    const nodes = this.#nodes;
    for (const [i, a] of nodes.entries()) {
      for (const b of nodes.slice(i + 1)) this.#pairMatches(a, b);
    }
  }

  #pairMatches(a: SimNode, b: SimNode): void {
    const other = new Map(b.disk.entries.map((entry) => [entry.index, entry]));
    let agreed = false;
    // From the end: once an index and term agree, everything before must.
    for (const entry of [...a.disk.entries].reverse()) {
      const twin = other.get(entry.index);
      if (!twin) continue;
      if (twin.term === entry.term) agreed = true;
      if (agreed && !sameEntry(entry, twin))
        throw new Violation(`log matching: ${a.id} and ${b.id} differ at ${entry.index}`);
    }
  }

  #inOrder(node: SimNode, status: Status): void {
    const { snapshotIndex, baseIndex } = node;
    const { commitIndex, appliedIndex, lastIndex, firstIndex, term } = status;
    const inOrder = firstIndex - 1 <= snapshotIndex && appliedIndex <= commitIndex && commitIndex <= lastIndex;
    const fine = inOrder && baseIndex <= appliedIndex;
    if (!fine) throw new Violation(`indexes of ${node.id} out of order: ${order(node, status)}`);
    const seen = this.#seen.get(node);
    if (!seen || seen.life !== node.raft) {
      this.#seen.set(node, { life: node.raft!, term, commit: commitIndex, applied: appliedIndex });
      return;
    }
    const isBack = term < seen.term || commitIndex < seen.commit || appliedIndex < seen.applied;
    if (isBack) throw new Violation(`${node.id} went back: term ${seen.term} to ${term}, ${order(node, status)}`);
    seen.term = term;
    seen.commit = commitIndex;
    seen.applied = appliedIndex;
  }

  #leaderCompleteness(node: SimNode, term: Term): void {
    const { firstIndex } = node.raft!.status();
    const last = node.disk.lastIndex;
    const own = new Map(node.disk.entries.map((entry) => [entry.index, entry]));
    for (const good of this.committed) {
      if (good.term >= term || good.index < firstIndex || good.index <= node.disk.snapshot.meta.index) continue;
      const mine = own.get(good.index);
      if (good.index > last || !mine || !sameEntry(mine, good)) {
        throw new Violation(`leader completeness: ${node.id} leads term ${term} without committed entry ${good.index}`);
      }
    }
  }

  #onCommit(node: SimNode, lo: Index, hi: Index): void {
    for (let at = lo; at < hi; ) {
      const entries = node.raft!.entries(at, hi, 1 << 20);
      for (const entry of entries) {
        const good = this.committed[entry.index - 1];
        if (good) {
          if (!sameEntry(good, entry)) {
            throw new Violation(
              `committed entry ${entry.index} changed: term ${good.term}, now ${entry.term} at ${node.id}`,
            );
          }
        } else {
          if (entry.index !== this.committed.length + 1)
            throw new Violation(`${node.id} commits ${entry.index} with a gap`);
          this.#onQuorum(node, entry);
          this.committed.push(entry);
        }
      }
      at += entries.length;
    }
  }

  /** Somebody says for the first time that this is committed: a quorum must hold it durably, crashed members included. */
  #onQuorum(node: SimNode, entry: Entry): void {
    const own = node.raft!.status();
    // What counted was the leader's membership: maybe one that this node has not heard of, or that it replaced since.
    const leaders = this.#nodes.map((member) => member.raft?.status()).filter((status) => status?.role === 'leader');
    const views = [own, ...leaders].map((status) => status!.membership.voters);
    if ([...views, this.#votersBefore(entry.index)].some((voters) => this.#holdQuorum(voters, entry))) return;
    throw new Violation(
      `${node.id} commits ${entry.index} (term ${entry.term}), which is not durable on a majority of ${own.membership.voters.join(', ')}`,
    );
  }

  #holdQuorum(voters: readonly NodeId[], entry: Entry): boolean {
    const holders = voters.filter((voter) => {
      if (this.damaged.has(voter)) return true;
      const member = this.#nodes.find((candidate) => candidate.id === voter);
      // Wiped since: what it held is gone, but it was counted rightly.
      if (!member) return true;
      if (member.disk.snapshot.meta.index >= entry.index) return true;
      return member.disk.entries.some((own) => own.index === entry.index && own.term === entry.term);
    });
    return holders.length * 2 > voters.length;
  }

  /** By the last committed membership entry before an index. */
  #votersBefore(index: Index): readonly NodeId[] {
    for (let i = Math.min(index - 1, this.committed.length); i > 0; i--) {
      const entry = this.committed[i - 1]!;
      if (entry.kind === 'config') return decodeMembership(entry.data)!.voters;
    }
    return this.#founders;
  }
}

function order({ snapshotIndex, baseIndex }: SimNode, status: Status): string {
  const { firstIndex, appliedIndex, commitIndex, lastIndex } = status;
  return `first ${firstIndex}, snapshot ${snapshotIndex} (of the state: ${baseIndex}), applied ${appliedIndex}, commit ${commitIndex}, last ${lastIndex}`;
}
