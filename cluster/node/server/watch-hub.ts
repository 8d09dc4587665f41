// Routes what was applied to the watch streams: by file, and by session. Streams say only what changed; after a snapshot replaced
// the state, or when one is too slow to hear all, it starts afresh. Owns no connection: a stream ends by its own signal.
import type { Applied, StateEvent } from '../../state/types.ts';
import type { Engine } from '../engine.ts';
import { DELIVERY_MS_MAX, NEWS_ROWS_MAX } from '../settings.ts';

export interface FileWatcher {
  readonly group_id: string;
  readonly file_name: string;
  /** A daemon came, went or changed; or (null) everything may have. */
  daemonChanged(fingerprint: string, userId: string): void;
  /** This user is no member of the group any more. */
  memberLeft(userId: string): void;
  fileRemoved(): void;
  /** The state was replaced. */
  reset(): void;
  /** Once after each turn with news for it. */
  deliver(): void;
}

export interface SessionWatcher {
  onEvent(event: StateEvent): void;
  /** More files than news can name left these groups. */
  onManyRemoved(groupIds: ReadonlySet<string>): void;
  reset(): void;
  membersChanged(): void;
  deliver(): void;
}

export class WatchHub {
  readonly #files = new Map<string, Set<FileWatcher>>();
  readonly #sessions = new Set<SessionWatcher>();
  readonly #dirty = new Set<FileWatcher | SessionWatcher>();
  #scheduled = false;

  constructor(engine: Engine) {
    engine.watch((applied) => this.#onApplied(applied));
  }

  addFile(watcher: FileWatcher): () => void {
    const key = fileKey(watcher.group_id, watcher.file_name);
    const watchers = this.#files.get(key) ?? new Set();
    this.#files.set(key, watchers.add(watcher));
    return () => {
      watchers.delete(watcher);
      this.#dirty.delete(watcher);
      if (watchers.size === 0 && this.#files.get(key) === watchers) this.#files.delete(key);
    };
  }

  addSession(watcher: SessionWatcher): () => void {
    this.#sessions.add(watcher);
    return () => {
      this.#sessions.delete(watcher);
      this.#dirty.delete(watcher);
    };
  }

  /** The cluster has other members now. */
  membersChanged(): void {
    for (const watcher of this.#sessions) {
      watcher.membersChanged();
      this.#touch(watcher);
    }
  }

  /** What a daemon has of a file that it shares is more or less than before. */
  availabilityChanged(groupId: string, fileName: string, daemon: { fingerprint: string; user: { id: string } }): void {
    for (const watcher of this.#files.get(fileKey(groupId, fileName)) ?? []) {
      watcher.daemonChanged(daemon.fingerprint, daemon.user.id);
      this.#touch(watcher);
    }
  }

  #onApplied(applied: Applied | null): void {
    if (!applied) {
      for (const watcher of this.#all()) {
        watcher.reset();
        this.#touch(watcher);
      }
      return;
    }
    const { events } = applied;
    if (events.length === 0 || (this.#files.size === 0 && this.#sessions.size === 0)) return;
    const areMany = events.length > NEWS_ROWS_MAX;
    if (areMany) this.#onManyRemoved(events);
    for (const event of events) this.#route(event, areMany);
  }

  /** Someone with very many files left: to tell every daemon of each file would take the product of both. */
  #onManyRemoved(events: readonly StateEvent[]): void {
    const groups = new Set<string>();
    for (const event of events) if (event.type === 'file_removed') groups.add(event.group_id);
    for (const watcher of this.#sessions) {
      watcher.onManyRemoved(groups);
      this.#touch(watcher);
    }
  }

  #route(event: StateEvent, areManyRemoved: boolean): void {
    const isTold = areManyRemoved && event.type === 'file_removed';
    if (IS_SESSION_NEWS.has(event.type) && !isTold) {
      for (const watcher of this.#sessions) {
        watcher.onEvent(event);
        this.#touch(watcher);
      }
    }
    switch (event.type) {
      case 'share_started':
      case 'share_completed':
      case 'share_stopped':
        for (const watcher of this.#files.get(fileKey(event.group_id, event.file_name)) ?? []) {
          watcher.daemonChanged(event.fingerprint, event.user_id);
          this.#touch(watcher);
        }
        return;
      case 'daemon_online':
      case 'daemon_offline':
        for (const watcher of this.#fileWatchers()) {
          watcher.daemonChanged(event.fingerprint, event.user_id);
          this.#touch(watcher);
        }
        return;
      case 'session_ended':
        for (const watcher of this.#fileWatchers()) this.#touch(watcher);
        return;
      case 'file_removed':
        for (const watcher of this.#files.get(fileKey(event.group_id, event.file_name)) ?? []) {
          watcher.fileRemoved();
          this.#touch(watcher);
        }
        return;
      case 'member_left':
        for (const watcher of this.#fileWatchers()) {
          if (watcher.group_id !== event.group_id) continue;
          watcher.memberLeft(event.user_id);
          this.#touch(watcher);
        }
        return;
      case 'group_ended':
        for (const watcher of this.#fileWatchers()) {
          if (watcher.group_id !== event.group_id) continue;
          watcher.fileRemoved();
          this.#touch(watcher);
        }
        return;
      default:
        return;
    }
  }

  *#fileWatchers(): Generator<FileWatcher> {
    for (const watchers of this.#files.values()) yield* watchers;
  }

  *#all(): Generator<FileWatcher | SessionWatcher> {
    yield* this.#fileWatchers();
    yield* this.#sessions;
  }

  /** News of one turn leave as one event each. */
  #touch(watcher: FileWatcher | SessionWatcher): void {
    this.#dirty.add(watcher);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#deliver());
  }

  /** So many in one turn of the loop; the others in the next, so that a crowd of watchers keeps nobody waiting. */
  #deliver(): void {
    this.#scheduled = false;
    const endsAtMs = performance.now() + DELIVERY_MS_MAX;
    for (const watcher of this.#dirty) {
      if (performance.now() > endsAtMs) return this.#touch(watcher);
      this.#dirty.delete(watcher);
      watcher.deliver();
    }
  }
}

const IS_SESSION_NEWS: ReadonlySet<StateEvent['type']> = new Set([
  'group_created',
  'member_joined',
  'member_left',
  'session_ended',
  'file_removed',
]);

function fileKey(groupId: string, fileName: string): string {
  return `${groupId}/${fileName}`;
}
