// The watch_file stream: who can be asked for one file. First everyone, then who came and who went. Ends when the file leaves the
// group, with an error when the watcher may no longer see it or does not keep up.
import { MtError } from '../../../codec/errors.ts';
import { PEERS_TOLD_MAX } from '../../../codec/limits.ts';
import type { CallContext, EventOf } from '../../../codec/rpc.ts';
import type { PeerInfo, TrackerApi } from '../../../codec/tracker-rpc.ts';
import { isMember, peerOf, sessionInfo } from '../../state/lookups.ts';
import { locateFile } from '../../state/queries.ts';
import type { Actor } from '../../state/types.ts';
import type { Handler, ServerContext } from './context.ts';
import type { FileWatcher } from './watch-hub.ts';
import { type EndStream, runStream, tooSlow } from './watch-stream.ts';

type News = EventOf<TrackerApi, 'watch_file'>;
interface OfFile {
  readonly group_id: string;
  readonly file_name: string;
}

class FileStream implements FileWatcher {
  readonly group_id: string;
  readonly file_name: string;
  readonly #context: ServerContext;
  readonly #actor: Actor;
  readonly #call: CallContext<News>;
  readonly #end: EndStream;
  /** Who the watcher believes to be there, with their user. */
  readonly #known = new Map<string, string>();
  /** Daemons to look at again, with their user. */
  #changed = new Map<string, string>();
  #removed = false;
  #fresh = true;

  constructor(
    context: ServerContext,
    actor: Actor,
    { group_id, file_name }: OfFile,
    call: CallContext<News>,
    end: EndStream,
  ) {
    this.#context = context;
    this.#actor = actor;
    this.group_id = group_id;
    this.file_name = file_name;
    this.#call = call;
    this.#end = end;
  }

  daemonChanged(fingerprint: string, userId: string): void {
    if (fingerprint !== this.#actor.fingerprint) this.#changed.set(fingerprint, userId);
  }

  memberLeft(userId: string): void {
    for (const [fingerprint, user] of this.#known) if (user === userId) this.#changed.set(fingerprint, userId);
  }

  fileRemoved(): void {
    this.#removed = true;
  }

  reset(): void {
    this.#fresh = true;
  }

  deliver(): void {
    try {
      if (this.#fresh) this.#sendAll();
      else this.#sendChanges();
    } catch (error) {
      this.#end(error as MtError);
    }
  }

  #sendAll(): void {
    this.#fresh = false;
    this.#changed = new Map();
    const state = this.#context.state();
    const { peers } = locateFile(state, this.#actor, this, this.#context.leases.shortfallOf);
    this.#known.clear();
    for (const peer of peers) this.#known.set(peer.fingerprint, peer.user_id);
    this.#emit({ index: state.index, reset: true, up: peers, down: [], removed: false });
  }

  #sendChanges(): void {
    const state = this.#context.state();
    const { index } = state;
    const own = sessionInfo(state, this.#actor);
    if (!own) throw new MtError('NOT_LOGGED_IN', 'This daemon is not logged in', 'Run: mt login <user_id>');
    if (this.#removed) {
      this.#emit({ index, reset: false, up: [], down: [], removed: true });
      this.#end(null);
      return;
    }
    if (!isMember(state, this.group_id, own.user_id)) {
      throw new MtError('NOT_MEMBER', `You are no longer a member of "${this.group_id}"`);
    }
    // A crowd that comes or goes at once would not fit a frame, and is told of like the crowd that was there first.
    if (this.#changed.size > PEERS_TOLD_MAX) return this.#sendAll();
    const up: PeerInfo[] = [];
    const down: string[] = [];
    for (const [fingerprint, user_id] of this.#changed) {
      const { group_id, file_name } = this;
      const key = { group_id, file_name, user_id, fingerprint };
      const peer = peerOf(state, key, this.#context.leases.shortfallOf);
      if (peer) {
        up.push(peer);
        this.#known.set(fingerprint, user_id);
      } else if (this.#known.delete(fingerprint)) {
        down.push(fingerprint);
      }
    }
    this.#changed = new Map();
    if (up.length > 0 || down.length > 0) this.#emit({ index, reset: false, up, down, removed: false });
  }

  #emit(news: News): void {
    if (!this.#call.emit(news)) this.#end(tooSlow());
  }
}

export const watchFile: Handler<'watch_file'> = async (context, caller, params, call) => {
  const actor = { fingerprint: caller.fingerprint, session: params.session };
  return runStream(context, caller, call, (end) => {
    const stream = new FileStream(context, actor, params, call, end);
    return { deliver: () => stream.deliver(), stop: context.watches.addFile(stream) };
  });
};
