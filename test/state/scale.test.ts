// Size and speed at 100,000 of everything: no command may cost more in a large state, and the whole must stay small. Times are CPU
// time of this thread, so that a busy machine does not fail the test; the floors leave room for slow ones.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../cluster/state/apply.ts';
import { decodeCommand, encodeCommand } from '../../cluster/state/commands.ts';
import { listFiles, listGroups } from '../../cluster/state/queries.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import type { Command } from '../../cluster/state/types.ts';
import { contentOf, hashHex, ok, restoreFrom, sha256, snapshotOf, World } from './world.ts';

const COUNT = 100_000;
/** A quiet machine of 2025 does ten times as many. */
const COMMANDS_PER_S_MIN = 20_000;
const HEAP_BYTES_MAX = 100 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
/** CPU time of this thread, in ms. */
function cpuMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
/** Spread over the key space, the same every time. */
const scattered = (i: number) => (Math.imul(i, 2_654_435_761) >>> 0).toString(36);

const test = suite('cluster/state scale');

test('simple commands: their rate, while groups become 50,000', () => {
  const users = Array.from({ length: 100 }, (_, i) => `user${i}`);
  const world = new World().people(...users);
  const commands: Command[] = [];
  for (let i = 0; i < COUNT / 2; i++) {
    const [owner, guest] = [users[i % 100]!, users[(i + 1) % 100]!];
    const payload = { group_id: `g${scattered(i)}` };
    commands.push(world.next(owner, 'create_group', payload));
    commands.push(world.next(guest, 'join_group', payload));
  }
  const spent = cpuMs(() => {
    for (const command of commands) ok(world.commitUnlogged(command));
  });
  const rate = Math.round((commands.length / spent) * 1000);
  console.log(`      ${rate} commands/s applied`);
  assert.ok(rate > COMMANDS_PER_S_MIN, `${rate}/s`);
  assert.is(world.state.groups.size, COUNT / 2);
  const page = cpuMs(() => listGroups(world.state, world.actor('user1'), { after: 'gm', limit: 1000 }));
  assert.ok(page < 200, `a page took ${page} ms`);
});

test('100,000 files: memory, listing, snapshot, restore', () => {
  const before = heapBytes();
  const world = new World().people('alice', 'bob').group('g', 'alice', 'bob');
  const { piece_size, piece_count, size } = contentOf('x');
  for (let i = 0; i < COUNT; i++) {
    const manifest_hash = sha256(Buffer.from(`m${i}`)) as Uint8Array<ArrayBuffer>;
    const sha1 = manifest_hash.slice(0, 20);
    const payload = {
      group_id: 'g',
      file_name: `report ${scattered(i)}.pdf`,
      manifest_hash,
      sha1,
      size,
      piece_size,
      piece_count,
    };
    const seq = 100 + i;
    // Through bytes, as a follower gets it: strings must not keep the whole entry alive.
    const entry = encodeCommand(world.command(i % 2 === 0 ? 'alice' : 'bob', 'share_file', payload, seq, seq));
    world.index++;
    ok(apply(world.state, world.index, decodeCommand(entry)));
  }
  const heap = heapBytes() - before;
  console.log(`      ${(heap / 2 ** 20).toFixed(0)} MiB`);
  assert.ok(heap < HEAP_BYTES_MAX, `${heap} bytes`);

  const page = cpuMs(() =>
    listFiles(world.state, world.actor('bob'), { group_id: 'g', after: 'report m', limit: 1000 }),
  );
  assert.ok(page < 200, `a page took ${page} ms`);

  let snapshot = takeSnapshot(world.state, sha256);
  const begin = cpuMs(() => {
    snapshot.close();
    snapshot = takeSnapshot(world.state, sha256);
  });
  const slice = cpuMs(() => snapshot.next());
  snapshot.close();
  console.log(`      a snapshot begins in ${begin.toFixed(1)} ms, its first chunk takes ${slice.toFixed(1)} ms`);
  assert.ok(begin < 1000, `${begin} ms`);

  const chunks = snapshotOf(world.state);
  const twin = restoreFrom(chunks);
  assert.is(hashHex(twin), hashHex(world.state));
});

test('leaving with 20,000 files takes time by what it ends, and others go on', () => {
  const world = new World().people('alice', 'bob').group('g', 'alice', 'bob');
  for (let i = 0; i < 20_000; i++) {
    const seq = 100 + i;
    const payload = { group_id: 'g', file_name: `f${scattered(i)}`, ...contentOf('x') };
    ok(world.commitUnlogged(world.command('bob', 'share_file', payload, seq, seq)));
  }
  ok(world.share('alice', 'g', 'mine'));
  const leave = world.command('bob', 'leave_group', { group_id: 'g' }, 100_000, 100_000);
  let events = 0;
  const spent = cpuMs(() => {
    events = ok(world.commitUnlogged(leave)).events.length;
  });
  assert.is(events, 20_001);
  assert.is(world.state.fileCount, 1);
  assert.ok(spent < 3000, `${spent} ms`);
});

test.run();
