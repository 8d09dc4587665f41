// Why nothing moves: each reason that show_downloads can give, brought about for real, as a line for people and a code for programs.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DownloadRow } from '../../codec/control-api.ts';
import { encodePeerFrame } from '../../codec/peer-messages.ts';
import { manifestOf } from '../harness/files.ts';
import { HostilePeer } from '../harness/hostile-peer.ts';
import { inLab } from '../harness/lab.ts';
import { Meter } from '../harness/meter.ts';
import { type Daemon, inWorld } from '../harness/world.ts';

const MiB = 1 << 20;
const test = suite('transfer-reasons');

/** Waits for the code, and checks that people are told the same. */
async function shows(daemon: Daemon, file: string, code: string, line: RegExp): Promise<DownloadRow> {
  const meter = await Meter.of(daemon);
  try {
    const row = await meter.when(`${file}: ${code}`, file, ({ reason_code }) => reason_code === code);
    assert.match(row.reason ?? '', line);
    const { stdout } = await daemon.mt('show_downloads');
    const shown = stdout.split('\n').find((text) => text.includes(`] ${file}`)) ?? '';
    assert.match(shown, line);
    assert.match(shown, /^\[[DPE]\] \[lab\] /);
    return row;
  } finally {
    meter.close();
  }
}

test(
  'unreachable, no seeder online, refused, limited here, limited there, banned',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }, world) => {
    // One release of content each, and then nothing for an hour.
    await alice.ok('limits', '--up', '1');
    await carol.ok('limits', '--down', '1');
    for (const name of ['slow', 'other', 'late']) {
      await alice.ok('upload_file', alice.file(name, MiB).path, 'lab');
    }
    const listen = world.daemon('mallory').address;
    const mallory = await HostilePeer.join({ tracker: world.trackerAddress(1), listen, user: 'mallory', isNew: true });
    await mallory.joinGroup('lab');
    await alice.ok('accept_request', 'lab', 'mallory');
    const content = Buffer.alloc(MiB, 7);
    const manifest = manifestOf(content);
    const begin = async (who: Daemon, name: string, ...flags: string[]) => {
      await who.ok('download_file', 'lab', name, '.', '--detach', ...flags);
    };

    const says = [encodePeerFrame('refused', { code: 'FORBIDDEN', message: 'Not for you' })];
    await mallory.share('lab', 'refused', { manifest, content, alter: (block) => block, says });
    await begin(bob, 'refused');
    await shows(bob, 'refused', 'FORBIDDEN', /Refused by the peer: Not for you/);
    await bob.ok('cancel_download', 'lab', 'refused');
    await mallory.share('lab', 'poison', { manifest, content, alter: (block) => block.fill(1) });
    await begin(bob, 'poison');
    await begin(bob, 'slow');
    await begin(bob, 'other', '--peer', 'carol');
    await Promise.all([
      shows(bob, 'poison', 'NO_SEEDERS', /No other seeder is online: 1 peer sent wrong pieces/),
      shows(bob, 'slow', 'WAITING', /Waiting for 1 peer to send: limited there/),
      shows(bob, 'other', 'NO_SEEDERS', /carol has no daemon online that has the file/),
    ]);
    await mallory.share('lab', 'narrow', { manifest, content, alter: (block) => block });
    await begin(carol, 'narrow');
    await shows(carol, 'narrow', 'LIMITED', /This daemon downloads at most 1 byte a second/);
    await mallory.close();

    // Killed: named until its lease runs out, and nobody answers there. Then it comes back and says goodbye.
    await alice.program.kill();
    await begin(bob, 'late');
    await shows(bob, 'late', 'PEER_UNREACHABLE', /1 peer named, none reached/);
    await alice.start();
    await alice.program.stop();
    await shows(bob, 'late', 'NO_SEEDERS', /No seeder is online/);
  }),
);

test(
  'no quorum',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('lab', alice, bob);
    await alice.ok('upload_file', alice.file('f', 8 * MiB).path, 'lab');
    await alice.ok('limits', '--up', '1M');
    await bob.ok('download_file', 'lab', 'f', '.', '--detach');
    await alice.ok('logout');
    await shows(bob, 'f', 'NO_SEEDERS', /No seeder is online/);
    const leader = await world.leader(bob);
    for (const [number, tracker] of world.trackers) if (number !== leader) await tracker.kill();
    await shows(bob, 'f', 'NO_QUORUM', /no tracker answers/);
    await world.trackers.get(leader)!.kill();
    await shows(bob, 'f', 'TRACKER_UNREACHABLE', /no tracker answers/);
  }),
);

test.run();
