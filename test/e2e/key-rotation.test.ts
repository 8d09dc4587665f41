// A new cluster key without a pause: the file holds both, trackers restart one by one, the order of the keys is swapped, the old one
// goes. Daemons that learned the old key by first use follow; a stranger's key is refused all the while.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fingerprintOf, makeClusterKeyPem, parseClusterKeyPem } from '../../codec/identity.ts';
import { sha1Of } from '../harness/files.ts';
import { BINS } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { inWorld, type World } from '../harness/world.ts';

const test = suite('key rotation');

async function restartAll(world: World, pem: string): Promise<void> {
  const path = join(world.dir, 'state', 'mini-torrent', 'cluster.key');
  writeFileSync(path, pem);
  chmodSync(path, 0o600);
  for (const number of [1, 2, 3]) {
    await world.trackers.get(number)!.stop();
    await world.startTracker(number);
    await until(
      'it is a follower or leads',
      async () => {
        const { trackers } = await world.status(world.daemons[0]!);
        return trackers.every(({ reachable }) => reachable);
      },
      { timeoutMs: 20_000, everyMs: 100 },
    );
  }
}

test(
  'from the old key to the new one, tracker by tracker, with transfers between daemons of either',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice, bob } = await world.people('alice', 'bob');
    await world.group('lab', alice, bob);
    const path = join(world.dir, 'state', 'mini-torrent', 'cluster.key');
    const old = readFileSync(path, 'utf8');
    const fresh = makeClusterKeyPem();
    const share = async (name: string) => {
      const file = alice.file(name, 300_000);
      await alice.ok('upload_file', file.path, 'lab');
      await bob.ok('download_file', 'lab', name, '.');
      assert.is(sha1Of(bob.path(name)), file.sha1, name);
    };
    await share('before');
    for (const [step, pem] of Object.entries({ 'old, new': old + fresh, 'new, old': fresh + old, new: fresh })) {
      await restartAll(world, pem);
      await share(step.replace(', ', '-'));
      assert.is((await alice.ok<{ user_id: string }>('whoami')).user_id, 'alice', `${step}: still logged in`);
    }
    // Who trusts the retired key only does not trust this cluster.
    const [retired] = parseClusterKeyPem(old);
    const info = join(world.dir, 'old.txt');
    writeFileSync(info, `${readFileSync(world.trackerInfo, 'utf8')}key ${fingerprintOf(retired!)}\n`);
    const eve = world.daemon('eve');
    const args = eve.args.map((arg) => (arg === world.trackerInfo ? info : arg));
    await world.spawn('mt-peerd eve', BINS.peerd, args).ready();
    await eve.fails('UNTRUSTED_CLUSTER', 'create_user', 'eve', 'pw', '--timeout', '5');
  }),
);

test.run();
