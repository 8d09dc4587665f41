// Whoever loses a right loses it at once: leave_group, remove_member, logout, revoke_session and stop_share end the transfers that
// stood on it within 5 s, and others' go on without a pause. The losers are hostile leechers: they go on asking, whatever they are told.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { encodePeerFrame } from '../../codec/peer-messages.ts';
import { openTicket, signTicket } from '../../codec/ticket.ts';
import { pieceSizeFor } from '../../daemon/pieces/geometry.ts';
import { manifestOf } from '../harness/files.ts';
import { Leecher } from '../harness/hostile-leecher.ts';
import { Member } from '../harness/hostile-member.ts';
import { Relay } from '../harness/relay.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const MiB = 1 << 20;
const SIZE = 48 * MiB;
const PIECE_SIZE = pieceSizeFor(SIZE);
/** The promise. */
const LAST_BYTE_MS_MAX = 5_000;
/** Longest gap between two arrivals at an honest member, on a busy machine with a rate limit. */
const PAUSE_MS_MAX = 2_500;
const test = suite('thrown out');

/** A member of the group who downloads through the kit. */
interface Guest {
  readonly member: Member;
  readonly ticket: Uint8Array;
  readonly leecher: Leecher;
}

class Scene {
  readonly world: World;
  readonly alice: Daemon;
  readonly tracker;
  #hash = new Uint8Array();

  private constructor(world: World, alice: Daemon) {
    this.world = world;
    this.alice = alice;
    this.tracker = world.trackerAddress(1);
  }

  /** alice shares a file in her group, at a low rate. */
  static async make(world: World, alice: Daemon): Promise<Scene> {
    const scene = new Scene(world, alice);
    await alice.ok('create_group', 'lab');
    const { path } = alice.file('f', SIZE);
    await alice.ok('upload_file', path, 'lab');
    await alice.ok('limits', '--up', '2M');
    scene.#hash = new Uint8Array(manifestHash(encodeManifest(manifestOf(readFileSync(path)))));
    return scene;
  }

  async enter(user: string, tracker = this.tracker): Promise<Guest> {
    const address = this.world.daemon(user).address;
    const member = await Member.join({ tracker, address, user, isNew: true });
    await member.joinGroup('lab');
    await this.alice.ok('accept_request', 'lab', user);
    const { ticket } = await member.locate('lab', 'f');
    return { member, ticket, leecher: this.dial(member, ticket) };
  }

  dial(member: Member, ticket: Uint8Array): Leecher {
    return new Leecher({
      to: this.alice.address,
      identity: member.identity,
      hello: { group_id: 'lab', file_name: 'f', manifest_hash: this.#hash, ticket },
      pieceCount: SIZE / PIECE_SIZE,
      pieceSize: PIECE_SIZE,
    });
  }

  /** The same ticket as the cluster would have given it for a shorter time. */
  shorten({ ticket }: Guest, expires_at: number): Uint8Array {
    const key = createPrivateKey(readFileSync(join(this.world.dir, 'state', 'mini-torrent', 'cluster.key'), 'utf8'));
    return new Uint8Array(signTicket({ ...openTicket(ticket, [createPublicKey(key)], Date.now()), expires_at }, key));
  }

  async staysOut({ member, ticket }: Guest): Promise<void> {
    const again = this.dial(member, ticket);
    await until('the old ticket opens nothing', () => again.isClosed);
    assert.is(again.contentBytes, 0);
  }
}

const getsContent = (...guests: readonly Guest[]) =>
  until('all get content', () => guests.every(({ leecher }) => leecher.contentBytes > 0));

/** Measures the longest pause of a transfer until `stop`. */
function watchPauses({ leecher }: Guest): { stop(): number } {
  let longestMs = 0;
  let bytes = leecher.contentBytes;
  let changedAtMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    if (leecher.contentBytes !== bytes) {
      bytes = leecher.contentBytes;
      changedAtMs = nowMs;
    }
    longestMs = Math.max(longestMs, nowMs - changedAtMs);
  }, 20);
  return {
    stop: () => {
      clearInterval(timer);
      return longestMs;
    },
  };
}

/** Two of the scenes mostly wait for the clock: they begin with the first test, and each is looked at in its own. */
const begun = (body: () => Promise<void>) => {
  const run = body();
  run.catch(() => {});
  return () => run;
};

const newEpoch = begun(
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice, bob } = await world.people('alice', 'bob');
    const scene = await Scene.make(world, alice);
    const mallory = await scene.enter('mallory');
    const carol = await scene.enter('carol');
    await bob.ok('join_group', 'lab');
    await alice.ok('accept_request', 'lab', 'bob');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    const bytes = async () =>
      (await bob.ok<{ downloads: { bytes_done: number }[] }>('show_downloads')).downloads[0]!.bytes_done;
    await until('bob gets pieces', async () => (await bytes()) > 0);
    await getsContent(carol);
    await alice.ok('remove_member', 'lab', 'mallory');
    await until('carol, who renews nothing, is told to', () => carol.leecher.isClosed, { timeoutMs: 15_000 });
    assert.is(carol.leecher.refusal?.code, 'FORBIDDEN');
    const before = await bytes();
    await until('bob goes on', async () => (await bytes()) > before);
    for (const { member } of [mallory, carol]) member.close();
  }, 1),
);

const trackersDown = begun(
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    const scene = await Scene.make(world, alice);
    const mallory = await scene.enter('mallory');
    const carol = await scene.enter('carol');
    mallory.leecher.close();
    const expiresAtMs = Date.now() + 8_000;
    const short = scene.dial(mallory.member, scene.shorten(mallory, expiresAtMs));
    await until('both get content', () => short.contentBytes > 0 && carol.leecher.contentBytes > 0);
    await world.trackers.get(1)!.kill();
    await until('cut at the expiry', () => short.isClosed);
    assert.ok(Date.now() >= expiresAtMs, 'not before');
    assert.ok(Date.now() < expiresAtMs + LAST_BYTE_MS_MAX, `${Date.now() - expiresAtMs} ms after the expiry`);
    const before = carol.leecher.contentBytes;
    await until('whose ticket lives is served on', () => carol.leecher.contentBytes > before);
    assert.is((await alice.ok<{ user_id: string }>('whoami')).user_id, 'alice');
    for (const { member, leecher } of [mallory, carol]) {
      leecher.close();
      member.close();
    }
  }, 1),
);

test(
  'remove_member, leave_group, logout, revoke_session, stop_share: the last byte comes at most 5 s later, the old ticket opens nothing, others feel nothing',
  inWorld(async (world) => {
    await world.startTracker(1);
    const { alice } = await world.people('alice');
    const scene = await Scene.make(world, alice);
    const laptop = await world.daemon('laptop').start();
    const [removed, leaver, gone, revoked, carol] = (await Promise.all(
      ['removed', 'leaver', 'gone', 'revoked', 'carol'].map((user) => scene.enter(user)),
    )) as [Guest, Guest, Guest, Guest, Guest];
    await laptop.ok('login', 'revoked', 'pw-revoked');
    const acts: [what: string, loser: Guest, act: () => Promise<unknown>][] = [
      ['logout', gone, () => gone.member.rpc.call('logout', gone.member.speaker)],
      ['revoke_session', revoked, () => laptop.ok('revoke_session', revoked.member.session)],
      ['leave_group', leaver, () => leaver.member.leaveGroup('lab')],
      ['remove_member', removed, () => alice.ok('remove_member', 'lab', 'removed')],
    ];
    await getsContent(carol, ...acts.map(([, loser]) => loser));
    const pauses = watchPauses(carol);
    for (const [what, loser, act] of acts) {
      assert.not.ok(loser.leecher.isClosed, `${what}: not cut before`);
      await act();
      const actedAtMs = performance.now();
      await until(`${what}: the link is cut`, () => loser.leecher.isClosed);
      const lateMs = loser.leecher.lastContentAtMs - actedAtMs;
      assert.ok(lateMs < LAST_BYTE_MS_MAX, `${what}: the last byte came ${lateMs} ms later`);
      await scene.staysOut(loser);
      // As every honest daemon does when the epoch grows.
      carol.leecher.say(encodePeerFrame('ticket', [(await carol.member.locate('lab', 'f')).ticket]));
    }
    const before = carol.leecher.contentBytes;
    await until('the other transfer goes on', () => carol.leecher.contentBytes > before + MiB / 2);
    const longestMs = pauses.stop();
    assert.ok(longestMs < PAUSE_MS_MAX, `a pause of ${Math.round(longestMs)} ms for others`);
    await alice.ok('stop_share', 'lab', 'f');
    const actedAtMs = performance.now();
    await until('stop_share: all are cut', () => carol.leecher.isClosed);
    assert.ok(carol.leecher.lastContentAtMs - actedAtMs < LAST_BYTE_MS_MAX);
    for (const { member } of [removed, leaver, gone, revoked, carol]) member.close();
  }, 1),
);

test(
  'a logout, and a removal, while the seeder hears no tracker: made up for as soon as it does; who logs in again is welcome',
  inWorld(async (world) => {
    const near = world.trackerAddress(1);
    const real = { host: near.host, port: near.port + 1 };
    // The trackers' own address is the wire's, so that daemons know no other one.
    const relay = await Relay.open(near, real);
    await world.launchTracker(1, '--listen', `${real.host}:${real.port}`).ready();
    const { alice } = await world.people('alice');
    const scene = await Scene.make(world, alice);
    const bob = await (await world.daemon('bob').start()).enter();
    const [gone, removed, carol] = (await Promise.all(
      ['gone', 'removed', 'carol'].map((user) => scene.enter(user, real)),
    )) as [Guest, Guest, Guest];
    const owner = await Member.join({
      tracker: real,
      address: world.daemon('owner').address,
      user: 'owner',
      isNew: true,
    });
    await owner.joinGroup('lab');
    await alice.ok('accept_request', 'lab', 'owner');
    await alice.ok('transfer_ownership', 'lab', 'owner');
    await getsContent(gone, removed, carol);
    relay.cut();
    await gone.member.rpc.call('logout', gone.member.speaker);
    const remove = { ...owner.speaker, group_id: 'lab', user_id: 'removed' };
    await owner.rpc.call('remove_member', remove);
    carol.leecher.say(encodePeerFrame('ticket', [(await carol.member.locate('lab', 'f')).ticket]));
    const before = gone.leecher.contentBytes;
    await until('nobody could tell the seeder', () => gone.leecher.contentBytes > before);
    const pauses = watchPauses(carol);
    relay.mend();
    const mendedAtMs = performance.now();
    await until('both are cut', () => gone.leecher.isClosed && removed.leecher.isClosed);
    for (const { leecher } of [gone, removed]) {
      const lateMs = leecher.lastContentAtMs - mendedAtMs;
      assert.ok(lateMs < LAST_BYTE_MS_MAX, `the last byte came ${lateMs} ms later`);
    }
    await scene.staysOut(gone);
    await scene.staysOut(removed);
    const later = carol.leecher.contentBytes;
    await until('the other transfer goes on', () => carol.leecher.contentBytes > later + MiB / 2);
    assert.ok(pauses.stop() < PAUSE_MS_MAX);
    assert.not.ok(carol.leecher.isClosed);

    // Tickets are back-dated by the clocks' tolerance: a fresh one after a fresh login must not look like one from before the logout.
    const { user, identity, fingerprint } = gone.member;
    const back = await Member.join({
      tracker: real,
      address: world.daemon('back').address,
      user,
      identity,
      isNew: false,
    });
    assert.is(back.fingerprint, fingerprint);
    const again = scene.dial(back, (await back.locate('lab', 'f')).ticket);
    await until('who logged in again is served', () => again.contentBytes > 0);
    assert.is((await bob.ok<{ user_id: string }>('whoami')).user_id, 'bob');
    again.close();
    for (const { member, leecher } of [gone, removed, carol]) {
      leecher.close();
      member.close();
    }
    for (const member of [owner, back]) member.close();
    relay.close();
  }, 1),
);

test(
  'with all trackers down a removed member is cut when its ticket expires, and not before the others’',
  trackersDown,
);

test(
  'a new epoch: an honest daemon renews its ticket and never stops, one that does not renew ends within 15 s',
  newEpoch,
);

test.run();
