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
        ann.call('create_group', { request, session: ann.session, group_id }, { timeoutMs: 2_000 }),
      );
      if (code === 'OK') made++;
      else full = code;
    }
    assert.ok(['DISK_FULL', 'OUTCOME_UNKNOWN'].includes(full), `${full} after ${made}`);
    assert.is(await codeOf(ann.command('create_group', { group_id: 'no-room' })), 'DISK_FULL');
    assert.ok((await ann.read('list_groups', {})).groups.length >= made, 'reads are served');
    const [row] = (await ann.call('tracker_status', {})).trackers;
    assert.match(row!.note ?? '', /disk is full/);
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
    const first = await until('a leader', () => [1, 2, 3].find((n) => cluster.trackers.get(n)!.engine?.isLeader));
    const ann = await (await cluster.client((first % 3) + 1)).signUp('ann');
    const stays = await cluster.client(first);
    const leaderOf = async () => (await ann.call('tracker_status', {})).leader;
    cluster.trackers.get(first)!.limitPages(1);
    for (let i = 0; i < 300; i++) {
      const group_id = `group-${'x'.repeat(40)}-${i}`;
      assert.is(await codeOf(ann.command('create_group', { group_id })), 'OK', group_id);
    }
    const second = await until('another leader', leaderOf);
    assert.is.not(second, first);
    const full = (await ann.call('tracker_status', {})).trackers[first - 1]!;
    assert.match(full.note ?? '', /disk is full/);
    // It cannot know what is new: whoever asks it is sent to the others.
    await until('its daemons are sent away', () => stays.rpc.duplex.destroyed);
    assert.is(await codeOf(cluster.client(first)), 'CLOSED');
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
