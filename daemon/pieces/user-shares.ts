/**
 * Fair shares of this node's uploads between users, over all files that it serves: a user with many connections counts once. While
 * every user has one connection there is nothing to balance, and the order of policy R stands untouched.
 */

/** Pieces that one user may be served ahead of another; some slack keeps the line full. */
const LEAD_MAX = 4;
/** What a user that asked for nothing for a while can catch up on at most. */
const DEBT_MAX = 16;

interface Share {
  links: number;
  /** Bytes offered, plus a head start that a late user gets so that it does not catch up on the past. */
  served: number;
}

export class UserShares {
  private readonly shares = new Map<string, Share>();
  private linkCount = 0;

  join(userId: string): void {
    this.linkCount++;
    const share = this.shares.get(userId);
    if (share) share.links++;
    else this.shares.set(userId, { links: 1, served: this.leastServed(this.shares.keys()) });
  }

  leave(userId: string): void {
    const share = this.shares.get(userId)!;
    this.linkCount--;
    if (--share.links === 0) this.shares.delete(userId);
  }

  serve(userId: string, bytes: number): void {
    this.shares.get(userId)!.served += bytes;
  }

  /** Those whose user is not ahead of the least served user among them by more than some pieces of this size. */
  fair<T>(candidates: readonly T[], userOf: (candidate: T) => string, pieceBytes: number): T[] {
    if (this.linkCount === this.shares.size || candidates.length === 0) return [...candidates];
    const userIds = new Set(candidates.map(userOf));
    const most = Math.max(...[...userIds].map((userId) => this.shares.get(userId)!.served));
    for (const userId of userIds) {
      const share = this.shares.get(userId)!;
      share.served = Math.max(share.served, most - DEBT_MAX * pieceBytes);
    }
    const limit = this.leastServed(userIds) + LEAD_MAX * pieceBytes;
    return candidates.filter((candidate) => this.shares.get(userOf(candidate))!.served <= limit);
  }

  private leastServed(userIds: Iterable<string>): number {
    let least = Number.POSITIVE_INFINITY;
    for (const userId of userIds) least = Math.min(least, this.shares.get(userId)!.served);
    return Number.isFinite(least) ? least : 0;
  }
}
