import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, isMtError, MtError } from '../../codec/errors.ts';
import { fingerprintOf, makeClusterKeyPem, makeDaemonIdentity, parseClusterKeyPem } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import type { Handlers } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { SettingsStore } from '../../daemon/store/settings-store.ts';
import { openStore } from '../../daemon/store/store.ts';
import { TrackerClient } from '../../daemon/tracker-client.ts';
import { ClusterTrust } from '../../daemon/trackers/trust.ts';
import { until } from '../harness/until.ts';
import { CLUSTER_KEY, ScriptedTracker } from './scripted-tracker.ts';

const test = suite('tracker-client');
const SESSION = 'a'.repeat(32);
const clusterFingerprint = fingerprintOf(parseClusterKeyPem(CLUSTER_KEY)[0]!);
const identity = await makeDaemonIdentity(Date.now());

let cleanups: (() => unknown)[] = [];
test.after.each(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

async function tracker(
  number: number,
  handlers: Partial<Handlers<TrackerApi>> = {},
  key?: string,
): Promise<ScriptedTracker> {
  const started = await ScriptedTracker.start(number, handlers, key);
  cleanups.push(() => started.stop());
  return started;
}

interface ClientOptions {
  pins?: string[];
  trustFirstUse?: boolean;
  directory?: string;
}

function client(addresses: Address[], options: ClientOptions = {}) {
  const directory = options.directory ?? temporary();
  const db = openStore(join(directory, 'store.sqlite'));
  const settings = new SettingsStore(db);
  const trust = new ClusterTrust(settings, options.pins ?? [clusterFingerprint], options.trustFirstUse ?? false);
  const made = new TrackerClient({ identity, trust, settings, addresses });
  made.setSession(SESSION);
  const close = async () => {
    await made.close();
    if (db.open) db.close();
  };
  cleanups.push(close);
  return { client: made, trust, settings, close };
}

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mt-client-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function failsWith(code: ErrorCode, work: Promise<unknown>): Promise<MtError> {
  try {
    await work;
  } catch (error) {
    assert.ok(isMtError(error), String(error));
    assert.is(error.code, code, error.message);
    return error;
  }
  throw new Error(`expected ${code}`);
}

const never = () => new Promise<never>(() => {});

test('a command goes over a broken link to another tracker under the same request id', async () => {
  const first = await tracker(1, { create_group: () => first.dropAll() as never });
  const second = await tracker(2, { create_group: () => ({}) });
  const { client: daemon } = client([first.address]);
  await until('connected', () => daemon.tracker?.number === 1);
  daemon.setMembers([{ number: 2, address: second.address }]);
  await daemon.command('create_group', { group_id: 'g' });
  assert.is(second.requests.length, 1);
  assert.equal(second.requests[0], first.requests[0]);
});

test('sequences count up, and what was answered is acknowledged', async () => {
  let release = () => {};
  const one = await tracker(1, {
    create_group: ({ group_id }) =>
      group_id === 'slow' ? new Promise((resolve) => (release = () => resolve({}))) : {},
  });
  const { client: daemon } = client([one.address]);
  const slow = daemon.command('create_group', { group_id: 'slow' });
  await until('the slow one is there', () => one.requests.length === 1);
  await daemon.command('create_group', { group_id: 'b' });
  release();
  await slow;
  await daemon.command('create_group', { group_id: 'c' });
  assert.equal(
    one.requests.map(({ seq, acked }) => [seq, acked]),
    [
      [1, 1],
      [2, 1],
      [3, 3],
    ],
  );
});

test('nobody there: TRACKER_UNREACHABLE at the deadline', async () => {
  const gone = await tracker(1);
  const { address } = gone;
  await gone.stop();
  const { client: daemon } = client([address]);
  const startedAt = performance.now();
  await failsWith('TRACKER_UNREACHABLE', daemon.command('create_group', { group_id: 'g' }, { timeoutMs: 300 }));
  assert.ok(performance.now() - startedAt >= 290);
});

test('no quorum anywhere: NO_QUORUM, after asking all', async () => {
  const refuse = () => {
    throw new MtError('NO_QUORUM', 'no majority');
  };
  const one = await tracker(1, { create_group: refuse });
  const two = await tracker(2, { create_group: refuse });
  const { client: daemon } = client([one.address, two.address]);
  await failsWith('NO_QUORUM', daemon.command('create_group', { group_id: 'g' }, { timeoutMs: 2_000 }));
  assert.ok(one.requests.length > 0);
  assert.ok(two.requests.length > 0);
});

test('sent and never answered: OUTCOME_UNKNOWN', async () => {
  const one = await tracker(1, { create_group: never });
  const { client: daemon } = client([one.address]);
  await until('connected', () => daemon.tracker !== null);
  await failsWith('OUTCOME_UNKNOWN', daemon.command('create_group', { group_id: 'g' }, { timeoutMs: 1_000 }));
});

test('a read that is never answered is NO_QUORUM: nothing can be unknown about it', async () => {
  const one = await tracker(1, { list_groups: never });
  const { client: daemon } = client([one.address]);
  await until('connected', () => daemon.tracker !== null);
  await failsWith('NO_QUORUM', daemon.listAll('list_groups', {}, { timeoutMs: 300 }));
});

test('sent, then refused for want of a quorum elsewhere: still unknown', async () => {
  const one = await tracker(1, { create_group: () => one.dropAll() as never });
  const { client: daemon } = client([one.address]);
  await until('connected', () => daemon.tracker !== null);
  const two = await tracker(2, {
    create_group: () => {
      throw new MtError('NO_QUORUM', 'no majority');
    },
  });
  daemon.setMembers([{ number: 2, address: two.address }]);
  const work = daemon.command('create_group', { group_id: 'g' }, { timeoutMs: 600 });
  await until('it was sent once', () => one.requests.length === 1);
  await one.stop();
  await failsWith('OUTCOME_UNKNOWN', work);
});

test('an expired client is replaced when nothing was sent under it, and never after', async () => {
  const expired = new MtError('CLIENT_EXPIRED', 'unknown client');
  let calls = 0;
  const one = await tracker(1, {
    create_group: () => {
      if (++calls === 1) throw expired;
      return {};
    },
    join_group: () => one.dropAll() as never,
  });
  const { client: daemon } = client([one.address]);
  await daemon.command('create_group', { group_id: 'g' });
  assert.is.not(one.requests[0]!.client_id, one.requests[1]!.client_id);

  const work = daemon.command('join_group', { group_id: 'g' }, { timeoutMs: 2_000 });
  await until('sent', () => one.requests.length === 3);
  const two = await tracker(2, {
    join_group: () => {
      throw expired;
    },
  });
  daemon.setMembers([{ number: 2, address: two.address }]);
  await one.stop();
  await failsWith('OUTCOME_UNKNOWN', work);
});

test('what the trackers decide is passed on at once', async () => {
  const one = await tracker(1, {
    create_group: () => {
      throw new MtError('GROUP_EXISTS', 'there is one', 'take another name');
    },
  });
  const { client: daemon } = client([one.address]);
  const error = await failsWith('GROUP_EXISTS', daemon.command('create_group', { group_id: 'g' }));
  assert.is(error.suggestion, 'take another name');
});

test('without a session nothing is sent', async () => {
  const { client: daemon } = client([{ host: '127.0.0.1', port: 1 }]);
  daemon.setSession(null);
  await failsWith('NOT_LOGGED_IN', daemon.command('create_group', { group_id: 'g' }));
  await failsWith('NOT_LOGGED_IN', daemon.listAll('list_groups', {}));
});

test('listings are read page after page', async () => {
  const pages: Record<
    string,
    { members: { user_id: string; owner: boolean; online: boolean }[]; next: string | null }
  > = {
    '': { members: [{ user_id: 'a', owner: true, online: true }], next: 'a' },
    a: { members: [{ user_id: 'b', owner: false, online: false }], next: 'b' },
    b: { members: [], next: null },
  };
  const one = await tracker(1, { list_members: ({ after }) => pages[after ?? '']! });
  const { client: daemon } = client([one.address]);
  const members = await daemon.listAll('list_members', { group_id: 'g' });
  assert.equal(
    members.map(({ user_id }) => user_id),
    ['a', 'b'],
  );
});

test('a frozen tracker holds up nobody for long', async () => {
  // Accepts, and never says a word: what a stopped process looks like.
  const frozen = createServer(() => {});
  await new Promise<void>((resolve) => frozen.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => frozen.close());
  const { port } = frozen.address() as { port: number };
  const one = await tracker(1, { create_group: () => ({}) });
  for (let round = 0; round < 4; round++) {
    const { client: daemon } = client([{ host: '127.0.0.1', port }, one.address]);
    const startedAt = performance.now();
    await daemon.command('create_group', { group_id: 'g' });
    assert.ok(performance.now() - startedAt < 4_000, 'hedged: a dial alone is given up after 5 s');
  }
});

test('a watch survives failovers and ends with a refusal', async () => {
  const event = { index: 1, reset: true, up: [], down: [], removed: false };
  let refuse = false;
  const script: Partial<Handlers<TrackerApi>> = {
    watch_file: (_params, { emit }) => {
      if (refuse) throw new MtError('NO_SUCH_FILE', 'gone');
      emit(event);
      return never();
    },
  };
  const one = await tracker(1, script);
  const { client: daemon } = client([one.address]);
  let events = 0;
  const watching = daemon.watch(
    'watch_file',
    { group_id: 'g', file_name: 'f' },
    () => events++,
    new AbortController().signal,
  );
  await until('first reset', () => events === 1);
  one.dropAll();
  await until('second reset', () => events === 2);
  refuse = true;
  one.dropAll();
  await failsWith('NO_SUCH_FILE', watching);
});

test('a cluster that is not the pinned one is refused at once, with the fingerprint seen', async () => {
  const otherKey = makeClusterKeyPem();
  const one = await tracker(1, { create_group: () => ({}) }, otherKey);
  const { client: daemon } = client([one.address]);
  const startedAt = performance.now();
  const error = await failsWith('UNTRUSTED_CLUSTER', daemon.command('create_group', { group_id: 'g' }));
  assert.ok(performance.now() - startedAt < 5_000);
  assert.match(error.message, fingerprintOf(parseClusterKeyPem(otherKey)[0]!));
  assert.is(one.requests.length, 0);
});

test('on loopback the key is learned once, and remembered against another one', async () => {
  const directory = temporary();
  const one = await tracker(1, { create_group: () => ({}) });
  const first = client([one.address], { pins: [], directory });
  await first.client.command('create_group', { group_id: 'g' });
  assert.equal(first.trust.keys.map(fingerprintOf), [clusterFingerprint]);
  await first.close();

  const imposter = await tracker(1, {}, makeClusterKeyPem());
  const second = client([imposter.address], { pins: [], directory, trustFirstUse: true });
  assert.equal(second.trust.keys.map(fingerprintOf), [clusterFingerprint], 'known before any tracker answers');
  await failsWith('UNTRUSTED_CLUSTER', second.client.command('create_group', { group_id: 'g' }));
});

test('members that trackers told are remembered and tried', async () => {
  const directory = temporary();
  const one = await tracker(1, { create_group: () => ({}) });
  const first = client([{ host: '127.0.0.1', port: 1 }], { directory });
  first.client.setMembers([{ number: 1, address: one.address }]);
  await first.close();
  const second = client([{ host: '127.0.0.1', port: 1 }], { directory });
  await second.client.command('create_group', { group_id: 'g' });
});

test.run();
