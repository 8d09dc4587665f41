// Whoever loses a right loses it at once: leave_group, remove_member, logout, revoke_session and stop_share end the transfers that
// stood on it within 5 s, and others' go on without a pause. The loser is a hostile leecher: it goes on asking, whatever it is told.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { signTicket } from '../../codec/ticket.ts';
import { manifestOf } from '../harness/files.ts';
import { Leecher } from '../harness/hostile-leecher.ts';
import { Member } from '../harness/hostile-member.ts';
import { until } from '../harness/until.ts';
import { type Daemon, inWorld, type World } from '../harness/world.ts';

const MiB = 1 << 20;
/** The promise. */
const LAST_BYTE_MS_MAX = 5_000;
/** Longest gap between two arrivals at an honest member, on a busy machine with a rate limit. */
const PAUSE_MS_MAX = 2_500;
const test = suite('thrown out');

interface Scene {
  readonly world: World;
  readonly alice: Daemon;
  readonly mallory: Member;
  readonly loser: Leecher;
  /** An honest one whose transfer must not notice. */
  readonly carol: Leecher;
  readonly dial: (member: Member, ticket: Uint8Array) => Leecher;
}

/** alice serves at a low rate to mallory and carol at once. */
async function scene(world: World): Promise<Scene> {
  await world.startTracker(1);
  const { alice } = await world.people('alice');
  await alice.ok('create_group', 'lab');
  const { path } = alice.file('f', 64 * MiB);
  await alice.ok('upload_file', path, 'lab');
  await alice.ok('limits', '--up', '1M');
  const { pieceSize, pieceCount } = manifestOf(readFileSync(path), 131_072);
  const dial = (member: Member, ticket: Uint8Array) =>
    new Leecher({
      to: alice.address,
      identity: member.identity,
      hello: {
        group_id: 'lab',
        file_name: 'f',
        manifest_hash: new Uint8Array(manifestHash(encodeManifest(manifestOf(readFileSync(path), pieceSize)))),
        ticket,
      },
      pieceCount,
      pieceSize,
    });
  const enter = async (user: string) => {
    const tracker = world.trackerAddress(1);
    const member = await Member.join({ tracker, address: world.daemon(user).address, user, isNew: true });
    await member.joinGroup('lab');
    await alice.ok('accept_request', 'lab', user);
    return member;
  };
  const mallory = await enter('mallory');
  const carolMember = await enter('carol');
  const loser = dial(mallory, (await mallory.locate('lab', 'f')).ticket);
  const carol = dial(carolMember, (await carolMember.locate('lab', 'f')).ticket);
  await until('both get content', () => loser.contentBytes > 0 && carol.contentBytes > 0);
  return { world, alice, mallory, loser, carol, dial };
}

/** Does it, and checks what both got afterwards. */
async function cut({ loser, carol }: Scene, act: () => Promise<unknown>): Promise<void> {
  let longestPauseMs = 0;
  let bytes = carol.contentBytes;
  let changedAtMs = performance.now();
  const watch = setInterval(() => {
    const nowMs = performance.now();
    if (carol.contentBytes !== bytes) {
      bytes = carol.contentBytes;
      changedAtMs = nowMs;
    }
    longestPauseMs = Math.max(longestPauseMs, nowMs - changedAtMs);
  }, 20);
  await act();
  const actedAtMs = performance.now();
  await until('the link is cut', () => loser.isClosed);
  const before = carol.contentBytes;
  await until('the other transfer goes on', () => carol.contentBytes > before + MiB);
  clearInterval(watch);
  assert.ok(loser.lastContentAtMs - actedAtMs < LAST_BYTE_MS_MAX, `${loser.lastContentAtMs - actedAtMs} ms later`);
  assert.ok(longestPauseMs < PAUSE_MS_MAX, `a pause of ${Math.round(longestPauseMs)} ms for others`);
  assert.not.ok(carol.isClosed);
}

async function staysOut({ dial, mallory }: Scene, ticket: Uint8Array): Promise<void> {
  const again = dial(mallory, ticket);
  await until('the old ticket opens nothing', () => again.isClosed);
  assert.is(again.contentBytes, 0);
}

const ACTS: Record<string, (scene: Scene) => Promise<unknown>> = {
  remove_member: ({ alice }) => alice.ok('remove_member', 'lab', 'mallory'),
  leave_group: ({ mallory }) => mallory.leaveGroup('lab'),
  logout: ({ mallory }) => mallory.rpc.call('logout', mallory.speaker),
  'revoke_session from another daemon': async ({ world, mallory }) => {
    const laptop = await world.daemon('mallory-2').start();
    await laptop.ok('login', 'mallory', 'pw-mallory');
    await laptop.ok('revoke_session', mallory.session);
  },
};
for (const [what, act] of Object.entries(ACTS)) {
  test(
    `${what}: the last byte comes at most 5 s later, the old ticket opens nothing, others feel nothing`,
    inWorld(async (world) => {
      const all = await scene(world);
      const { ticket } = await all.mallory.locate('lab', 'f');
      await cut(all, () => act(all));
      await staysOut(all, ticket);
      all.carol.close();
      all.mallory.close();
    }, 1),
  );
}

test(
  'stop_share ends all transfers of the file at once',
  inWorld(async (world) => {
    const { alice, loser, carol, mallory } = await scene(world);
    await alice.ok('stop_share', 'lab', 'f');
    const actedAtMs = performance.now();
    await until('both are cut', () => loser.isClosed && carol.isClosed);
    for (const { lastContentAtMs } of [loser, carol]) assert.ok(lastContentAtMs - actedAtMs < LAST_BYTE_MS_MAX);
    mallory.close();
  }, 1),
);

test(
  'with all trackers down a removed member is cut when its ticket expires, and not before the others’',
  inWorld(async (world) => {
    const { alice, mallory, loser, carol, dial } = await scene(world);
    loser.close();
    const key = createPrivateKey(readFileSync(join(world.dir, 'state', 'mini-torrent', 'cluster.key'), 'utf8'));
    const { file } = await mallory.locate('lab', 'f');
    const { fingerprint } = mallory;
    const expiresAtMs = Date.now() + 4_000;
    const ticket = signTicket(
      {
        user_id: 'mallory',
        fingerprint,
        group_id: 'lab',
        epoch: 1,
        file_name: 'f',
        manifest_hash: Uint8Array.from(file.manifest_hash),
        not_before: Date.now() - 1_000,
        expires_at: expiresAtMs,
      },
      key,
    );
    const short = dial(mallory, new Uint8Array(ticket));
    await until('it gets content', () => short.contentBytes > 0);
    await world.trackers.get(1)!.kill();
    await until('cut at the expiry', () => short.isClosed);
    assert.ok(Date.now() < expiresAtMs + LAST_BYTE_MS_MAX, `${Date.now() - expiresAtMs} ms after the expiry`);
    const before = carol.contentBytes;
    await until('whose ticket lives is served on', () => carol.contentBytes > before);
    assert.is((await alice.ok<{ user_id: string }>('whoami')).user_id, 'alice');
    carol.close();
    mallory.close();
  }, 1),
);

test(
  'a new epoch: an honest daemon renews its ticket and never stops, one that does not renew ends within 15 s',
  inWorld(async (world) => {
    const { alice, mallory, carol } = await scene(world);
    const bob = await (await world.daemon('bob').start()).enter();
    await bob.ok('join_group', 'lab');
    await alice.ok('accept_request', 'lab', 'bob');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    const bytes = async () =>
      (await bob.ok<{ downloads: { bytes_done: number }[] }>('show_downloads')).downloads[0]!.bytes_done;
    await until('bob gets pieces', async () => (await bytes()) > 0);
    await alice.ok('remove_member', 'lab', 'mallory');
    await until('carol, who renews nothing, is told to', () => carol.isClosed, { timeoutMs: 15_000 });
    assert.is(carol.refusal?.code, 'FORBIDDEN');
    const before = await bytes();
    await until('bob goes on', async () => (await bytes()) > before);
    mallory.close();
  }, 1),
);

test.run();
