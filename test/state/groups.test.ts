import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { groupEpoch, groupsOf } from '../../cluster/state/lookups.ts';
import { listFiles, listGroups, listMembers, listRequests } from '../../cluster/state/queries.ts';
import type { Payloads } from '../../cluster/state/types.ts';
import type { ErrorCode } from '../../codec/errors.ts';
import { ok, refused, told, World } from './world.ts';

const ALL = { after: null, limit: 1000 };
const G = { group_id: 'g' };
const test = suite('cluster/state groups');

/** A group of alice with bob and carol; dave has asked; eve is a stranger. */
function team(): World {
  const world = new World().people('alice', 'bob', 'carol', 'dave', 'eve').group('g', 'alice', 'bob', 'carol');
  ok(world.run('dave', 'join_group', G));
  return world;
}
const membersOf = (world: World, by: string) =>
  listMembers(world.state, world.actor(by), { ...G, ...ALL }).members.map(({ user_id, owner }) =>
    owner ? `${user_id}*` : user_id,
  );

type GroupCommand = 'create_group' | 'join_group' | 'leave_group';
type MemberCommand = 'accept_request' | 'reject_request' | 'remove_member' | 'transfer_ownership';

const GROUP_ERRORS: [GroupCommand, by: string, group: string, ErrorCode][] = [
  ['create_group', 'eve', 'g', 'GROUP_EXISTS'],
  ['create_group', 'alice', 'g', 'GROUP_EXISTS'],
  ['join_group', 'eve', 'none', 'NO_SUCH_GROUP'],
  ['join_group', 'bob', 'g', 'ALREADY_MEMBER'],
  ['join_group', 'alice', 'g', 'ALREADY_MEMBER'],
  ['join_group', 'dave', 'g', 'ALREADY_REQUESTED'],
  ['leave_group', 'eve', 'none', 'NO_SUCH_GROUP'],
  ['leave_group', 'eve', 'g', 'NOT_MEMBER'],
];
for (const [type, by, group_id, code] of GROUP_ERRORS) {
  test(`${type} ${group_id} by ${by}: ${code}`, () => {
    const world = team();
    refused(world.run(by, type, { group_id } satisfies Payloads['join_group']), code);
  });
}

const MEMBER_ERRORS: [MemberCommand, by: string, group: string, user: string, ErrorCode][] = [
  ['accept_request', 'alice', 'none', 'dave', 'NO_SUCH_GROUP'],
  ['accept_request', 'bob', 'g', 'dave', 'NOT_OWNER'],
  ['accept_request', 'dave', 'g', 'dave', 'NOT_OWNER'],
  ['accept_request', 'eve', 'g', 'dave', 'NOT_OWNER'],
  ['accept_request', 'alice', 'g', 'eve', 'NO_SUCH_REQUEST'],
  ['accept_request', 'alice', 'g', 'bob', 'NO_SUCH_REQUEST'],
  ['accept_request', 'alice', 'g', 'nobody', 'NO_SUCH_REQUEST'],
  ['reject_request', 'alice', 'none', 'dave', 'NO_SUCH_GROUP'],
  ['reject_request', 'bob', 'g', 'dave', 'NOT_OWNER'],
  ['reject_request', 'alice', 'g', 'eve', 'NO_SUCH_REQUEST'],
  ['remove_member', 'alice', 'none', 'bob', 'NO_SUCH_GROUP'],
  ['remove_member', 'bob', 'g', 'carol', 'NOT_OWNER'],
  ['remove_member', 'bob', 'g', 'bob', 'NOT_OWNER'],
  ['remove_member', 'alice', 'g', 'eve', 'NO_SUCH_MEMBER'],
  ['remove_member', 'alice', 'g', 'dave', 'NO_SUCH_MEMBER'],
  ['remove_member', 'alice', 'g', 'alice', 'INVALID_ARGUMENT'],
  ['transfer_ownership', 'alice', 'none', 'bob', 'NO_SUCH_GROUP'],
  ['transfer_ownership', 'bob', 'g', 'bob', 'NOT_OWNER'],
  ['transfer_ownership', 'alice', 'g', 'eve', 'NO_SUCH_MEMBER'],
  ['transfer_ownership', 'alice', 'g', 'dave', 'NO_SUCH_MEMBER'],
  ['transfer_ownership', 'alice', 'g', 'alice', 'INVALID_ARGUMENT'],
];
for (const [type, by, group_id, user_id, code] of MEMBER_ERRORS) {
  test(`${type} ${group_id} ${user_id} by ${by}: ${code}`, () => {
    const world = team();
    const { reply } = refused(world.run(by, type, { group_id, user_id }), code);
    assert.ok(!reply.ok && reply.error.message.length > 10);
    assert.equal(membersOf(world, 'alice'), ['alice*', 'bob', 'carol']);
  });
}

test('a request is accepted by the owner', () => {
  const world = team();
  assert.equal(listRequests(world.state, world.actor('alice'), { ...G, ...ALL }), {
    requests: [{ user_id: 'dave', at: world.at }],
    next: null,
  });
  assert.equal(told(ok(world.run('alice', 'accept_request', { ...G, user_id: 'dave' }))), ['member_joined g dave']);
  assert.equal(membersOf(world, 'dave'), ['alice*', 'bob', 'carol', 'dave']);
  assert.is(listRequests(world.state, world.actor('alice'), { ...G, ...ALL }).requests.length, 0);
});

test('a rejected user may ask again', () => {
  const world = team();
  assert.equal(told(ok(world.run('alice', 'reject_request', { ...G, user_id: 'dave' }))), ['request_rejected g dave']);
  assert.equal(told(ok(world.run('dave', 'join_group', G))), ['join_requested g dave']);
});

test('leaving withdraws a pending request and bumps nothing', () => {
  const world = team();
  const epoch = groupEpoch(world.state, 'g');
  assert.equal(told(ok(world.run('dave', 'leave_group', G))), ['request_withdrawn g dave']);
  assert.is(groupEpoch(world.state, 'g'), epoch);
  refused(world.run('alice', 'accept_request', { ...G, user_id: 'dave' }), 'NO_SUCH_REQUEST');
});

test('when the owner leaves, the longest-standing member owns', () => {
  const world = new World().people('zoe', 'yan', 'abe').group('g', 'zoe', 'yan', 'abe');
  assert.equal(told(ok(world.run('zoe', 'leave_group', G))), ['member_left g zoe', 'owner_changed g yan']);
  // Coming back puts one at the end of the line.
  ok(world.run('zoe', 'join_group', G));
  ok(world.run('yan', 'accept_request', { ...G, user_id: 'zoe' }));
  ok(world.run('yan', 'leave_group', G));
  assert.equal(membersOf(world, 'abe'), ['abe*', 'zoe']);
});

test('when the last member leaves, the group ends, with its requests; its name is free', () => {
  const world = new World().people('alice', 'dave').group('g', 'alice');
  ok(world.run('dave', 'join_group', G));
  const epoch = groupEpoch(world.state, 'g');
  assert.equal(told(ok(world.run('alice', 'leave_group', G))), ['member_left g alice', 'group_ended g']);
  refused(world.run('dave', 'leave_group', G), 'NO_SUCH_GROUP');
  ok(world.run('dave', 'create_group', G));
  assert.equal(membersOf(world, 'dave'), ['dave*']);
  assert.ok(groupEpoch(world.state, 'g') > epoch, 'a ticket of the old group is older');
});

test('removal and leaving bump the epoch, ownership does not', () => {
  const world = team();
  let epoch = groupEpoch(world.state, 'g');
  const bumped = () => {
    const before = epoch;
    epoch = groupEpoch(world.state, 'g');
    return epoch > before;
  };
  ok(world.run('alice', 'transfer_ownership', { ...G, user_id: 'bob' }));
  assert.not(bumped());
  const applied = ok(world.run('bob', 'remove_member', { ...G, user_id: 'alice' }));
  assert.ok(bumped());
  assert.equal(applied.events, [{ type: 'member_left', group_id: 'g', user_id: 'alice', removed: true, epoch }]);
  assert.is(applied.by, 'bob');
  ok(world.run('carol', 'leave_group', G));
  assert.ok(bumped());
  assert.equal([...groupsOf(world.state, 'bob')], [{ group_id: 'g', epoch }]);
  assert.equal([...groupsOf(world.state, 'carol')], []);
});

test("a leaver's shares there stop, on all daemons; elsewhere they go on", () => {
  const world = new World().people('alice', 'bob').group('g', 'alice', 'bob').group('h', 'bob');
  ok(world.login('bob', 'laptop'));
  ok(world.share('bob', 'g', 'shared'));
  ok(world.share('alice', 'g', 'shared'));
  ok(world.share('bob', 'g', 'only bob'));
  ok(world.share('laptop', 'g', 'only bob'));
  ok(world.share('laptop', 'g', 'laptop'));
  ok(world.beginDownload('bob', 'g', 'laptop'));
  ok(world.share('bob', 'h', 'elsewhere'));
  ok(world.run('laptop', 'logout', {}));
  const gone = told(ok(world.run('bob', 'leave_group', G)));
  assert.is(gone[0], 'member_left g bob');
  assert.equal(gone.slice(1).sort(), ['file_removed g laptop last_share', 'file_removed g only bob last_share']);
  const names = (by: string, group_id: string) =>
    listFiles(world.state, world.actor(by), { group_id, ...ALL }).files.map((file) => file.file_name);
  assert.equal(names('alice', 'g'), ['shared']);
  assert.equal(names('bob', 'h'), ['elsewhere']);
  assert.is(world.state.shareCount, 2);
});

test('list_groups shows everyone their standing, in pages', () => {
  const world = team();
  ok(world.run('eve', 'create_group', { group_id: 'a' }));
  ok(world.run('eve', 'create_group', { group_id: 'z' }));
  const standing = (by: string) => listGroups(world.state, world.actor(by), { after: 'a', limit: 1 });
  const row = { group_id: 'g', owner: 'alice', members: 3 };
  assert.equal(standing('alice'), { groups: [{ ...row, standing: 'owner' }], next: 'g' });
  assert.equal(standing('bob'), { groups: [{ ...row, standing: 'member' }], next: 'g' });
  assert.equal(standing('dave'), { groups: [{ ...row, standing: 'requested' }], next: 'g' });
  assert.equal(standing('eve'), { groups: [{ ...row, standing: 'none' }], next: 'g' });
  assert.equal(
    listGroups(world.state, world.actor('eve'), { after: 'g', limit: 2 }).groups.map(({ group_id }) => group_id),
    ['z'],
  );
});

test('reads check who asks', () => {
  const world = team();
  const codeOf = (read: () => unknown): string => {
    try {
      read();
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const as = (by: string) => world.actor(by);
  const nobody = { fingerprint: null, session: null };
  assert.is(
    codeOf(() => listGroups(world.state, nobody, ALL)),
    'NOT_LOGGED_IN',
  );
  assert.is(
    codeOf(() => listMembers(world.state, as('eve'), { ...G, ...ALL })),
    'NOT_MEMBER',
  );
  assert.is(
    codeOf(() => listMembers(world.state, as('dave'), { ...G, ...ALL })),
    'NOT_MEMBER',
  );
  assert.is(
    codeOf(() => listMembers(world.state, as('bob'), { group_id: 'none', ...ALL })),
    'NO_SUCH_GROUP',
  );
  assert.is(
    codeOf(() => listRequests(world.state, as('bob'), { ...G, ...ALL })),
    'NOT_OWNER',
  );
  assert.is(
    codeOf(() => listRequests(world.state, as('alice'), { group_id: 'none', ...ALL })),
    'NO_SUCH_GROUP',
  );
  assert.is(
    codeOf(() => listFiles(world.state, as('eve'), { ...G, ...ALL })),
    'NOT_MEMBER',
  );
});

test('limits of groups a user may own', () => {
  const world = new World().people('alice', 'bob').group('g', 'alice', 'bob');
  assert.equal(told(world.runCluster('set_limits', { groups_per_user: 1, files_per_user: 5 })), ['limits_changed']);
  refused(world.run('alice', 'create_group', { group_id: 'h' }), 'FORBIDDEN');
  ok(world.run('bob', 'create_group', { group_id: 'h' }));
  refused(world.run('alice', 'transfer_ownership', { ...G, user_id: 'bob' }), 'FORBIDDEN');
  ok(world.run('alice', 'leave_group', G));
  ok(world.run('alice', 'create_group', { group_id: 'i' }));
});

test.run();
