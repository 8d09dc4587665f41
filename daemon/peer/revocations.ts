// Remembers who was thrown out, so that a ticket made before it opens no door again: tickets live for minutes, a removal holds
// at once. Also knows when each group's epoch changed: everybody else has a moment to renew.
import { TICKET_LIFE_MS } from '../../codec/limits.ts';
import { CLOCK_SKEW_MS } from '../../codec/ticket.ts';

/** After a new epoch, tickets of the older one are good for so long: honest holders renew within it. */
const RENEWAL_MS_MAX = 10_000;
/**
 * The same when the epoch grew while no tracker was heard: nobody told who left, so everyone has only this long, and whoever did
 * leave still gets its last byte within 5 s. Honest holders renew within 2 s of the news.
 */
const RENEWAL_AFTER_GAP_MS = 4_000;
/** After that, any ticket from before the revocation has expired by itself. */
const REMEMBERED_MS = TICKET_LIFE_MS + 2 * CLOCK_SKEW_MS;
/** Beyond so many, the oldest is forgotten: a group's epoch still refuses its tickets within RENEWAL_MS_MAX. */
const REVOCATIONS_MAX = 100_000;

export interface Holder {
  readonly userId: string;
  readonly fingerprint: string;
  readonly groupId: string;
}
export interface Revocation {
  readonly userId: string;
  /** null: all daemons of the user. */
  readonly fingerprint: string | null;
  /** null: every group. */
  readonly groupId: string | null;
}

interface Remembered {
  /** Unix ms: tickets made earlier are void. */
  readonly atMs: number;
  /** Group epoch at that time, if it was known: tickets of an older one are void whatever the clocks say. */
  readonly epoch: number | null;
}

export class Revocations {
  readonly #revoked = new Map<string, Remembered>();
  readonly #epochs = new Map<string, { epoch: number; sinceMs: number }>();

  revoke(revocation: Revocation, epoch: number | null, nowMs: number): void {
    const key = keyOf(revocation.userId, revocation.fingerprint, revocation.groupId);
    this.#revoked.delete(key);
    this.#revoked.set(key, { atMs: nowMs, epoch: revocation.groupId === null ? null : epoch });
    for (const [old, { atMs }] of this.#revoked) {
      if (nowMs - atMs < REMEMBERED_MS && this.#revoked.size <= REVOCATIONS_MAX) break;
      this.#revoked.delete(old);
    }
  }

  /** The trackers say that this one is logged in on that daemon and a member of that group, now. */
  lift({ userId, fingerprint, groupId }: Holder): void {
    for (const daemon of [null, fingerprint]) {
      for (const group of [null, groupId]) this.#revoked.delete(keyOf(userId, daemon, group));
    }
  }

  /** @param isGap it may have grown while nobody could tell: who left is not known. */
  noteEpoch(groupId: string, epoch: number, nowMs: number, isGap: boolean): void {
    const known = this.#epochs.get(groupId);
    if (known && known.epoch >= epoch) return;
    let sinceMs = nowMs;
    // The first one after a start is not a change: older tickets had their time.
    if (isGap) sinceMs = known ? nowMs - (RENEWAL_MS_MAX - RENEWAL_AFTER_GAP_MS) : 0;
    this.#epochs.set(groupId, { epoch, sinceMs });
  }

  epochOf(groupId: string): number | null {
    return this.#epochs.get(groupId)?.epoch ?? null;
  }

  /** Whether a ticket of this epoch, made at `madeAtMs` (Unix ms), is void for its holder. */
  isRevoked(holder: Holder, ticket: { epoch: number; madeAtMs: number }): boolean {
    const { userId, fingerprint, groupId } = holder;
    for (const daemon of [null, fingerprint]) {
      for (const group of [null, groupId]) {
        const found = this.#revoked.get(keyOf(userId, daemon, group));
        if (!found) continue;
        if (found.epoch !== null ? ticket.epoch < found.epoch : ticket.madeAtMs <= found.atMs) return true;
      }
    }
    return false;
  }

  /** Whether the group has moved on, and everybody had time to renew. */
  isOutdated(groupId: string, epoch: number, nowMs: number): boolean {
    const known = this.#epochs.get(groupId);
    return known !== undefined && epoch < known.epoch && nowMs - known.sinceMs > RENEWAL_MS_MAX;
  }

  /** Another user, another view: what was known came from the old session. */
  forgetEpochs(): void {
    this.#epochs.clear();
  }
}

function keyOf(userId: string, fingerprint: string | null, groupId: string | null): string {
  return `${userId}/${fingerprint ?? '*'}/${groupId ?? '*'}`;
}

export function isMatch(revocation: Revocation, holder: Holder): boolean {
  return (
    revocation.userId === holder.userId &&
    (revocation.fingerprint === null || revocation.fingerprint === holder.fingerprint) &&
    (revocation.groupId === null || revocation.groupId === holder.groupId)
  );
}
