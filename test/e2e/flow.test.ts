// The main job, from empty directories to three equal copies, and every listing on the way.
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';
import { until } from '../harness/until.ts';
import { inWorld } from '../harness/world.ts';

const MiB = 1 << 20;
const test = suite('flow');

test(
  'users, groups, requests, upload, download from one, download from both',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob, carol } = await world.people('alice', 'bob', 'carol');
    assert.equal(await alice.ok('whoami'), { user_id: 'alice' });

    await alice.ok('create_group', 'lab');
    await bob.ok('join_group', 'lab');
    await carol.ok('join_group', 'lab');
    const groups = { group_id: 'lab', owner: 'alice', members: 1 };
    assert.equal(await alice.ok('list_groups'), { groups: [{ ...groups, standing: 'owner' }] });
    assert.equal(await bob.ok('list_groups'), { groups: [{ ...groups, standing: 'requested' }] });
    const { requests } = await alice.ok<{ requests: { user_id: string; at: number }[] }>('list_requests', 'lab');
    assert.equal(requests.map(({ user_id }) => user_id).sort(), ['bob', 'carol']);
    assert.ok(requests.every(({ at }) => Math.abs(Date.now() - at) < 60_000));
    await alice.ok('accept_request', 'lab', 'bob');
    await alice.ok('accept_request', 'lab', 'carol');
    const { members } = await carol.ok<{ members: { user_id: string; owner: boolean; online: boolean }[] }>(
      'list_members',
      'lab',
    );
    assert.equal(
      members.sort((a, b) => (a.user_id < b.user_id ? -1 : 1)),
      ['alice', 'bob', 'carol'].map((user_id) => ({ user_id, owner: user_id === 'alice', online: true })),
    );

    const { path, sha1 } = alice.file('data.bin', 20 * MiB + 12_345);
    const uploaded = await alice.ok('upload_file', path, 'lab');
    assert.is(uploaded.sha1, sha1);
    assert.is(uploaded.size, 20 * MiB + 12_345);
    const listed = { file_name: 'data.bin', size: 20 * MiB + 12_345, sha1, piece_count: 321 };
    assert.equal(await bob.ok('list_files', 'lab'), { files: [{ ...listed, seeders: 1 }] });
    assert.equal(await bob.ok('list_file', 'lab'), { files: [{ ...listed, seeders: 1 }] }, 'the alias');

    const first = await bob.ok('download_file', 'lab', 'data.bin', bob.path('copy.bin'));
    assert.equal([first.sha1, first.state, first.destination], [sha1, 'complete', bob.path('copy.bin')]);
    assert.is(sha1Of(bob.path('copy.bin')), sha1);
    const { seeders } = await carol.ok<{ seeders: { user_id: string; complete: boolean; pieces: number }[] }>(
      'list_seeders',
      'lab',
      'data.bin',
    );
    assert.equal(seeders.map(({ user_id }) => user_id).sort(), ['alice', 'bob']);
    assert.ok(seeders.every(({ complete, pieces }) => complete && pieces === 321));

    // Slow enough that both must be used and are seen together, relative paths and a directory as the destination.
    await alice.ok('limits', '--up', '3M');
    await bob.ok('limits', '--up', '3M');
    const lines = (await carol.mt('download_file', 'lab', 'data.bin', '.', '--json', '--progress')).stdout
      .trim()
      .split('\n');
    const rows = lines.map(
      (line) => JSON.parse(line) as { state: string; peers: number; bytes_done: number; sha1?: string },
    );
    assert.is(rows.at(-1)!.state, 'complete');
    assert.is(rows.at(-1)!.sha1, sha1);
    assert.ok(
      rows.some(({ peers }) => peers === 2),
      `two peers at once: ${JSON.stringify(rows.slice(0, -1))}`,
    );
    assert.is(sha1Of(carol.path('data.bin')), sha1);
    assert.match((await carol.mt('show_downloads')).stdout, /^\[C\] \[lab\] data\.bin$/m);
    const { downloads } = await carol.ok<{ downloads: Record<string, unknown>[] }>('show_downloads');
    assert.is(downloads.length, 1);
    assert.equal(
      [downloads[0]!.state, downloads[0]!.bytes_done, downloads[0]!.size],
      ['complete', listed.size, listed.size],
    );
    const { shares } = await carol.ok<{ shares: unknown[] }>('show_shares');
    assert.equal(shares, [{ group_id: 'lab', file_name: 'data.bin', path: carol.path('data.bin'), state: 'shared' }]);

    for (const daemon of world.daemons) await daemon.program.stop();
    for (const tracker of world.trackers.values()) await tracker.stop();
  }),
);

test(
  'logout keeps a file listed with fewer seeders, login shares it again; the last stop_share takes it out of the group',
  inLab(['alice', 'bob'], async ({ alice, bob }) => {
    const { path, sha1 } = alice.file('f', 200_000);
    await alice.ok('upload_file', path, 'lab');
    await bob.ok('download_file', 'lab', 'f', 'copy');
    const seeders = async (who: typeof bob) =>
      (await who.ok<{ files: { seeders: number }[] }>('list_files', 'lab')).files.map((file) => file.seeders);
    assert.equal(await seeders(alice), [2]);
    await bob.ok('logout');
    assert.equal(await bob.ok('whoami'), { user_id: null });
    assert.equal(await seeders(alice), [1]);
    await bob.ok('login', 'bob', 'pw-bob');
    await until('it is shared again', async () => (await seeders(alice))[0] === 2);
    await alice.ok('logout');
    await bob.ok('logout');
    await alice.ok('login', 'alice', 'pw-alice');
    await until('only alice shares it', async () => (await seeders(alice))[0] === 1);
    await bob.ok('login', 'bob', 'pw-bob');
    for (const person of [alice, bob]) await person.ok('stop_share', 'lab', 'f');
    assert.equal(await seeders(alice), []);
    assert.equal([sha1Of(path), sha1Of(bob.path('copy'))], [sha1, sha1], 'the files on disk stay');
  }),
);

test(
  'ownership: accept, reject, ask again, remove, transfer, leave, end of a group',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob, carol } = await world.people('alice', 'bob', 'carol');
    await world.group('lab', alice, bob);
    await carol.ok('join_group', 'lab');
    await bob.fails('NOT_OWNER', 'accept_request', 'lab', 'carol');
    await alice.ok('reject_request', 'lab', 'carol');
    await carol.fails('NOT_MEMBER', 'list_files', 'lab');
    await carol.ok('join_group', 'lab');
    await carol.ok('leave_group', 'lab');
    assert.equal(await alice.ok('list_requests', 'lab'), { requests: [] }, 'withdrawn');
    await carol.ok('join_group', 'lab');
    await alice.ok('accept_request', 'lab', 'carol');

    const { path } = carol.file('c.bin', 100_000);
    await carol.ok('upload_file', path, 'lab');
    await alice.ok('remove_member', 'lab', 'carol');
    await carol.fails('NOT_MEMBER', 'list_files', 'lab');
    assert.equal(await bob.ok('list_files', 'lab'), { files: [] }, 'the shares of a removed member stop');

    await alice.ok('transfer_ownership', 'lab', 'bob');
    await alice.fails('NOT_OWNER', 'list_requests', 'lab');
    await bob.ok('leave_group', 'lab');
    const { groups } = await carol.ok<{ groups: { owner: string; members: number }[] }>('list_groups');
    assert.equal([groups[0]!.owner, groups[0]!.members], ['alice', 1], 'the longest-standing member owns');
    await alice.ok('leave_group', 'lab');
    assert.equal(await carol.ok('list_groups'), { groups: [] });
    await carol.ok('create_group', 'lab');
  }),
);

test(
  'two groups with the same file; the same content shared twice; other content under the same name',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob, carol } = await world.people('alice', 'bob', 'carol');
    await world.group('one', alice, bob);
    await world.group('two', alice, carol);
    const { path, sha1 } = alice.file('same.bin', 300_000);
    await alice.ok('upload_file', path, 'one');
    await alice.ok('upload_file', path, 'two');
    await bob.fails('NOT_MEMBER', 'download_file', 'two', 'same.bin', bob.path('x'));
    await bob.ok('download_file', 'one', 'same.bin', bob.path('same.bin'));
    await carol.ok('download_file', 'two', 'same.bin', carol.path('same.bin'));
    assert.equal([sha1Of(bob.path('same.bin')), sha1Of(carol.path('same.bin'))], [sha1, sha1]);
    const seeders = async (who: typeof bob, group: string) =>
      (await who.ok<{ files: { seeders: number }[] }>('list_files', group)).files.map((file) => file.seeders);
    assert.equal([await seeders(bob, 'one'), await seeders(carol, 'two')], [[2], [2]]);

    // Stopping in one group leaves the other alone.
    await alice.ok('stop_share', 'one', 'same.bin');
    assert.equal([await seeders(bob, 'one'), await seeders(carol, 'two')], [[1], [2]]);
    const again = await alice.ok('upload_file', path, 'one');
    assert.is(again.new_file, false, 'one more seeder of the same content');
    await alice.fails('ALREADY_SHARED', 'upload_file', path, 'one');
    const other = carol.path('other');
    await carol.ok('leave_group', 'two');
    await carol.ok('join_group', 'one');
    await alice.ok('accept_request', 'one', 'carol');
    const { path: different } = carol.file('other', 300_000, 'another seed');
    assert.is(different, other);
    const renamed = carol.path('dir');
    const { mkdirSync, renameSync } = await import('node:fs');
    mkdirSync(renamed);
    renameSync(other, carol.path('dir', 'same.bin'));
    await carol.fails('FILE_EXISTS', 'upload_file', carol.path('dir', 'same.bin'), 'one');
    assert.equal(readFileSync(carol.path('dir', 'same.bin')).length, 300_000);
  }),
);

test.run();
