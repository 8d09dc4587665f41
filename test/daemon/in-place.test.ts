// Rotten bytes are put right where they lie: only they, only in files that nobody else has written to.
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { identityOf } from '../../daemon/disk/file-identity.ts';
import { InPlace } from '../../daemon/shares/in-place.ts';
import type { ShareRecord } from '../../daemon/store/share-store.ts';
import { scanTree } from '../../daemon/tree/scan.ts';
import { compareShare, readTreeIndex, withIdentity } from '../../daemon/tree/tree-index.ts';
import { TreeSource } from '../../daemon/tree/tree-source.ts';
import { makeTree, type TreePlan } from '../harness/trees.ts';

const PLAN: TreePlan = { a: 'first', 'b/none': '', 'b/one': 1, 'b/two*': 500, 'b/zero': '', c: 70, d: null, z: 1000 };
const test = suite<{ dir: string; root: string }>('written in place');

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-in-place-'));
  context.root = join(context.dir, 'tree');
  makeTree(context.root, PLAN);
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }));

const BLANK = { groupId: 'lab', fileName: 'tree', userId: 'ann', manifestHash: new Uint8Array(32), rotten: null };
const LIFE = { published: true, announced: null, scrubbedAtMs: 0, scrubNext: 0 };

async function shared(root: string): Promise<{ record: ShareRecord; content: Buffer }> {
  const tree = await scanTree(root, new AbortController().signal);
  const { sizeBytes } = readTreeIndex(tree);
  const record = { ...BLANK, ...LIFE, path: root, inode: lstatSync(root, { bigint: true }).ino, sizeBytes, tree };
  const whole = { ...record, mtimeNs: 0n };
  return { record: whole, content: await contentOf(whole) };
}

async function contentOf({ path, tree, sizeBytes }: ShareRecord): Promise<Buffer> {
  const source = new TreeSource(path, readTreeIndex(tree!));
  const content = Buffer.alloc(sizeBytes);
  await source.read(content, 0, content.length, 0).finally(() => source.close());
  return content;
}

/** Another byte somewhere in a file, and the share remembers the file as it is then: as if nobody had written it. */
function rot(record: ShareRecord, number: number, position: number): ShareRecord {
  const path = join(record.path, readTreeIndex(record.tree!).files[number]!.path);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.of(readFileSync(path)[position]! ^ 0x55), 0, 1, position);
  closeSync(fd);
  return { ...record, tree: withIdentity(record.tree!, number, identityOf(lstatSync(path, { bigint: true }))) };
}

/** What the registry remembers, change after change. */
function writer(record: ShareRecord) {
  const now = { record, changes: 0 };
  const inPlace = new InPlace(record, (change) => {
    now.record = { ...now.record, ...change };
    now.changes++;
  });
  const write = async (bytes: Buffer, position: number) => {
    try {
      await inPlace.write(bytes, position);
      await inPlace.sync();
    } finally {
      await inPlace.close();
    }
  };
  return { now, write };
}

test('whatever rots, and however the content is cut: it is whole again, and the rest is as it was', async ({
  root,
}) => {
  const { record, content } = await shared(root);
  const { files } = readTreeIndex(record.tree!);
  const place = fc.nat(content.length - 1).map((position) => {
    const number = files.findIndex((file) => position >= file.position && position < file.position + file.sizeBytes);
    return { number, within: number < 0 ? 0 : position - files[number]!.position };
  });
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  await fc.assert(
    fc.asyncProperty(
      fc.array(place, { maxLength: 5 }),
      fc.integer({ min: 1, max: 2000 }),
      async (places, pieceSize) => {
        let rotten = (await shared(root)).record;
        const touched = new Set<number>();
        for (const { number, within } of places) {
          if (number < 0 || touched.has(number)) continue; // the list of the tree is in no file
          touched.add(number);
          rotten = rot(rotten, number, within);
        }
        const times = files.map(({ path }) => statSync(join(root, path), { bigint: true }).mtimeNs);
        const { now, write } = writer(rotten);
        for (let at = 0; at < content.length; at += pieceSize) {
          await write(content.subarray(at, Math.min(content.length, at + pieceSize)), at);
        }
        assert.equal(await contentOf(now.record), content);
        assert.is(now.changes, touched.size);
        assert.is(await compareShare(now.record), 'intact');
        for (const [number, { path }] of files.entries()) {
          if (touched.has(number)) continue;
          assert.is(statSync(join(root, path), { bigint: true }).mtimeNs, times[number], path);
        }
      },
    ),
    { numRuns: 60, seed },
  );
});

test('what somebody else wrote, replaced or led elsewhere is left as it is', async ({ dir, root }) => {
  const elsewhere = join(dir, 'elsewhere');
  const spoilers: Record<string, (path: string) => void> = {
    'edited in place': (path) => writeFileSync(path, 'edited'.padEnd(500)),
    replaced: (path) => {
      writeFileSync(`${path}.new`, 'x'.repeat(500));
      renameSync(`${path}.new`, path);
    },
    'a link': (path) => {
      renameSync(path, elsewhere);
      symlinkSync(elsewhere, path);
    },
    'a link above it': (path) => {
      const above = join(path, '..');
      renameSync(above, elsewhere);
      mkdirSync(join(dir, 'other'));
      writeFileSync(join(dir, 'other', 'two'), 'y'.repeat(500));
      symlinkSync(join(dir, 'other'), above);
    },
    gone: (path) => rmSync(path),
  };
  for (const [what, spoil] of Object.entries(spoilers)) {
    rmSync(root, { recursive: true });
    rmSync(elsewhere, { recursive: true, force: true });
    makeTree(root, PLAN);
    const { record, content } = await shared(root);
    const two = readTreeIndex(record.tree!).files.findIndex(({ path }) => path === 'b/two');
    const { now, write } = writer(rot(record, two, 3));
    const path = join(root, 'b', 'two');
    spoil(path);
    const before = what === 'gone' ? null : readFileSync(path);
    const refused = await write(content, 0).then(
      () => assert.unreachable(what),
      (error: unknown) => error,
    );
    assert.ok(isMtError(refused, 'INVALID_ARGUMENT', 'PERMISSION', 'PATH_NOT_FOUND'), `${what}: ${refused}`);
    if (before) assert.equal(readFileSync(path), before, what);
    assert.is(now.changes, 0, what);
  }
});

test.run();
