// The watch_session stream: what a logged-in daemon must hear at once. Who was cut off, which epochs grew, which files and groups
// are gone, whether its own session ended, who the trackers are.
import type { MtError } from '../../../codec/errors.ts';
import { PAGE_ITEMS_MAX } from '../../../codec/limits.ts';
import type { CallContext, EventOf } from '../../../codec/rpc.ts';
import type { TrackerApi } from '../../../codec/tracker-rpc.ts';
import { requireSession } from '../../state/guards.ts';
import { groupsOf, isMember, sessionInfo } from '../../state/lookups.ts';
import type { Actor, StateEvent } from '../../state/types.ts';
import { NEWS_ROWS_MAX } from '../settings.ts';
import type { Handler, ServerContext } from './context.ts';
import type { SessionWatcher } from './watch-hub.ts';
import { type EndStream, runStream, tooSlow } from './watch-stream.ts';

type News = EventOf<TrackerApi, 'watch_session'>;
type OfFile = News['removed_files'][number];

class SessionStream implements SessionWatcher {
  readonly #context: ServerContext;
  readonly #actor: Actor;
  readonly #userId: string;
  readonly #call: CallContext<News>;
  readonly #end: EndStream;
  #news: News | null = null;
  #fresh = true;

  constructor(context: ServerContext, actor: Actor, call: CallContext<News>, end: EndStream) {
    this.#context = context;
    this.#actor = actor;
    this.#userId = requireSession(context.state(), actor).daemon.user.id;
    this.#call = call;
    this.#end = end;
  }

  onEvent(event: StateEvent): void {
    if (this.#fresh) return; // everything is told anyway
    switch (event.type) {
      case 'group_created':
      case 'member_joined':
        if (event.user_id === this.#userId) this.#addEpoch(event.group_id);
        return;
      case 'member_left':
        this.#memberLeft(event.group_id, event.user_id);
        return;
      case 'file_removed':
        if (this.#isIn(event.group_id)) this.#fileRemoved(event);
        return;
      case 'session_ended':
        this.#sessionEnded(event.user_id, event.fingerprint, event.reason === 'renewed');
        return;
      default:
        return;
    }
  }

  onManyRemoved(groupIds: ReadonlySet<string>): void {
    for (const groupId of groupIds) if (this.#isIn(groupId)) this.reset();
  }

  reset(): void {
    this.#fresh = true;
    this.#news = null;
  }

  membersChanged(): void {
    this.#draft().trackers = this.#context.members();
  }

  deliver(): void {
    try {
      this.#sendNews();
    } catch (error) {
      this.#end(error as MtError);
    }
  }

  #sendNews(): void {
    const state = this.#context.state();
    const isOver = sessionInfo(state, this.#actor) === null;
    const news = this.#fresh ? blank() : (this.#news ?? (isOver ? blank() : null));
    if (!news) return;
    if (this.#fresh) {
      news.reset = true;
      news.epochs = [...groupsOf(state, this.#userId)];
      news.trackers = this.#context.members();
    }
    this.#fresh = false;
    this.#news = null;
    news.index = state.index;
    news.session_ended = isOver;
    let keptUp = true;
    for (const part of inParts(news)) keptUp = this.#call.emit(part);
    if (isOver) this.#end(null);
    else if (!keptUp) this.#end(tooSlow());
  }

  /** Every watcher of the group keeps the same row until its turn comes; beyond some thousands it is told to look for itself. */
  #fileRemoved(row: OfFile): void {
    const { removed_files } = this.#draft();
    if (removed_files.length >= NEWS_ROWS_MAX) this.reset();
    else removed_files.push(row);
  }

  /** The leaver's transfers end; so do its own daemons' shares there. Everyone's tickets of the group are of an old epoch now. */
  #memberLeft(groupId: string, userId: string): void {
    if (userId === this.#userId) this.#draft().left_groups.push(groupId);
    else if (!this.#isIn(groupId)) return;
    else this.#addEpoch(groupId);
    this.#draft().revoked.push({ user_id: userId, fingerprint: null, group_id: groupId });
  }

  /** A login that renewed the session goes on under the same key; nothing is cut. */
  #sessionEnded(userId: string, fingerprint: string, renewed: boolean): void {
    if (renewed || (userId !== this.#userId && !this.#sharesGroupWith(userId))) return;
    this.#draft().revoked.push({ user_id: userId, fingerprint, group_id: null });
  }

  #addEpoch(groupId: string): void {
    const epoch = this.#context.state().groups.get(groupId)?.epoch;
    if (epoch !== undefined) this.#draft().epochs.push({ group_id: groupId, epoch });
  }

  #isIn(groupId: string): boolean {
    return isMember(this.#context.state(), groupId, this.#userId);
  }

  #sharesGroupWith(userId: string): boolean {
    for (const { group_id } of groupsOf(this.#context.state(), userId)) if (this.#isIn(group_id)) return true;
    return false;
  }

  #draft(): News {
    this.#news ??= blank();
    return this.#news;
  }
}

function blank(): News {
  return {
    index: 0,
    reset: false,
    epochs: [],
    revoked: [],
    removed_files: [],
    left_groups: [],
    session_ended: false,
    trackers: null,
  };
}

/** A frame holds so many rows however long their names are: what is more follows in further events, the session's end in the last. */
function* inParts(news: News): Generator<News> {
  const rest = { ...news, session_ended: false };
  let isMore = true;
  while (isMore) {
    let room = PAGE_ITEMS_MAX;
    const take = <T>(rows: T[]): [taken: T[], left: T[]] => {
      const taken = rows.slice(0, room);
      room -= taken.length;
      return [taken, rows.slice(taken.length)];
    };
    const part = { ...rest };
    [part.epochs, rest.epochs] = take(rest.epochs);
    [part.revoked, rest.revoked] = take(rest.revoked);
    [part.removed_files, rest.removed_files] = take(rest.removed_files);
    part.removed_files = part.removed_files.map(({ group_id, file_name }) => ({ group_id, file_name }));
    [part.left_groups, rest.left_groups] = take(rest.left_groups);
    rest.trackers = null;
    isMore = rest.epochs.length + rest.revoked.length + rest.removed_files.length + rest.left_groups.length > 0;
    yield isMore ? part : { ...part, session_ended: news.session_ended };
  }
}

export const watchSession: Handler<'watch_session'> = async (context, caller, params, call) => {
  const actor = { fingerprint: caller.fingerprint, session: params.session };
  return runStream(context, caller, call, (end) => {
    const stream = new SessionStream(context, actor, call, end);
    return { deliver: () => stream.deliver(), stop: context.watches.addSession(stream) };
  });
};
