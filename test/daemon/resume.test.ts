// Maps of verified pieces: over a kill, over a power loss, and against rubbish.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootId, encodeMap, MAP_HEADER_SIZE, ResumeMap, readMap } from '../../daemon/disk/resume.ts';

const content = { manifestHash: new Uint8Array(32).fill(5), pieceCount: 10 };
const otherBoot = Buffer.alloc(16, 9);
const test = suite<{ dir: string }>('resume map');
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-resume-'));
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }));

/** As the worker marks a piece. */
function mark(path: string, piece: number): void {
  const bytes = readFileSync(path);
  bytes[ResumeMap.position(piece)] = 1;
  writeFileSync(path, bytes);
}

test('marks of this boot count after a kill', async ({ dir }) => {
  const path = join(dir, 'map');
  const { map, state } = await ResumeMap.open(path, content, true);
  // There was data and no map: everything is to be looked at.
  assert.is(state.candidates.length, 10);
  mark(path, 3);
  mark(path, 7);
  await map.close();
  const again = await ResumeMap.open(path, content, true);
  assert.equal(again.state, { verified: [3, 7], candidates: [] });
  assert.ok(again.map.hasUnsynced);
  await again.map.close();
});

test('after a power loss only what was synced counts', async ({ dir }) => {
  const path = join(dir, 'map');
  const { map } = await ResumeMap.open(path, content, false);
  for (const piece of [1, 2, 5]) {
    mark(path, piece);
    map.noteWritten(piece);
  }
  let isSynced = false;
  await map.sync(async () => {
    isSynced = true;
  });
  assert.ok(isSynced);
  mark(path, 8);
  const bytes = readFileSync(path);
  assert.equal(readMap(bytes, content, bootId()), { verified: [1, 2, 5, 8], candidates: [] });
  assert.equal(readMap(bytes, content, otherBoot), { verified: [1, 2, 5], candidates: [8] });
  await map.close();
});

test('a failed sync promises nothing', async ({ dir }) => {
  const path = join(dir, 'map');
  const { map } = await ResumeMap.open(path, content, false);
  mark(path, 4);
  map.noteWritten(4);
  await map.sync(() => Promise.reject(new Error('EIO'))).catch(() => {});
  assert.ok(map.hasUnsynced);
  assert.equal(readMap(readFileSync(path), content, otherBoot), { verified: [], candidates: [4] });
  await map.close();
});

test('pieces can be taken back', async ({ dir }) => {
  const path = join(dir, 'map');
  const { map } = await ResumeMap.open(path, content, false);
  mark(path, 4);
  map.noteWritten(4);
  await map.clear([4]);
  assert.not.ok(map.hasUnsynced);
  assert.equal(readMap(readFileSync(path), content, bootId()).verified, []);
  await map.close();
});

test('a map of other content, or no map at all, makes every piece a candidate', () => {
  const bytes = encodeMap(content, [1, 2], bootId());
  assert.equal(readMap(bytes, content, bootId()).verified, [1, 2]);
  const other = { ...content, manifestHash: new Uint8Array(32) };
  assert.is(readMap(bytes, other, bootId()).candidates.length, 10);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: MAP_HEADER_SIZE + 20 }), (rubbish) => {
      const { verified, candidates } = readMap(Buffer.from(rubbish), content, bootId());
      assert.equal(verified, []);
      assert.is(candidates.length, 10);
    }),
  );
});

test('a changed byte of the marks never makes a piece out of nothing certain', () => {
  // 0, 1 and 2 are the only marks; any other byte is a candidate at most.
  const bytes = encodeMap(content, [], bootId());
  bytes[MAP_HEADER_SIZE + 6] = 77;
  assert.equal(readMap(bytes, content, bootId()), { verified: [], candidates: [6] });
});

test.run();
