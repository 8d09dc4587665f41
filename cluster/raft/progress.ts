/**
 * What a leader knows about one other member's log, and how fast it may send to it. Owns the three states and the window of
 * unacknowledged appends; sends nothing itself (replication.ts, snapshot.ts).
 *
 *              append accepted              entries purged
 *     probe ───────────────────▶ replicate ───────────────▶ snapshot
 *       ▲                          │ refused, link broken      │ installed: replicate
 *       └──────────────────────────┴──────────────────────────┘ failed: probe
 *
 * probe: one append at a time until the logs are found to meet. replicate: appends stream ahead of their acknowledgements,
 * limited in messages and bytes. snapshot: nothing but the snapshot; other members are not held up.
 */
import type { Index, NodeId, ProgressState } from './types.ts';

export interface WindowLimits {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
}

export class Progress {
  readonly id: NodeId;
  /** Invariant: 0 <= match < next. */
  match: Index = 0;
  next: Index;
  state: ProgressState = 'probe';
  /** probe: an append is under way. Cleared by its reply, or by a heartbeat's, which shows that the append was lost. */
  probeSent = false;
  /** Commit index that the newest append told this member. */
  toldCommit: Index = 0;
  /** The member's boot; 0: not heard from it yet in this term. */
  boot = 0;
  /** Tick of the last reply. */
  contactTick: number;
  fit = true;
  /** Newest read round that the member acknowledged. */
  round = 0;
  snapshotIndex: Index = 0;
  /** The stream has ended well: what is left to the member is installing. */
  snapshotTaken = false;
  readonly #limits: WindowLimits;
  #inflight: { last: Index; bytes: number }[] = [];
  #inflightBytes = 0;

  constructor(id: NodeId, next: Index, tick: number, limits: WindowLimits) {
    this.id = id;
    this.next = next;
    this.contactTick = tick;
    this.#limits = limits;
  }

  /** Nothing may be sent now: wait for a reply. */
  get paused(): boolean {
    if (this.state === 'probe') return this.probeSent;
    if (this.state === 'snapshot') return true;
    const { inflightMessagesMax, inflightBytesMax } = this.#limits;
    return this.#inflight.length >= inflightMessagesMax || this.#inflightBytes >= inflightBytesMax;
  }

  /** An append with entries up to `last` is on its way. */
  sent(last: Index, bytes: number): void {
    if (this.state === 'probe') {
      this.probeSent = true;
      return;
    }
    this.next = last + 1;
    this.#inflight.push({ last, bytes });
    this.#inflightBytes += bytes;
  }

  /** The member vouches for everything up to `index`. True when that is news. */
  acknowledge(index: Index): boolean {
    while (this.#inflight.length > 0 && this.#inflight[0]!.last <= index) {
      this.#inflightBytes -= this.#inflight.shift()!.bytes;
    }
    this.next = Math.max(this.next, index + 1);
    if (index <= this.match) return false;
    this.match = index;
    return true;
  }

  becomeProbe(next: Index): void {
    this.#leave('probe');
    this.next = Math.max(next, this.match + 1);
  }

  becomeReplicate(): void {
    this.#leave('replicate');
    this.next = this.match + 1;
  }

  becomeSnapshot(index: Index): void {
    this.#leave('snapshot');
    this.snapshotIndex = index;
  }

  /** The member restarted: what it vouched for before may be gone (scenario 16). */
  restarted(boot: number): void {
    const guess = this.match + 1;
    this.boot = boot;
    this.match = 0;
    this.becomeProbe(guess);
  }

  #leave(state: ProgressState): void {
    this.state = state;
    this.probeSent = false;
    this.snapshotIndex = 0;
    this.snapshotTaken = false;
    this.#inflight = [];
    this.#inflightBytes = 0;
  }
}
