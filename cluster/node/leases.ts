// Presence (DESIGN.md, decision 4): leased, not logged. Keeps when each daemon was last heard, by whichever tracker: its own daemons'
// heartbeats, and the reports of the other trackers. The leader logs the expiry of whoever nobody heard for a lease's length; a
// new leader starts all leases afresh. Knows the progress of downloads too, which only heartbeats tell.
import { LEASE_MS } from '../../codec/limits.ts';
import { EXPIRED_PER_COMMAND_MAX } from '../state/limits.ts';

/** Session and presence epoch. */
export type Lease = readonly [session: string, epoch: number];
/** Session, group, file, verified pieces. */
export type Progress = readonly [session: string, group: string, file: string, pieces: number];

interface Heard {
  epoch: number;
  atMs: number;
}

export class Leases {
  readonly #heard = new Map<string, Heard>();
  /** Pieces by file, by session; told anew with each heartbeat, so it ends with the download. */
  readonly #progress = new Map<string, Map<string, number>>();
  /** Heard here since the last report. */
  #news = new Map<string, number>();
  #leaderSinceMs = 0;

  /** A daemon of this tracker lives. */
  heartbeat(session: string, epoch: number, downloads: readonly Omit<Download, 'session'>[], nowMs: number): void {
    this.#note(session, epoch, nowMs);
    this.#news.set(session, epoch);
    if (downloads.length === 0) this.#progress.delete(session);
    else this.#progress.set(session, new Map(downloads.map((d) => [keyOf(d.group_id, d.file_name), d.pieces])));
  }

  /** Another tracker heard them. */
  reported(leases: readonly Lease[], progress: readonly Progress[], nowMs: number): void {
    for (const [session, epoch] of leases) {
      this.#note(session, epoch, nowMs);
      this.#progress.delete(session);
    }
    for (const [session, group, file, pieces] of progress) {
      const files = this.#progress.get(session) ?? new Map<string, number>();
      files.set(keyOf(group, file), pieces);
      this.#progress.set(session, files);
    }
  }

  /** What the other trackers must hear. */
  takeReport(): { leases: Lease[]; progress: Progress[] } {
    const leases: Lease[] = [...this.#news];
    const progress: Progress[] = [];
    for (const [session] of leases) {
      for (const [key, pieces] of this.#progress.get(session) ?? []) {
        const [group, file] = partsOf(key);
        progress.push([session, group, file, pieces]);
      }
    }
    this.#news = new Map();
    return { leases, progress };
  }

  /** Verified pieces of a daemon that has the file in part. */
  piecesOf(session: string, group: string, file: string): number {
    return this.#progress.get(session)?.get(keyOf(group, file)) ?? 0;
  }

  startAfresh(nowMs: number): void {
    this.#leaderSinceMs = nowMs;
  }

  /** Of the sessions that are online in the state, those that nobody heard for a lease's length; enough for one command. */
  expired(online: Iterable<{ session: string; epoch: number }>, nowMs: number): { session: string; epoch: number }[] {
    const expired: { session: string; epoch: number }[] = [];
    if (nowMs - this.#leaderSinceMs < LEASE_MS) return expired;
    const alive = new Set<string>();
    for (const { session, epoch } of online) {
      alive.add(session);
      const heard = this.#heard.get(session);
      // Just logged in or resumed: its lease begins when it is first seen here.
      if (!heard || heard.epoch < epoch) this.#note(session, epoch, nowMs);
      else if (nowMs - heard.atMs > LEASE_MS && expired.length < EXPIRED_PER_COMMAND_MAX)
        expired.push({ session, epoch });
    }
    for (const session of this.#heard.keys()) if (!alive.has(session)) this.#forget(session);
    return expired;
  }

  /** On a follower, nobody else forgets what is long gone. */
  prune(nowMs: number): void {
    for (const [session, { atMs }] of this.#heard) if (nowMs - atMs > 2 * LEASE_MS) this.#forget(session);
  }

  #note(session: string, epoch: number, atMs: number): void {
    const heard = this.#heard.get(session);
    if (!heard) this.#heard.set(session, { epoch, atMs });
    else if (epoch >= heard.epoch) Object.assign(heard, { epoch, atMs });
  }

  #forget(session: string): void {
    this.#heard.delete(session);
    this.#progress.delete(session);
  }
}

export interface Download {
  readonly session: string;
  readonly group_id: string;
  readonly file_name: string;
  readonly pieces: number;
}

/** Neither a group id nor a file name has a slash. */
function keyOf(group: string, file: string): string {
  return `${group}/${file}`;
}

function partsOf(key: string): [group: string, file: string] {
  const cut = key.indexOf('/');
  return [key.slice(0, cut), key.slice(cut + 1)];
}
