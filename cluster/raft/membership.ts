/**
 * Who takes part, and since when. Owns the bytes of a config entry, the rules for changing one member at a time, and the
 * short history that lets an uncommitted change be undone when its entry is truncated. Decides nothing about *when* a change
 * may be proposed (proposals.ts does).
 *
 * A config entry holds the whole new membership, so the newest one in the log is the whole truth (thesis §4.1). Adding or
 * removing one voter at a time keeps every old majority and every new one overlapping; `applyChange` never does more.
 */
import { invariant } from './invariant.ts';
import type { Entry, Index, Membership, MembershipChange, NodeId, NodeInfo } from './types.ts';

/** ASCII JSON: readable in a log dump, the same bytes on every node, and no text encoder is needed to make it. */
export function encodeMembership(membership: Membership): Uint8Array {
  const { voters, learners, info } = membership;
  const ascii = JSON.stringify({ voters, learners, info }).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return Uint8Array.from(ascii, (char) => char.charCodeAt(0));
}

/** Null when the bytes are not what `encodeMembership` makes: they came over a wire. */
export function decodeMembership(data: Uint8Array): Membership | null {
  let text = '';
  for (const byte of data) text += String.fromCharCode(byte);
  try {
    const value: unknown = JSON.parse(text);
    return isMembership(value) ? value : null;
  } catch {
    return null;
  }
}

function isMembership(value: unknown): value is Membership {
  if (!isRecord(value)) return false;
  const { voters, learners, info } = value;
  if (!isIdList(voters) || !isIdList(learners) || !isRecord(info)) return false;
  const members = new Set([...voters, ...learners]);
  if (members.size !== voters.length + learners.length) return false;
  return Object.values(info).every(
    (record) => isRecord(record) && Object.values(record).every((v) => typeof v === 'string' || typeof v === 'number'),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isIdList(value: unknown): value is NodeId[] {
  return Array.isArray(value) && value.every((id) => typeof id === 'string' && id !== '');
}

/** The membership after one change, or null when the change makes no sense (see MembershipChange). */
export function applyChange(now: Membership, change: MembershipChange): Membership | null {
  const { node } = change;
  const isVoter = now.voters.includes(node);
  const isLearner = now.learners.includes(node);
  switch (change.op) {
    case 'add_learner':
      if (isVoter || node === '') return null;
      return withInfo({ ...now, learners: isLearner ? now.learners : [...now.learners, node] }, node, change.info);
    case 'set_info':
      return isVoter || isLearner ? withInfo(now, node, change.info) : null;
    case 'promote':
      if (!isLearner) return null;
      return { ...now, voters: [...now.voters, node], learners: without(now.learners, node) };
    case 'demote':
      if (!isVoter || now.voters.length === 1) return null;
      return { ...now, voters: without(now.voters, node), learners: [...now.learners, node] };
    case 'note':
      return isVoter || isLearner || node === '' ? null : withInfo(now, node, change.info);
    case 'remove': {
      if (!isVoter && !isLearner && now.info[node] === undefined) return null;
      if (isVoter && now.voters.length === 1) return null;
      const { [node]: _gone, ...info } = now.info;
      const left = { voters: without(now.voters, node), learners: without(now.learners, node), info };
      return change.note === undefined ? left : withInfo(left, node, change.note);
    }
  }
}

function withInfo(membership: Membership, node: NodeId, info: NodeInfo): Membership {
  return { ...membership, info: { ...membership.info, [node]: info } };
}

function without(ids: readonly NodeId[], node: NodeId): NodeId[] {
  return ids.filter((id) => id !== node);
}

interface Dated {
  readonly index: Index;
  readonly membership: Membership;
}

/** The memberships that are in the log from the newest committed one on, oldest first. */
export class MembershipHistory {
  /** Invariant: never empty, indexes rise; all but the first are uncommitted. */
  #dated: Dated[];

  constructor(index: Index, membership: Membership) {
    this.#dated = [{ index, membership }];
  }

  get current(): Membership {
    return this.#dated.at(-1)!.membership;
  }

  /** Index of the entry (or snapshot) that brought the current membership. */
  get currentIndex(): Index {
    return this.#dated.at(-1)!.index;
  }

  /** A voter now, or still one should the changes that are not known to be committed be undone. */
  hasVoter(node: NodeId): boolean {
    return this.#dated.some(({ membership }) => membership.voters.includes(node));
  }

  append(entry: Entry): void {
    const membership = decodeMembership(entry.data);
    invariant(membership !== null, `config entry ${entry.index} cannot be read`);
    invariant(entry.index > this.currentIndex, `config entry ${entry.index} after ${this.currentIndex}`);
    this.#dated.push({ index: entry.index, membership });
  }

  /** Undoes every change at or after `index` (scenario 26). */
  truncateFrom(index: Index): void {
    while (this.#dated.length > 1 && this.currentIndex >= index) this.#dated.pop();
    invariant(this.currentIndex < index, `truncation at ${index} reaches the committed membership`);
  }

  commitTo(index: Index): void {
    while (this.#dated.length > 1 && this.#dated[1]!.index <= index) this.#dated.shift();
  }

  /** A snapshot brings its own membership and forgets all others (scenario 22). */
  reset(index: Index, membership: Membership): void {
    this.#dated = [{ index, membership }];
  }
}
