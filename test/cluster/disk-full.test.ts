import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, until } from './harness.ts';
import { LocalCluster } from './in-process.ts';

const SNAPSHOTS = { everyEntries: 100_000, entriesKept: 1_000 };
const MANY_PAGES = 1_000_000;
const test = suite('a full disk');

test('stops a lone tracker from taking commands; it goes on by itself when there is room', async () => {
  const cluster = await LocalCluster.start(1, SNAPSHOTS);
  try {
    const ann = await (await cluster.client(1)).signUp('ann');
    cluster.trackers.get(1)!.limitPages(1); // SQLite takes the present size as the limit
    let full = '';
    let made = 0;
    for (let i = 0; i < 500 && full === ''; i++) {
      const request = ann.nextRequest();
      const group_id = `group-${'x'.repeat(40)}-${i}`;
      const code = await codeOf(
        ann.call('create_group', { request, session: ann.session, group_id }, { timeoutMs: 400 }),
      );
      if (code === 'OK') made++;
      else full = code;
    }
    assert.ok(['DISK_FULL', 'OUTCOME_UNKNOWN', 'NO_QUORUM'].includes(full), `${full} after ${made}`);
    cluster.trackers.get(1)!.limitPages(MANY_PAGES);
    await until(
      'commands work again',
      async () => (await codeOf(ann.command('create_group', { group_id: 'after' }))) === 'OK',
    );
    const { groups } = await ann.read('list_groups', {});
    assert.ok(groups.length >= made + 1, 'nothing acknowledged was lost');
  } finally {
    await cluster.stop();
  }
});

test('of the leader: another tracker leads, and users notice a short pause only', async () => {
  const cluster = await LocalCluster.start(3, SNAPSHOTS);
  try {
    const ann = await (await cluster.client(2)).signUp('ann');
    const leaderOf = async () => (await ann.call('tracker_status', {})).leader;
    const first = (await until('a leader', leaderOf)) as number;
    cluster.trackers.get(first)!.limitPages(1);
    for (let i = 0; i < 300; i++) {
      const group_id = `group-${'x'.repeat(40)}-${i}`;
      assert.is(await codeOf(ann.command('create_group', { group_id })), 'OK', group_id);
    }
    const second = await until('another leader', leaderOf);
    assert.is.not(second, first);
    cluster.trackers.get(first)!.limitPages(MANY_PAGES);
    await until('the first one has caught up', async () => {
      const { trackers } = await ann.call('tracker_status', {});
      return trackers[first - 1]!.lag === 0;
    });
  } finally {
    await cluster.stop();
  }
});

test.run();
