// News of one file: a crowd that comes at once fits a frame, and a file that leaves takes everybody along.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ServerContext } from '../../cluster/node/server/context.ts';
import { watchFile } from '../../cluster/node/server/watch-file.ts';
import type { FileWatcher } from '../../cluster/node/server/watch-hub.ts';
import { PEERS_TOLD_MAX } from '../../codec/limits.ts';
import type { CallContext, EventOf } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { fingerprintOf, ok, World } from '../state/world.ts';

type News = EventOf<TrackerApi, 'watch_file'>;
const F = { group_id: 'g', file_name: 'f' };
const test = suite('watch file');

/** The stream of the user's daemon, and what it says; it is told by hand what changed. */
async function watch(world: World, user: string) {
  const news: News[] = [];
  const added: FileWatcher[] = [];
  const addFile = (watcher: FileWatcher) => {
    added.push(watcher);
    return () => {};
  };
  const context = {
    state: () => world.state,
    engine: { readBarrier: async () => {} },
    budgets: { streams: { enter: () => () => {} } },
    leases: { shortfallOf: () => null },
    watches: { addFile },
  } as unknown as ServerContext;
  const call = {
    emit: (event: News) => news.push(event) > 0,
    signal: new AbortController().signal,
    timeoutMs: 1_000,
  } as unknown as CallContext<News>;
  const { fingerprint, session } = world.actor(user);
  const caller = { fingerprint: fingerprint!, remote: '127.0.0.1' };
  const ended = watchFile(context, caller, { ...F, session: session! }, call);
  while (news.length === 0) await Promise.resolve();
  return { news, ended, watcher: added[0]! };
}

test('a crowd that comes at once is told of like the one that was there first', async () => {
  const users = Array.from({ length: PEERS_TOLD_MAX + 50 }, (_, i) => `user-${1000 + i}`);
  const world = new World().people(...users).group('g', users[0]!, ...users.slice(1));
  ok(world.share(users[0]!, 'g', 'f'));
  const { news, watcher } = await watch(world, users[1]!);
  const tell = (crowd: readonly string[]) => {
    for (const user of crowd) {
      ok(world.beginDownload(user, 'g', 'f'));
      watcher.daemonChanged(fingerprintOf(user), user);
    }
    watcher.deliver();
  };
  tell(users.slice(2, 5));
  tell(users.slice(5));
  assert.equal(
    news.map(({ reset, up }) => [reset, up.length]),
    [
      [true, 1],
      [false, 3],
      [true, PEERS_TOLD_MAX],
    ],
  );
});

test('a file that leaves is all that need be said', async () => {
  const world = new World().people('alice', 'bob').group('g', 'alice', 'bob');
  ok(world.share('alice', 'g', 'f'));
  const { news, watcher, ended } = await watch(world, 'bob');
  watcher.fileRemoved();
  watcher.deliver();
  await ended;
  assert.equal(news.at(-1), { index: world.index, reset: false, up: [], down: [], removed: true });
});

test.run();
