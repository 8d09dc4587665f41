// Routing of news to streams: what one command makes many streams name is bounded, and a crowd of streams is told in turns of the loop.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Engine } from '../../cluster/node/engine.ts';
import { WatchHub } from '../../cluster/node/server/watch-hub.ts';
import { DELIVERY_MS_MAX, NEWS_ROWS_MAX } from '../../cluster/node/settings.ts';
import type { Applied, StateEvent } from '../../cluster/state/types.ts';
import { until } from './harness.ts';

const test = suite('watch hub');

function hub() {
  let tell: (applied: Applied | null) => void = () => {};
  const engine: Pick<Engine, 'watch'> = {
    watch: (listener) => {
      tell = listener;
      return () => {};
    },
  };
  const watches = new WatchHub(engine as Engine);
  const apply = (events: StateEvent[]) =>
    tell({ index: 1, at: 1, by: null, reply: { ok: true, result: {} }, events, repeated: false } as Applied);
  return { watches, apply };
}

function leave(fileCount: number): StateEvent[] {
  const manifest_hash = new Uint8Array(32);
  const removed = Array.from(
    { length: fileCount },
    (_, i): StateEvent => ({
      type: 'file_removed',
      group_id: 'lab',
      file_name: `${i}`,
      reason: 'last_share',
      manifest_hash,
    }),
  );
  return [{ type: 'member_left', group_id: 'lab', user_id: 'bob', removed: false, epoch: 1 }, ...removed];
}

test('files that left are named one by one, very many of one command as their group', () => {
  for (const [files, told] of [
    [10, ['member_left', ...Array.from({ length: 10 }, () => 'file_removed')]],
    [NEWS_ROWS_MAX, ['many of lab', 'member_left']],
  ] as const) {
    const { watches, apply } = hub();
    const heard: string[] = [];
    watches.addSession({
      onEvent: ({ type }) => heard.push(type),
      onManyRemoved: (groups) => heard.push(`many of ${[...groups]}`),
      reset: () => {},
      membersChanged: () => {},
      deliver: () => {},
    });
    apply(leave(files));
    assert.equal(heard, told);
  }
});

test('a crowd is told over several turns of the event loop', async () => {
  const { watches, apply } = hub();
  let [turn, told] = [0, 0];
  const turns = new Set<number>();
  const deliver = () => {
    told++;
    turns.add(turn);
    for (const endsAtMs = performance.now() + 2 * DELIVERY_MS_MAX; performance.now() < endsAtMs; );
  };
  const nothing = () => {};
  for (let i = 0; i < 5; i++) {
    watches.addSession({ onEvent: nothing, onManyRemoved: nothing, reset: nothing, membersChanged: nothing, deliver });
  }
  const count = () => {
    turn++;
    if (told < 5) setImmediate(count);
  };
  count();
  apply(leave(0));
  await until('all were told', () => told === 5);
  assert.is(turns.size, 5);
});

test.run();
