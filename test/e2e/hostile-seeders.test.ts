// Sources that the trackers named and that are worth nothing: they claim every piece and choke, stall, trickle or have none; they
// announce pieces by the billion. A download with one honest source ends in the time that this one takes.
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame } from '../../codec/frames.ts';
import { encodePeerFrame } from '../../codec/peer-messages.ts';
import { manifestOf } from '../harness/files.ts';
import { HostilePeer, type Lie } from '../harness/hostile-peer.ts';
import { inLab } from '../harness/lab.ts';
import { until } from '../harness/until.ts';
import { inWorld } from '../harness/world.ts';

const MiB = 1 << 20;
const SIZE = 6 * MiB;
/** Alone, the honest source takes 2 s at this rate. */
const HONEST_RATE = '3M';
/** Stalls are noticed within seconds; the machine may be busy. */
const DOWNLOAD_MS_MAX = 20_000;
const test = suite('hostile seeders');

const billion = (type: string, payload: unknown) => encodeFrame(type, encodeCbor(payload));
const LIES: Record<string, Pick<Lie, 'behaviour' | 'says'>> = {
  'chokes for ever': { behaviour: 'choke' },
  'offers and stalls': { behaviour: 'stall' },
  'has nothing of what its bitfield says': { behaviour: 'withdraw' },
  'sends a byte now and then': { behaviour: 'trickle' },
  'announces piece 10^9': {
    says: [encodePeerFrame('bitfield', [new Uint8Array(12)]), billion('have', [1_000_000_000])],
  },
  'announces 10^9 pieces in one bitfield': {
    says: [Buffer.concat([billion('bitfield', []).subarray(0, 12), Buffer.from([0x07, 0x73, 0x59, 0x40])])],
  },
  'claims 10^9 items in a list': {
    says: [
      encodePeerFrame('bitfield', [new Uint8Array(12)]),
      encodeFrame('have', Uint8Array.of(0x9a, 0x3b, 0x9a, 0xca, 0)),
    ],
  },
  'repeats its claims without end': {
    says: [
      encodePeerFrame('bitfield', [new Uint8Array(12).fill(0xff)]),
      ...Array.from({ length: 20_000 }, () =>
        encodePeerFrame(
          'have',
          Array.from({ length: 90 }, (_, i) => i),
        ),
      ),
    ],
  },
};

test(
  'peers that lie about what they have cost an honest download nothing but moments',
  inLab(['alice', 'bob'], async ({ alice, bob }, world) => {
    await alice.ok('limits', '--up', HONEST_RATE);
    const listen = world.daemon('mallory').address;
    const mallory = await HostilePeer.join({ tracker: world.trackerAddress(1), listen, user: 'mallory', isNew: true });
    try {
      await mallory.joinGroup('lab');
      await alice.ok('accept_request', 'lab', 'mallory');
      for (const [what, lie] of Object.entries(LIES)) {
        const name = what.replaceAll(/\W/g, '-');
        const { path, sha1 } = alice.file(name, SIZE);
        const content = readFileSync(path);
        await alice.ok('upload_file', path, 'lab');
        await mallory.share('lab', name, { manifest: manifestOf(content), content, alter: (block) => block, ...lie });
        const links = mallory.linksTaken;
        const startedAt = performance.now();
        const download = bob.ok('download_file', 'lab', name, '.');
        await until(`${what}: it was dialled`, () => mallory.linksTaken > links);
        assert.is((await download).sha1, sha1, what);
        const elapsedMs = performance.now() - startedAt;
        assert.ok(elapsedMs < DOWNLOAD_MS_MAX, `${what}: ${Math.round(elapsedMs)} ms`);
        if (process.env.MT_VERBOSE) console.log(what, Math.round(elapsedMs));
      }
      assert.is((await bob.ok<{ user_id: string }>('whoami')).user_id, 'bob');
    } finally {
      await mallory.close();
    }
  }),
);

test(
  'a wrong piece: its sender is banned for that file alone, and reported to the trackers; a reporter who lies bans nobody',
  inWorld(async (world) => {
    const tracker = await world.startTracker(1);
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('lab', alice, bob);
    await alice.ok('limits', '--up', HONEST_RATE);
    const listen = world.daemon('mallory').address;
    const mallory = await HostilePeer.join({ tracker: world.trackerAddress(1), listen, user: 'mallory', isNew: true });
    const flip = (block: Buffer) => {
      block[0]! ^= 1;
      return block;
    };
    const reports = () =>
      tracker.stderr.split('\n').flatMap((line) => {
        if (!line.includes('reports it')) return [];
        const { user, group, file, reporter, reason, source } = JSON.parse(line) as Record<string, unknown>;
        return [{ user, group, file, reporter, reason, source }];
      });
    try {
      await mallory.joinGroup('lab');
      await alice.ok('accept_request', 'lab', 'mallory');
      const made = ['wrong', 'right'].map((name) => ({ name, ...alice.file(name, 3 * MiB) }));
      for (const { name, path } of made) {
        const content = readFileSync(path);
        await alice.ok('upload_file', path, 'lab');
        const alter = name === 'wrong' ? flip : (block: Buffer) => block;
        await mallory.share('lab', name, { manifest: manifestOf(content), content, alter });
        const links = mallory.linksTaken;
        const { sha1 } = await bob.ok('download_file', 'lab', name, '.');
        assert.is(sha1, made.find((file) => file.name === name)!.sha1);
        assert.ok(mallory.linksTaken > links, `${name}: it was dialled: the ban is of one file`);
      }
      await until('it is reported', () => reports().length > 0);
      const report = { user: 'mallory', group: 'lab', file: 'wrong', reporter: 'bob', reason: 'corrupt', source: true };
      assert.equal(reports(), [report]);

      // mallory says the same of alice, again and again, and of everything.
      const { session } = mallory.member;
      const { peers } = await mallory.member.locate('lab', 'right');
      const { fingerprint } = peers.find(({ user_id }) => user_id === 'alice')!;
      const lie = (group_id: string, file_name: string, about = fingerprint) =>
        mallory.member.rpc
          .call('report_peer', {
            session,
            group_id,
            file_name,
            user_id: 'alice',
            fingerprint: about,
            reason: 'corrupt',
          })
          .then(
            () => 'heard',
            (error: { code: string }) => error.code,
          );
      assert.is(await lie('lab', 'right'), 'heard');
      assert.is(await lie('lab', 'no-such-file'), 'NO_SUCH_FILE');
      assert.is(await lie('other', 'right'), 'NO_SUCH_GROUP');
      for (let i = 0; i < 20; i++) assert.is(await lie('lab', 'right'), 'heard', 'the same again: heard, not written');
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => lie('lab', 'right', i.toString(16).padStart(64, '0'))),
      );
      assert.ok(answers.includes('OVERLOADED'), 'one reporter can write so much and no more');
      assert.ok(reports().length < 40, `${reports().length} lines`);
      assert.not.ok(
        reports().some(({ source }, at) => source && at > 1),
        'made-up sources are told from real ones',
      );
      const { seeders } = await bob.ok<{ seeders: { user_id: string }[] }>('list_seeders', 'lab', 'right');
      assert.ok(seeders.some(({ user_id }) => user_id === 'alice'));
      const carol = await (await world.daemon('carol').start()).enter();
      await carol.ok('join_group', 'lab');
      await alice.ok('accept_request', 'lab', 'carol');
      await carol.ok('download_file', 'lab', 'right', '.', '--peer', 'alice');
    } finally {
      await mallory.close();
    }
  }, 1),
);

test.run();
