// News of one turn that are larger than a frame: told in parts, and no reason for a tracker to end.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeManifest } from '../../codec/manifest.ts';
import type { EventOf } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { TestCluster, until } from './harness.ts';

const FILES = 2_500;
const cluster = await TestCluster.make(1);
await cluster.start();
const test = suite('news larger than a frame');
test.after(() => cluster.stop());

test('a member who leaves with thousands of files: everybody else hears of each, and the tracker lives', async () => {
  const ann = await (await cluster.client(1)).signUp('ann');
  const bob = await (await cluster.client(1)).signUp('bob');
  await ann.command('create_group', { group_id: 'lab' });
  await bob.command('join_group', { group_id: 'lab' });
  await ann.command('accept_request', { group_id: 'lab', user_id: 'bob' });
  const rows = Buffer.alloc(52, 1);
  const manifest = encodeManifest({ size: 10, pieceSize: 65_536, pieceCount: 1, sha1: Buffer.alloc(20, 1), rows });
  const names = Array.from({ length: FILES }, (_, i) => `${'long'.repeat(50)} ${i}`);
  for (let at = 0; at < names.length; at += 200) {
    await Promise.all(
      names.slice(at, at + 200).map((file_name) => bob.command('share_file', { group_id: 'lab', file_name, manifest })),
    );
  }
  const removed = new Set<string>();
  const onEvent = (news: EventOf<TrackerApi, 'watch_session'>) => {
    for (const { file_name } of news.removed_files) removed.add(file_name);
  };
  ann.call('watch_session', { session: ann.session }, { timeoutMs: 0, onEvent }).catch(() => {});
  await ann.read('list_groups', {});
  await bob.command('leave_group', { group_id: 'lab' }).catch(() => {}); // the tracker's own end is what is looked for
  await until('every removal was told', () => removed.size === FILES || cluster.tracker(1).process?.exitCode != null);
  assert.is(cluster.tracker(1).process?.exitCode, null, cluster.tracker(1).stderr.slice(-1_500));
  assert.is(removed.size, FILES);
});

test.run();
