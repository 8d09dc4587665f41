// The data plane under many: 500 links to one daemon, each with a key and a ticket of its own, each served; and a file that is much
// larger than the memory that it may pass through.
import { randomBytes } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import { dial } from '../../daemon/peer/dial.ts';
import type { BlockHeader } from '../../daemon/peer/frame-reader.ts';
import type { LinkOwner, PeerLink } from '../../daemon/peer/link.ts';
import { peerTlsOptions } from '../../daemon/peer/tls.ts';
import { until } from '../harness/until.ts';
import { GROUP, type TestDaemon, World } from './data-plane-world.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LINKS = 500;
/** Dialled at once: strangers of one address are limited. */
const AT_ONCE = 50;
const test = suite<{ world: World }>('data plane, many');
test.before.each((context) => {
  context.world = new World();
});
test.after.each(({ world }) => world.close());

/** Takes the first piece that it is offered, and then no other. */
class Taker implements LinkOwner {
  readonly got = Buffer.alloc(64 * KIB);
  piece: number | null = null;
  isDone = false;
  end: Error | null = null;

  onMessage(link: PeerLink, message: Parameters<LinkOwner['onMessage']>[1]): void {
    if (message.type === 'bitfield')
      return link.send({ type: 'bitfield', bytes: new Uint8Array(message.bytes.length) });
    if (message.type !== 'offer') return;
    const { piece } = message;
    if (this.piece !== null) return link.send({ type: 'decline', piece });
    this.piece = piece;
    link.send({ type: 'accept', offered: piece, piece, runs: [], reverse: false });
  }
  onBlock(_link: PeerLink, { piece, offset, size }: BlockHeader): Buffer | null {
    return piece === this.piece && !this.isDone ? this.got.subarray(offset, offset + size) : null;
  }
  onBlockEnd(link: PeerLink, { piece, offset, size }: BlockHeader, kept: boolean): void {
    if (!kept || offset + size < this.got.length) return;
    this.isDone = true;
    link.send({ type: 'got', piece });
    link.send({ type: 'have', pieces: [piece] });
  }
  onTicket(): void {}
  readonly isContentLimited = false;
  onContent(): void {}
  onRtt(): void {}
  onClose(_link: PeerLink, error: Error): void {
    this.end = error;
  }
}

async function enter(world: World, seeder: TestDaemon, number: number): Promise<{ link: PeerLink; taker: Taker }> {
  const identity = await makeDaemonIdentity(Date.now());
  const user = `user-${number}`;
  const {
    user: seederName,
    identity: { fingerprint },
    address,
  } = seeder; // prettier-ignore
  return new Promise((resolve, reject) => {
    dial(
      {
        peer: { user_id: seederName, fingerprint, address, complete: true },
        context: createSecureContext(peerTlsOptions(identity)),
        groupId: GROUP,
        fileName: 'file',
        manifestHash: world.files.get('file')!.hash,
        ticket: world.ticket('file', { user, fingerprint: identity.fingerprint }),
      },
      (link) => {
        const taker = new Taker();
        link.owner = taker;
        resolve({ link, taker });
      },
      reject,
    );
  });
}

test(`${LINKS} links to one daemon: each is let in and served, in memory that is bounded`, async ({ world }) => {
  const seeder = await world.daemon('alice');
  const content = randomBytes(4 * MIB);
  seeder.share('file', content, 64 * KIB);
  const before = process.memoryUsage().rss;
  const all: { link: PeerLink; taker: Taker }[] = [];
  while (all.length < LINKS) {
    const numbers = Array.from({ length: AT_ONCE }, (_, i) => all.length + i);
    all.push(...(await Promise.all(numbers.map((number) => enter(world, seeder, number)))));
  }
  await until('everybody has a piece', () => all.every(({ taker }) => taker.isDone), { timeoutMs: 60_000 });
  for (const { taker } of all) {
    assert.is(taker.end, null);
    const at = taker.piece! * 64 * KIB;
    assert.ok(taker.got.equals(content.subarray(at, at + 64 * KIB)));
  }
  // Both ends of each link are in this process, and its taker's 64 KiB.
  const grownMiB = (process.memoryUsage().rss - before) / MIB;
  assert.ok(grownMiB < 350, `${LINKS} links took ${grownMiB.toFixed(0)} MiB`);

  // The crowd stays, and the daemon still has time for one who wants everything.
  const { answer } = (await world.daemon('bob')).download('file');
  assert.is((await answer).state, 'complete');
  for (const { link } of all) link.close();
});

test('a file passes through in a fraction of its size, whoever sends it', async ({ world }) => {
  const size = 320 * MIB;
  const content = Buffer.alloc(size);
  for (let at = 0; at < size; at += MIB) randomBytes(MIB).copy(content, at);
  const seeders = [await world.daemon('alice'), await world.daemon('carol')];
  for (const seeder of seeders) seeder.share('file', content, MIB);
  const leecher = await world.daemon('bob');
  const before = process.memoryUsage.rss();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  const { answer } = leecher.download('file');
  assert.is((await answer).state, 'complete');
  clearInterval(watch);
  const grownMiB = (peak - before) / MIB;
  assert.ok(grownMiB < 160, `${size / MIB} MiB took ${grownMiB.toFixed(0)} MiB of memory in three daemons`);
  assert.ok(leecher.read('file').equals(content));
});

test.run();
