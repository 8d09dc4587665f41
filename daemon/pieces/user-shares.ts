/**
 * Fair shares of one file's uploads between users: a user with many connections counts once, and one that takes other files from
 * this node too gets a part of its share here. (Between files the upload limit shares the line, by users as well.) While every user
 * has one connection and one file there is nothing to balance, and the order of policy R stands untouched.
 */

/** Pieces that one user may be served ahead of another; some slack keeps the line full. */
const LEAD_MAX = 4;
/** What a user that asked for nothing for a while can catch up on at most. */
const DEBT_MAX = 16;

/** How many files each user takes from this node now. */
export class UserFiles {
  private readonly counts = new Map<string, number>();

  /** 0: none. */
  of(userId: string): number {
    return this.counts.get(userId) ?? 0;
  }

  add(userId: string, change: 1 | -1): void {
    const count = this.of(userId) + change;
    if (count > 0) this.counts.set(userId, count);
    else this.counts.delete(userId);
  }
}

interface Share {
  links: number;
  /** Bytes offered, each times the files that the user took then, plus a head start: who comes late does not catch up on the past. */
  served: number;
}

export class UserShares {
  private readonly files: UserFiles;
  private readonly shares = new Map<string, Share>();
  private linkCount = 0;

  /** @param files shared by all files that this node serves. */
  constructor(files: UserFiles) {
    this.files = files;
  }

  join(userId: string): void {
    this.linkCount++;
    const share = this.shares.get(userId);
    if (share) {
      share.links++;
      return;
    }
    this.shares.set(userId, { links: 1, served: this.leastServed(this.shares.keys()) });
    this.files.add(userId, 1);
  }

  leave(userId: string): void {
    const share = this.shares.get(userId)!;
    this.linkCount--;
    if (--share.links > 0) return;
    this.shares.delete(userId);
    this.files.add(userId, -1);
  }

  /** Whether the user takes other files from this node now. */
  takesOthers(userId: string): boolean {
    return this.files.of(userId) > 1;
  }

  serve(userId: string, bytes: number): void {
    this.shares.get(userId)!.served += bytes * this.files.of(userId);
  }

  /** Those whose user is not ahead of the least served user among them by more than some pieces of this size. */
  fair<T>(candidates: readonly T[], userOf: (candidate: T) => string, pieceBytes: number): T[] {
    if (candidates.length === 0 || this.isBalanced()) return [...candidates];
    const userIds = new Set(candidates.map(userOf));
    const most = Math.max(...[...userIds].map((userId) => this.shares.get(userId)!.served));
    for (const userId of userIds) {
      const share = this.shares.get(userId)!;
      share.served = Math.max(share.served, most - DEBT_MAX * pieceBytes);
    }
    const limit = this.leastServed(userIds) + LEAD_MAX * pieceBytes;
    return candidates.filter((candidate) => this.shares.get(userOf(candidate))!.served <= limit);
  }

  private isBalanced(): boolean {
    if (this.linkCount > this.shares.size) return false;
    for (const userId of this.shares.keys()) if (this.takesOthers(userId)) return false;
    return true;
  }

  private leastServed(userIds: Iterable<string>): number {
    let least = Number.POSITIVE_INFINITY;
    for (const userId of userIds) least = Math.min(least, this.shares.get(userId)!.served);
    return Number.isFinite(least) ? least : 0;
  }
}
