// Presence: leased, not logged. Keeps when each daemon was last heard, by whichever tracker: its own daemons'
// heartbeats, and the reports of the other trackers. The leader logs the expiry of whoever nobody heard for a lease's length; a
// new leader starts all leases afresh. Knows the progress of downloads too, which only heartbeats tell.
import { LEASE_MS } from '../../codec/limits.ts';
import { EXPIRED_PER_COMMAND_MAX } from '../state/limits.ts';

/** Session and presence epoch. */
export type Lease = readonly [session: string, epoch: number];
/** Session, group, file, verified pieces. */
export type Progress = readonly [session: string, group: string, file: string, pieces: number];

/** What heartbeats tell beside "I live": the verified pieces of downloads, and what is left of shares that are not whole. */
export interface Told<Row> {
  readonly progress: readonly Row[];
  readonly shortfalls: readonly Row[];
}
export interface Report extends Told<Progress> {
  readonly leases: Lease[];
}

interface Heard {
  epoch: number;
  atMs: number;
}
interface OfFile {
  readonly group_id: string;
  readonly file_name: string;
  readonly pieces: number;
}

/** Pieces by file, by session. */
type Pieces = Map<string, Map<string, number>>;

export class Leases {
  readonly #heard = new Map<string, Heard>();
  /** Told anew with each heartbeat, so it ends with the download. */
  readonly #progress: Pieces = new Map();
  /** Likewise: it ends when the share is whole again. */
  readonly #shortfalls: Pieces = new Map();
  readonly #onAvailability: (session: string, group: string, file: string) => void;
  /** Heard here since the last report. */
  #news = new Map<string, number>();
  #leaderSinceMs = 0;

  /** @param onAvailability a daemon has more or less of a file that it shares than before. */
  constructor(onAvailability: (session: string, group: string, file: string) => void = () => {}) {
    this.#onAvailability = onAvailability;
  }

  /** A daemon of this tracker lives. */
  heartbeat(
    session: string,
    epoch: number,
    told: { readonly downloads: readonly OfFile[]; readonly shortfalls: readonly OfFile[] },
    nowMs: number,
  ): void {
    this.#note(session, epoch, nowMs);
    this.#news.set(session, epoch);
    const byFile = (rows: readonly OfFile[]) =>
      new Map(rows.map((row) => [keyOf(row.group_id, row.file_name), row.pieces]));
    this.#setProgress(session, byFile(told.downloads));
    this.#setShortfalls(session, byFile(told.shortfalls));
  }

  /** Another tracker heard them. */
  reported(leases: readonly Lease[], told: Told<Progress>, nowMs: number): void {
    const progress = bySession(told.progress);
    const shortfalls = bySession(told.shortfalls);
    for (const [session, epoch] of leases) {
      this.#note(session, epoch, nowMs);
      this.#setProgress(session, progress.get(session) ?? new Map());
      this.#setShortfalls(session, shortfalls.get(session) ?? new Map());
    }
  }

  /**
   * What the other trackers must hear, in parts that each fit a message.
   * @param leasesMax, rowsMax of one part; the rows of one session are never split.
   */
  takeReports(leasesMax: number, rowsMax: number): Report[] {
    const reports: { leases: Lease[]; progress: Progress[]; shortfalls: Progress[] }[] = [];
    let rows = 0;
    for (const lease of this.#news) {
      const [session] = lease;
      const progress = rowsOf(session, this.#progress);
      const shortfalls = rowsOf(session, this.#shortfalls);
      const more = progress.length + shortfalls.length;
      let report = reports[reports.length - 1];
      if (!report || report.leases.length === leasesMax || rows + more > rowsMax) {
        report = { leases: [], progress: [], shortfalls: [] };
        reports.push(report);
        rows = 0;
      }
      rows += more;
      report.leases.push(lease);
      for (const row of progress) report.progress.push(row);
      for (const row of shortfalls) report.shortfalls.push(row);
    }
    this.#news = new Map();
    return reports;
  }

  /** Verified pieces of a daemon that has the file in part. */
  piecesOf(session: string, group: string, file: string): number {
    return this.#progress.get(session)?.get(keyOf(group, file)) ?? 0;
  }

  /** What is left of a file that the daemon shares whole; null: all of it. As `ShortfallOf` of the queries. */
  readonly shortfallOf = (session: string, group: string, file: string): number | null => {
    return this.#shortfalls.get(session)?.get(keyOf(group, file)) ?? null;
  };

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
    this.#shortfalls.delete(session);
  }

  #setProgress(session: string, files: Map<string, number>): void {
    if (files.size === 0) this.#progress.delete(session);
    else this.#progress.set(session, files);
  }

  #setShortfalls(session: string, files: Map<string, number>): void {
    const before = this.#shortfalls.get(session);
    if (files.size === 0 && !before) return;
    if (files.size === 0) this.#shortfalls.delete(session);
    else this.#shortfalls.set(session, files);
    for (const key of new Set([...files.keys(), ...(before?.keys() ?? [])])) {
      if (files.get(key) !== before?.get(key)) this.#onAvailability(session, ...partsOf(key));
    }
  }
}

function bySession(rows: readonly Progress[]): Pieces {
  const sessions: Pieces = new Map();
  for (const [session, group, file, pieces] of rows) {
    const files = sessions.get(session) ?? new Map<string, number>();
    sessions.set(session, files.set(keyOf(group, file), pieces));
  }
  return sessions;
}

function rowsOf(session: string, pieces: Pieces): Progress[] {
  return [...(pieces.get(session) ?? [])].map(([key, count]) => [session, ...partsOf(key), count]);
}

/** Neither a group id nor a file name has a slash. */
function keyOf(group: string, file: string): string {
  return `${group}/${file}`;
}

function partsOf(key: string): [group: string, file: string] {
  const cut = key.indexOf('/');
  return [key.slice(0, cut), key.slice(cut + 1)];
}
