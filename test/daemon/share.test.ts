// Shares and the outbox behind them: what is remembered when trackers fail, answer late, or this process dies in between.
import { lstatSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, isMtError, MtError } from '../../codec/errors.ts';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import type { Handlers } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { announceShares, forgetRemoved } from '../../daemon/announcer.ts';
import { identityOf } from '../../daemon/disk/file-identity.ts';
import type { FileRef, ServableShare } from '../../daemon/download/types.ts';
import { Outbox } from '../../daemon/outbox.ts';
import { Shares } from '../../daemon/share.ts';
import { OutboxStore } from '../../daemon/store/outbox-store.ts';
import { SettingsStore } from '../../daemon/store/settings-store.ts';
import { ShareStore } from '../../daemon/store/share-store.ts';
import { openStore } from '../../daemon/store/store.ts';
import { TrackerClient } from '../../daemon/tracker-client.ts';
import { ClusterTrust } from '../../daemon/trackers/trust.ts';
import { until } from '../harness/until.ts';
import { ScriptedTracker } from './scripted-tracker.ts';

const test = suite('share');
const ALICE = { userId: 'alice', token: 'a'.repeat(32) };
const FILE: FileRef = { groupId: 'g', fileName: 'file.bin' };
const log = pino({ level: process.env.LOG ?? 'silent' });
const identity = await makeDaemonIdentity(Date.now());

let cleanups: (() => unknown)[] = [];
test.after.each(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mt-share-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function tracker(handlers: Partial<Handlers<TrackerApi>>): Promise<ScriptedTracker> {
  const started = await ScriptedTracker.start(1, handlers);
  cleanups.push(() => started.stop());
  return started;
}

/** The part of a daemon that shares, on a data directory that outlives it. */
function daemon(directory: string, addresses: Address[], session: typeof ALICE | null = ALICE) {
  const db = openStore(join(directory, 'store.sqlite'));
  const settings = new SettingsStore(db);
  const client = new TrackerClient({ identity, trust: new ClusterTrust(settings, [], false), settings, addresses });
  const outbox = new Outbox({ db, store: new OutboxStore(db), settings, client, log });
  const stopped: string[] = [];
  const onStopped = ({ fileName }: FileRef) => stopped.push(fileName);
  const shares = new Shares({ db, store: new ShareStore(db), outbox, log, onStopped });
  client.setSession(session?.token ?? null);
  shares.setSession(session);
  outbox.start(shares);
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await outbox.close();
    await client.close();
    db.close();
  };
  cleanups.push(close);
  return { client, outbox, shares, stopped, close };
}

function share(directory: string, content = 'content'): ServableShare {
  const path = join(directory, 'file.bin');
  writeFileSync(path, content);
  const manifest = Buffer.from(`manifest of ${content}`);
  const identityNow = identityOf(lstatSync(path, { bigint: true }));
  return { ...FILE, path, ...identityNow, manifest, manifestHash: Buffer.alloc(32, 7) };
}

async function failsWith(code: ErrorCode, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    assert.ok(isMtError(error, code), String(error));
    return;
  }
  assert.unreachable(`expected ${code}`);
}

const never = () => new Promise<never>(() => {});

test('published: the trackers know, and it can be found', async () => {
  const directory = temporary();
  const one = await tracker({ share_file: () => ({ new_file: true }) });
  const { shares, outbox } = daemon(directory, [one.address]);
  assert.equal(await shares.publish(share(directory)), { newFile: true });
  assert.is(shares.find(FILE)?.path, join(directory, 'file.bin'));
  assert.is((await shares.list())[0]!.state, 'shared');
  assert.is(outbox.size, 0);
});

test('its number leaves when the disk has it: else another command could get that after a power loss', async () => {
  const directory = temporary();
  const handle = await open(join(directory, 'any'), 'w');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const events: string[] = [];
  const { datasync } = prototype;
  cleanups.push(() => Object.assign(prototype, { datasync }));
  let store = '';
  Object.assign(prototype, {
    async datasync(this: FileHandle) {
      // Rows that SQLite has written into its log, whether or not that is on the disk.
      const db = openStore(store);
      const { rows } = db.prepare('SELECT count(*) AS rows FROM outbox').get() as { rows: number };
      db.close();
      await datasync.call(this);
      events.push(`${rows} on the disk`);
    },
  });
  const one = await tracker({
    record_share: () => {
      events.push('told');
      return {};
    },
  });
  store = join(directory, 'store.sqlite');
  const { shares, outbox } = daemon(directory, [one.address]);
  assert.is(await shares.addDownloaded(share(directory)), null);
  assert.is(await shares.addDownloaded(share(directory)), null);
  await until('delivered', () => outbox.size === 0);
  assert.equal(events, ['1 on the disk', 'told', '1 on the disk', 'told']);
});

test('a disk that cannot sync is no answer: nobody is told, and the command goes out when it can', async () => {
  const directory = temporary();
  const handle = await open(join(directory, 'any'), 'w');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const { datasync } = prototype;
  cleanups.push(() => Object.assign(prototype, { datasync }));
  let isBroken = true;
  let failures = 0;
  Object.assign(prototype, {
    async datasync(this: FileHandle) {
      if (isBroken) failures++;
      if (isBroken) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
      await datasync.call(this);
    },
  });
  let told = 0;
  const one = await tracker({
    stop_share: () => {
      told++;
      return {};
    },
  });
  const { shares, outbox } = daemon(directory, [one.address]);
  shares.giveUp(FILE);
  await until('it was tried again', () => failures >= 2);
  assert.equal([told, outbox.size], [0, 1]);
  isBroken = false;
  await until('delivered', () => outbox.size === 0);
  assert.is(told, 1);
});

test('registered with the trackers while the download still runs', async () => {
  const directory = temporary();
  let registered = 0;
  const one = await tracker({
    register_client: () => {
      registered++;
      return { client_id: 'c'.repeat(32) };
    },
    record_share: () => ({}),
  });
  const { shares, client } = daemon(directory, [one.address]);
  shares.prepare();
  shares.prepare();
  await until('it is registered', () => registered > 0 && client.tracker !== null);
  assert.is(await shares.addDownloaded(share(directory)), null);
  assert.is(registered, 1);
});

test('refused by the trackers: no share', async () => {
  const directory = temporary();
  const one = await tracker({
    share_file: () => {
      throw new MtError('FILE_EXISTS', 'another one');
    },
  });
  const { shares, outbox, stopped } = daemon(directory, [one.address]);
  await failsWith('FILE_EXISTS', shares.publish(share(directory)));
  assert.is(shares.find(FILE), null);
  assert.is(outbox.size, 0);
  assert.equal(stopped, ['file.bin']);
});

test('no tracker in time: taken back, nothing remembered', async () => {
  const directory = temporary();
  const { shares, outbox } = daemon(directory, [{ host: '127.0.0.1', port: 1 }]);
  await failsWith('TRACKER_UNREACHABLE', shares.publish(share(directory), 200));
  assert.is(shares.find(FILE), null);
  assert.is(outbox.size, 0);
});

test('sent and unanswered: OUTCOME_UNKNOWN, and the daemon goes on until it is so', async () => {
  const directory = temporary();
  let isAnswering = false;
  const one = await tracker({ share_file: () => (isAnswering ? { new_file: true } : never()) });
  const { shares, outbox, client } = daemon(directory, [one.address]);
  await until('connected', () => client.tracker !== null);
  await failsWith('OUTCOME_UNKNOWN', shares.publish(share(directory), 2_000)); // the disk is asked first
  assert.is((await shares.list())[0]!.state, 'pending');
  isAnswering = true;
  await until('delivered', () => outbox.size === 0);
  assert.is((await shares.list())[0]!.state, 'shared');
  assert.ok(one.requests.length >= 2);
  for (const request of one.requests) assert.equal(request, one.requests[0]);
});

test('killed between sending and the answer: the next process delivers it under the same request id', async () => {
  const directory = temporary();
  let isAnswering = false;
  const one = await tracker({ share_file: () => (isAnswering ? { new_file: false } : never()) });
  const before = daemon(directory, [one.address]);
  before.shares.publish(share(directory)).catch(() => {});
  await until('sent', () => one.requests.length === 1);
  await before.close();
  isAnswering = true;
  const after = daemon(directory, [one.address]);
  await until('delivered', () => after.outbox.size === 0);
  assert.equal(one.requests[1], one.requests[0]);
  assert.is((await after.shares.list())[0]!.state, 'shared');
});

test('stop_share ends it here at once, and for the trackers when they listen', async () => {
  const directory = temporary();
  let isAnswering = false;
  const unreachable = new MtError('NO_QUORUM', 'not now');
  const one = await tracker({
    share_file: () => ({ new_file: true }),
    stop_share: () => {
      if (!isAnswering) throw unreachable;
      return {};
    },
  });
  const { shares, outbox, stopped } = daemon(directory, [one.address]);
  await shares.publish(share(directory));
  await failsWith('NO_QUORUM', shares.stop(FILE, 1_000));
  assert.is(shares.find(FILE), null);
  assert.equal(stopped, ['file.bin']);
  assert.is(outbox.size, 1);
  isAnswering = true;
  await until('delivered', () => outbox.size === 0);
  await failsWith('NO_SUCH_SHARE', shares.stop(FILE));
});

test('a finished download without trackers is a share with a warning, recorded later', async () => {
  const directory = temporary();
  const { shares, outbox, client } = daemon(directory, [{ host: '127.0.0.1', port: 1 }]);
  const warning = await shares.addDownloaded(share(directory));
  assert.match(warning ?? '', 'do not know yet');
  assert.ok(shares.find(FILE), 'served meanwhile');
  const one = await tracker({ record_share: () => ({}) });
  client.setMembers([{ number: 1, address: one.address }]);
  await until('recorded', () => outbox.size === 0);
  assert.is((await shares.list())[0]!.state, 'shared');
});

test('a file that changed or went is no longer served, and shown so', async () => {
  const directory = temporary();
  const one = await tracker({ share_file: () => ({ new_file: true }) });
  const { shares } = daemon(directory, [one.address]);
  const shared = share(directory);
  await shares.publish(shared);
  writeFileSync(shared.path, 'other content');
  assert.is((await shares.list())[0]!.state, 'changed');
  assert.is(shares.find(FILE), null);
  unlinkSync(shared.path);
  assert.is((await shares.list())[0]!.state, 'missing');
  assert.is(shares.find(FILE), null);
});

test('nothing is served without a session, or to another user; a login shares it again', async () => {
  const directory = temporary();
  const recorded: string[] = [];
  const one = await tracker({
    share_file: () => ({ new_file: true }),
    record_share: ({ file_name, session }) => {
      recorded.push(`${file_name} ${session[0]}`);
      return {};
    },
  });
  const { shares, client } = daemon(directory, [one.address]);
  await shares.publish(share(directory));
  shares.setSession(null);
  assert.is(shares.find(FILE), null);
  assert.is((await shares.list())[0]!.state, 'not_shared');
  shares.setSession({ userId: 'bob', token: 'b'.repeat(32) });
  assert.is(shares.find(FILE), null);
  const again = { userId: 'alice', token: 'c'.repeat(32) };
  shares.setSession(again);
  assert.is((await shares.list())[0]!.state, 'pending');
  await announceShares({ client, shares, log }, again, new AbortController().signal);
  assert.equal(recorded, ['file.bin c']);
  assert.is((await shares.list())[0]!.state, 'shared');
});

test('a share whose file left the group meanwhile is forgotten when it is announced', async () => {
  const directory = temporary();
  const one = await tracker({
    share_file: () => ({ new_file: true }),
    record_share: () => {
      throw new MtError('NO_SUCH_FILE', 'removed');
    },
  });
  const { shares, client } = daemon(directory, [one.address]);
  await shares.publish(share(directory));
  const again = { userId: 'alice', token: 'c'.repeat(32) };
  shares.setSession(again);
  await announceShares({ client, shares, log }, again, new AbortController().signal);
  assert.equal(await shares.list(), []);
});

test('what is shared while a listing is on its way is not taken for removed; what the group no longer lists is forgotten', async () => {
  const directory = temporary();
  let answer: (files: string[]) => void = () => {};
  const file = { size: 7, sha1: Buffer.alloc(20), piece_count: 1, seeders: 1 };
  const one = await tracker({
    share_file: () => ({ new_file: true }),
    list_files: () =>
      new Promise((resolve) => {
        answer = (names) => resolve({ files: names.map((file_name) => ({ file_name, ...file })), next: null });
      }),
  });
  const { shares, client } = daemon(directory, [one.address]);
  const first = share(directory);
  await shares.publish(first);
  await shares.publish({ ...first, fileName: 'removed.bin' });
  answer = () => {};
  const asked = answer;
  const compared = forgetRemoved({ client, shares, log }, new AbortController().signal);
  await until('the listing is asked for', () => answer !== asked);
  await shares.publish({ ...first, fileName: 'new.bin' });
  answer(['file.bin']);
  await compared;
  const left = (await shares.list()).map(({ file_name }) => file_name);
  assert.equal(left.sort(), ['file.bin', 'new.bin']);
});

test.run();
