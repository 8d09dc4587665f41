// Whoever hashes and writes (the main thread, a thread, two threads: it goes by the size of the file), the outcome is the same.
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PieceDisk } from '../../daemon/disk/piece-disk.ts';
import { type PieceAnswer, PieceJobs } from '../../daemon/disk/piece-jobs.ts';
import { SlotPool } from '../../daemon/peer/slots.ts';

const MIB = 1024 * 1024;
const SIZE = 100_000;
const test = suite('piece disk');

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
const asked = (ask: (onAnswer: (answer: PieceAnswer) => void) => void) => new Promise<PieceAnswer>(ask);

for (const [who, fileBytes] of [
  ['the main thread', MIB],
  ['a thread, and the main thread for the whole', 512 * MIB],
  ['two threads', 1024 * MIB],
] as const) {
  test(`${who}: verifies, writes and marks, refuses what is wrong, follows with the whole SHA-1`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'mt-piece-disk-'));
    const pool = new SlotPool(2 * MIB);
    const disk = new PieceDisk(pool, (error) => {
      throw error;
    });
    const fd = openSync(join(dir, 'data'), 'w+');
    const map = openSync(join(dir, 'map'), 'w+');
    try {
      disk.warmUp(fileBytes);
      const target = { fd, map, fileBytes };
      const pieces = [randomBytes(SIZE), randomBytes(SIZE), randomBytes(SIZE)];
      const place = (piece: number) => ({ position: piece * SIZE, size: SIZE, mark: piece });
      const slots = pieces.map((bytes) => {
        const slot = pool.take(SIZE)!;
        bytes.copy(slot.bytes);
        return slot;
      });
      const follower = disk.follower(fileBytes);
      const part = (piece: number) => ({ fd, position: piece * SIZE, size: SIZE });
      const bad = asked((done) => disk.verify(target, place(1), sha256(pieces[0]!), slots[1]!, done));
      const last = asked((done) => disk.verify(target, place(2), sha256(pieces[2]!), slots[2]!, done));
      assert.ok(disk.backlogBytes > 0);
      assert.not((await bad).ok, 'another hash');
      assert.ok((await last).ok);
      assert.equal([...readFileSync(join(dir, 'map'))], [0, 0, 1], 'a refused piece is not marked');
      assert.ok((await asked((done) => disk.verify(target, place(0), sha256(pieces[0]!), slots[0]!, done))).ok);
      assert.ok((await asked((done) => disk.write(target, part(1), slots[1]!, done))).ok);
      assert.not((await asked((done) => disk.check(target, place(1), sha256(pieces[2]!), done))).ok);
      assert.ok((await asked((done) => disk.check(target, place(1), sha256(pieces[1]!), done))).ok);
      assert.is(disk.backlogBytes, 0);
      // In their order, though the second is read back while the third is in memory.
      disk.follow(follower, part(0), slots[0]!, () => {});
      disk.follow(follower, part(1), null, () => {});
      disk.follow(follower, part(2), slots[2]!, () => {});
      const { digest } = await asked((done) => disk.digest(follower, done));
      const whole = Buffer.concat(pieces);
      assert.equal(Buffer.from(digest!), createHash('sha1').update(whole).digest());
      assert.equal(readFileSync(join(dir, 'data')), whole);
      assert.equal([...readFileSync(join(dir, 'map'))], [1, 1, 1]);
      const tooFar = await asked((done) => disk.check(target, place(3), sha256(pieces[2]!), done));
      assert.equal([tooFar.ok, tooFar.error], [false, undefined], 'the file is shorter');
      const closed = await asked((done) =>
        disk.verify({ fd: 1_000_000, map, fileBytes }, place(0), sha256(pieces[0]!), slots[0]!, done),
      );
      assert.is(closed.error?.code, 'EBADF');
    } finally {
      await disk.close();
      closeSync(fd);
      closeSync(map);
      rmSync(dir, { recursive: true, force: true });
    }
  });
}

test('what is read back comes in parts of the size that suits who reads, however little each read brings', async () => {
  const bytes = randomBytes(1_000);
  const asked: number[] = [];
  const read = async (_fd: number, into: Uint8Array, size: number, position: number) => {
    asked.push(size);
    return bytes.copy(into, 0, position, position + Math.min(size, 300));
  };
  const jobs = new PieceJobs(new SharedArrayBuffer(0), { readSize: 400, read, write: async () => 0 });
  const back = { id: 1, op: 'follow', follower: 1, fd: 0, at: null, size: 1_000, position: 0 } as const;
  assert.ok((await jobs.answer(back)).ok);
  const { digest } = await jobs.answer({ id: 2, op: 'digest', follower: 1 });
  assert.equal(Buffer.from(digest!), createHash('sha1').update(bytes).digest());
  assert.equal(asked, [400, 400, 400, 100]);
});

test.run();
