// Commands that wait for their outcome. Own ones (of daemons connected here) wait for a leader, go to it, and are sent again under
// the same request id when their fate is unclear, until their deadline. Those that other trackers forwarded to us as leader are
// answered once. Owns refs, deadlines and answers; knows neither links nor the core: `takeWaiting` hands out what should leave.
import { MtError } from '../../codec/errors.ts';
import type { Outcome } from '../../codec/tracker-link.ts';
import type { Ref, RefusalReason } from '../raft/types.ts';
import type { Reply } from '../state/types.ts';
import { type Attachment, attach, attachmentOf } from '../store/attachments.ts';
import type { AcceptedLink } from './links.ts';
import { COMMAND_MS_DEFAULT, PENDING_COMMANDS_MAX } from './settings.ts';

export interface Outgoing {
  readonly ref: Ref;
  readonly data: Uint8Array;
  readonly attachment: Attachment | null;
}

interface Own {
  readonly kind: 'own';
  data: Uint8Array;
  readonly attachment: Attachment | null;
  /** On performance.now()'s clock. */
  readonly deadlineMs: number;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: MtError) => void;
  /** Where it is: not sent, forwarded to another tracker, or on its way into this leader's log. */
  place: 'waiting' | 'away' | 'log';
  /** It left at least once and nobody knows what became of it. */
  uncertain: boolean;
  /** Why it was last refused. */
  refusal: string | null;
}
interface Forwarded {
  readonly kind: 'forwarded';
  readonly from: AcceptedLink;
  readonly remoteRef: Ref;
}

export class PendingCommands {
  readonly #byRef = new Map<Ref, Own | Forwarded>();
  /** Own ones that have not left, or must leave again. */
  #waiting: Ref[] = [];
  /** Own ones under way elsewhere: forwarded to another tracker. */
  readonly #away = new Set<Ref>();
  #nextRef = 1;
  /** Outcomes for other trackers, sent once a turn. */
  #answers = new Map<AcceptedLink, Outcome[]>();

  /** Commands of anyone that have no answer yet. */
  get size(): number {
    return this.#byRef.size;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  nextRef(): Ref {
    return this.#nextRef++;
  }

  /** A command of a daemon here. */
  add(data: Uint8Array, attachment: Attachment | null, timeoutMs: number): Promise<Reply> {
    if (this.#byRef.size >= PENDING_COMMANDS_MAX) {
      return Promise.reject(new MtError('OVERLOADED', 'This tracker has too many commands waiting', 'Try again soon.'));
    }
    return new Promise((resolve, reject) => {
      const ref = this.nextRef();
      const deadlineMs = performance.now() + (timeoutMs || COMMAND_MS_DEFAULT);
      if (attachment) attach(data, attachment);
      this.#byRef.set(ref, {
        kind: 'own',
        data,
        attachment,
        deadlineMs,
        resolve,
        reject,
        place: 'waiting',
        uncertain: false,
        refusal: null,
      });
      this.#waiting.push(ref);
    });
  }

  /** A command that another tracker forwarded to us. */
  addForwarded(from: AcceptedLink, remoteRef: Ref): Ref {
    const ref = this.nextRef();
    this.#byRef.set(ref, { kind: 'forwarded', from, remoteRef });
    return ref;
  }

  /** What waits leaves now: to this node's own core, or (`forward`) to another tracker. */
  takeWaiting(forward: boolean): Outgoing[] {
    const outgoing: Outgoing[] = [];
    for (const ref of this.#waiting) {
      const own = this.#byRef.get(ref);
      if (own?.kind !== 'own' || own.place !== 'waiting') continue; // gave up, or left, meanwhile
      own.place = forward ? 'away' : 'log';
      if (forward) this.#away.add(ref);
      outgoing.push({ ref, data: own.data, attachment: own.attachment });
    }
    this.#waiting = [];
    return outgoing;
  }

  applied(ref: Ref, reply: Reply): void {
    const pending = this.#take(ref);
    if (pending?.kind === 'own') pending.resolve(reply);
    else if (pending)
      this.#answer(pending, { ref: pending.remoteRef, outcome: 'applied', reply: { ...reply } as never });
  }

  refused(ref: Ref, reason: RefusalReason | string): void {
    const pending = this.#byRef.get(ref);
    if (pending?.kind === 'forwarded') {
      this.#byRef.delete(ref);
      this.#answer(pending, { ref: pending.remoteRef, outcome: 'refused', reason });
    } else if (pending) {
      pending.refusal = reason;
      const final = finalError(reason);
      if (!final) return this.#wait(ref, pending);
      this.#take(ref);
      pending.reject(final);
    }
  }

  /** It may or may not have happened. Sent again under its request id: the state machine applies it once. */
  unknown(ref: Ref): void {
    const pending = this.#byRef.get(ref);
    if (pending?.kind === 'forwarded') {
      this.#byRef.delete(ref);
      this.#answer(pending, { ref: pending.remoteRef, outcome: 'unknown' });
    } else if (pending) {
      pending.uncertain = true;
      this.#wait(ref, pending);
    }
  }

  /**
   * What the tracker that a command was forwarded to says of it. That one may lead no more, and the command may be elsewhere by
   * now, in this tracker's own log even: then only that it was applied still counts.
   */
  outcome(outcome: Outcome): void {
    if (outcome.outcome === 'applied') this.applied(outcome.ref, outcome.reply as Reply);
    else if (!this.#away.has(outcome.ref)) return;
    else if (outcome.outcome === 'refused') this.refused(outcome.ref, outcome.reason);
    else this.unknown(outcome.ref);
  }

  /** The link to the leader broke: whatever was on its way is unclear. */
  lostLeader(): void {
    for (const ref of [...this.#away]) this.unknown(ref);
  }

  /** Gives up what has waited to its deadline. @param diskFull this tracker's own disk: why nobody may lead. */
  sweep(nowMs: number, diskFull: boolean): void {
    for (const [ref, pending] of this.#byRef) {
      if (pending.kind !== 'own' || pending.deadlineMs > nowMs) continue;
      this.#byRef.delete(ref);
      this.#away.delete(ref);
      pending.reject(deadlineError(pending, diskFull));
    }
  }

  /** Hands each other tracker its outcomes of this turn. */
  takeAnswers(): Map<AcceptedLink, Outcome[]> {
    const answers = this.#answers;
    if (answers.size > 0) this.#answers = new Map();
    return answers;
  }

  /** It must leave again. The old bytes may live on in a log, with their time: what is stamped again is a copy. */
  #wait(ref: Ref, own: Own): void {
    this.#away.delete(ref);
    own.place = 'waiting';
    own.data = own.data.slice();
    if (own.attachment) attach(own.data, own.attachment);
    this.#waiting.push(ref);
  }

  #take(ref: Ref): Own | Forwarded | null {
    const pending = this.#byRef.get(ref);
    if (!pending) return null;
    this.#byRef.delete(ref);
    this.#away.delete(ref);
    return pending;
  }

  #answer(pending: Forwarded, outcome: Outcome): void {
    const answers = this.#answers.get(pending.from);
    if (answers) answers.push(outcome);
    else this.#answers.set(pending.from, [outcome]);
  }
}

/** What will be no better when it is sent again; null: it may be. */
function finalError(reason: string): MtError | null {
  if (reason === 'too_large') return new MtError('TOO_LARGE', 'The command is larger than the log takes');
  if (reason === 'malformed') {
    return new MtError('PROTOCOL', 'The leading tracker cannot read this command', 'Run all trackers in one version.');
  }
  return null;
}

function deadlineError(own: Own, diskFull: boolean): MtError {
  if (own.uncertain || own.place !== 'waiting') {
    return new MtError(
      'OUTCOME_UNKNOWN',
      'The trackers did not say in time whether the command was carried out',
      'It may still be: look before you repeat it.',
    );
  }
  if (diskFull || own.refusal === 'disk_full') {
    return new MtError('DISK_FULL', 'The disk of a tracker is full', 'Make room there: it goes on by itself.');
  }
  if (own.refusal === 'overloaded') return new MtError('OVERLOADED', 'The trackers are overloaded', 'Try again soon.');
  return noQuorum();
}

export function noQuorum(): MtError {
  return new MtError(
    'NO_QUORUM',
    'The trackers have no majority at the moment, so nothing can be decided',
    'Nothing was changed. Check: mt tracker_status',
  );
}

/** The attachment of a forwarded command's bytes, when it has one. */
export function sizeOf(data: Uint8Array): number {
  return data.length + (attachmentOf(data)?.bytes.length ?? 0);
}
