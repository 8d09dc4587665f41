// Login, logout, and staying logged in: over restarts, lost leases, sessions that end elsewhere, and trackers that are away.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, isMtError, MtError } from '../../codec/errors.ts';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import type { CallContext, EventOf, Handlers } from '../../codec/rpc.ts';
import type { TrackerApi } from '../../codec/tracker-rpc.ts';
import { Outbox } from '../../daemon/outbox.ts';
import { Session } from '../../daemon/session.ts';
import { Shares } from '../../daemon/share.ts';
import { OutboxStore } from '../../daemon/store/outbox-store.ts';
import { SettingsStore } from '../../daemon/store/settings-store.ts';
import { ShareStore } from '../../daemon/store/share-store.ts';
import { openStore } from '../../daemon/store/store.ts';
import { TrackerClient } from '../../daemon/tracker-client.ts';
import { ClusterTrust } from '../../daemon/trackers/trust.ts';
import { until } from '../harness/until.ts';
import { ScriptedTracker } from './scripted-tracker.ts';

type News = EventOf<TrackerApi, 'watch_session'>;

const test = suite('session');
const log = pino({ level: 'silent' });
const identity = await makeDaemonIdentity(Date.now());
const ADDRESS = { host: '127.0.0.1', port: 18_000 };
const QUIET: News = {
  index: 1,
  reset: true,
  epochs: [],
  revoked: [],
  removed_files: [],
  left_groups: [],
  session_ended: false,
  trackers: null,
};

let cleanups: (() => unknown)[] = [];
test.after.each(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

/** Knows one session at a time, as a cluster does for one daemon. */
class Cluster {
  tracker!: ScriptedTracker;
  token: string | null = null;
  logins = 0;
  resumes = 0;
  heartbeats = 0;
  online = true;
  /** So many streams of news end with an error at once. */
  brokenStreams = 0;
  watchers = new Set<CallContext<News>>();

  static async start(): Promise<Cluster> {
    const cluster = new Cluster();
    cluster.tracker = await ScriptedTracker.start(1, cluster.#handlers());
    cleanups.push(() => cluster.tracker.stop());
    return cluster;
  }

  tell(news: Partial<News>): void {
    for (const watcher of this.watchers) watcher.emit({ ...QUIET, reset: false, ...news });
  }

  #require(session: string): void {
    if (session !== this.token) throw new MtError('NOT_LOGGED_IN', 'no such session');
  }

  #handlers(): Partial<Handlers<TrackerApi>> {
    return {
      login: ({ password }) => {
        if (password !== 'right') throw new MtError('BAD_CREDENTIALS', 'no');
        const replaced = this.token !== null;
        this.token = (++this.logins).toString(16).padStart(32, '0');
        if (replaced) this.tell({ session_ended: true });
        return { session: this.token, epoch: 1 };
      },
      resume: ({ session }) => {
        this.#require(session);
        this.resumes++;
        this.online = true;
        return { user_id: 'alice', epoch: 2 };
      },
      logout: ({ session }) => {
        this.#require(session);
        this.token = null;
        return {};
      },
      heartbeat: ({ session }) => {
        this.#require(session);
        this.heartbeats++;
        return { online: this.online };
      },
      watch_session: ({ session }, context) => {
        this.#require(session);
        if (this.brokenStreams-- > 0) throw new MtError('INTERNAL', 'a fault of the tracker');
        this.watchers.add(context);
        context.emit({ ...QUIET, epochs: [{ group_id: 'g', epoch: 5 }] });
        return new Promise((_, reject) => {
          context.signal.addEventListener('abort', () => {
            this.watchers.delete(context);
            reject(new MtError('CANCELLED', 'gone'));
          });
        });
      },
    };
  }
}

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mt-session-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

function daemon(directory: string, addresses: Address[]) {
  const db = openStore(join(directory, 'store.sqlite'));
  const settings = new SettingsStore(db);
  const client = new TrackerClient({ identity, trust: new ClusterTrust(settings, [], false), settings, addresses });
  const outbox = new Outbox({ db, store: new OutboxStore(db), settings, client, log });
  const shares = new Shares({ db, store: new ShareStore(db), outbox, log, onStopped: () => {} });
  const heard: string[] = [];
  const dataPlane = {
    onGap: () => heard.push('gap'),
    onSession: (user: string | null) => heard.push(`session ${user}`),
    onRevoked: ({ userId }: { userId: string }) => heard.push(`revoked ${userId}`),
    onEpoch: (group: string, epoch: number) => heard.push(`epoch ${group} ${epoch}`),
    onShareStopped: () => {},
    onFileRemoved: ({ fileName }: { fileName: string }) => heard.push(`removed ${fileName}`),
    onGroupLeft: (group: string) => heard.push(`left ${group}`),
    partials: () => [],
  };
  const session = new Session({ db, settings, client, shares, outbox, address: ADDRESS, dataPlane, log });
  outbox.start(shares);
  session.start();
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    session.close();
    await outbox.close();
    await client.close();
    db.close();
  };
  cleanups.push(close);
  return { session, shares, outbox, heard, close };
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

test('login and logout', async () => {
  const cluster = await Cluster.start();
  const { session, shares, heard } = daemon(temporary(), [cluster.tracker.address]);
  await failsWith('NOT_LOGGED_IN', session.logout());
  await failsWith('BAD_CREDENTIALS', session.login('alice', 'wrong'));
  assert.is(session.userId, null);
  await session.login('alice', 'right');
  assert.is(session.userId, 'alice');
  assert.is(shares.session?.userId, 'alice');
  await failsWith('ALREADY_LOGGED_IN', session.login('bob', 'right'));
  await until('news', () => session.groupEpoch('g') === 5);
  await session.logout();
  assert.is(session.userId, null);
  assert.is(cluster.token, null);
  assert.equal(heard, ['session alice', 'epoch g 5', 'gap', 'session null']);
});

test('news that break off for a reason that should not be are asked for again', async () => {
  const cluster = await Cluster.start();
  cluster.brokenStreams = 1;
  const { session, heard } = daemon(temporary(), [cluster.tracker.address]);
  await session.login('alice', 'right');
  await until('news', () => cluster.watchers.size === 1 && session.groupEpoch('g') === 5);
  cluster.tell({ revoked: [{ user_id: 'bob', fingerprint: null, group_id: 'g' }] });
  await until('the revocation', () => heard.includes('revoked bob'));
});

test('the same user again: the new session takes the place of the old one', async () => {
  const cluster = await Cluster.start();
  const { session, heard } = daemon(temporary(), [cluster.tracker.address]);
  await session.login('alice', 'right');
  await until('watching', () => cluster.watchers.size === 1);
  await failsWith('BAD_CREDENTIALS', session.login('alice', 'wrong'));
  assert.is(session.userId, 'alice');
  await session.login('alice', 'right');
  await until('watching anew', () => session.groupEpoch('g') === 5);
  assert.is(session.userId, 'alice');
  assert.is(session.token, cluster.token);
  assert.not(heard.includes('session null'), 'nobody was logged out in between');
});

test('a restart goes on with the session, without trackers at first', async () => {
  const directory = temporary();
  const cluster = await Cluster.start();
  const before = daemon(directory, [cluster.tracker.address]);
  await before.session.login('alice', 'right');
  await before.close();
  const away = daemon(directory, [{ host: '127.0.0.1', port: 1 }]);
  assert.is(away.session.userId, 'alice');
  assert.equal(away.heard, ['session alice']);
  await away.close();
  const after = daemon(directory, [cluster.tracker.address]);
  await until('resumed', () => cluster.resumes === 1);
  assert.is(after.session.userId, 'alice');
});

test('a lease that ran out is resumed', async () => {
  const cluster = await Cluster.start();
  const { session } = daemon(temporary(), [cluster.tracker.address]);
  await session.login('alice', 'right');
  cluster.online = false;
  await until('resumed', () => cluster.resumes === 1);
  assert.is(cluster.online, true);
});

test('a session that ended elsewhere ends here, told by the stream', async () => {
  const cluster = await Cluster.start();
  const { session, heard } = daemon(temporary(), [cluster.tracker.address]);
  await session.login('alice', 'right');
  await until('watching', () => cluster.watchers.size === 1);
  cluster.token = null;
  cluster.tell({ session_ended: true });
  await until('logged out', () => session.userId === null);
  assert.is(heard.at(-1), 'session null');
});

test('… or found out at the next start', async () => {
  const directory = temporary();
  const cluster = await Cluster.start();
  const before = daemon(directory, [cluster.tracker.address]);
  await before.session.login('alice', 'right');
  await before.close();
  cluster.token = null;
  const after = daemon(directory, [cluster.tracker.address]);
  await until('logged out', () => after.session.userId === null);
});

test('logout without trackers: at once here, later there, also over a restart', async () => {
  const directory = temporary();
  const cluster = await Cluster.start();
  const before = daemon(directory, [cluster.tracker.address]);
  await before.session.login('alice', 'right');
  await before.close();
  const away = daemon(directory, [{ host: '127.0.0.1', port: 1 }]);
  await failsWith('TRACKER_UNREACHABLE', away.session.logout(200));
  assert.is(away.session.userId, null);
  assert.is(away.outbox.size, 1);
  await away.close();
  const after = daemon(directory, [cluster.tracker.address]);
  assert.is(after.session.userId, null);
  await until('the trackers know', () => cluster.token === null);
});

test('news reach the data plane', async () => {
  const cluster = await Cluster.start();
  const { session, heard } = daemon(temporary(), [cluster.tracker.address]);
  await session.login('alice', 'right');
  await until('watching', () => cluster.watchers.size === 1);
  cluster.tell({
    epochs: [{ group_id: 'g', epoch: 6 }],
    revoked: [{ user_id: 'bob', fingerprint: null, group_id: 'g' }],
  });
  cluster.tell({ removed_files: [{ group_id: 'g', file_name: 'f' }], left_groups: ['g'] });
  await until('heard', () => heard.length === 7);
  assert.equal(heard.slice(3), ['epoch g 6', 'revoked bob', 'removed f', 'left g']);
  assert.is(session.groupEpoch('g'), null);
});

test.run();
