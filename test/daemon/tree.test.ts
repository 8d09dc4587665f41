// Directories on this disk: read as one content, made again from one, whatever a publisher or a crash did to it.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import { decodeTree, encodeTree, type TreeEntry } from '../../codec/tree.ts';
import type { DownloadRecord } from '../../daemon/store/download-store.ts';
import {
  giveTreeFinalName,
  recheckTree,
  settleTree,
  shareOfTree,
  unpackDownload,
} from '../../daemon/tree/finish-tree.ts';
import { scanTree } from '../../daemon/tree/scan.ts';
import { compareShare, readTreeIndex } from '../../daemon/tree/tree-index.ts';
import { TreeSource } from '../../daemon/tree/tree-source.ts';
import { SMALL_SIZE_MAX } from '../../daemon/tree/tree-thread.ts';
import { manifestOf } from '../harness/files.ts';
import { mountRefusal, withMount } from '../harness/mount.ts';
import { testOrSkip } from '../harness/skip.ts';
import { makeTree, pictureOf, type TreePlan } from '../harness/trees.ts';

const PLAN: TreePlan = {
  a: 'first',
  'b/c/one': 1,
  'b/c/two*': 200_000,
  'b/none': '',
  'b/e\u0301': 5,
  d: null,
  z: 70_001,
};
const never = () => false;
const signal = new AbortController().signal;
const test = suite<{ dir: string; root: string }>('tree on disk');

test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-tree-'));
  context.root = join(context.dir, 'tree');
  makeTree(context.root, PLAN);
});
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }));

async function contentOf(root: string): Promise<{ content: Buffer; tree: Uint8Array; treeSize: number }> {
  const tree = await scanTree(root, signal);
  const index = readTreeIndex(tree);
  const source = new TreeSource(root, index);
  const content = Buffer.alloc(index.sizeBytes);
  await source.read(content, 0, content.length, 0);
  await source.close();
  return { content, tree, treeSize: index.document.length };
}

/** The record of a download whose content lies whole beside its destination. */
function downloaded(dir: string, content: Buffer, treeSize: number): DownloadRecord {
  const partPath = join(dir, 'copy.part');
  writeFileSync(partPath, content);
  const manifest = encodeManifest({ ...manifestOf(content), treeSize });
  const blank = { peer: null, reasonCode: null, reason: null, inode: null, bootId: null, settled: false, force: false };
  const names = { groupId: 'lab', fileName: 'copy', userId: 'bob', publisher: 'ann' };
  const place = { destination: join(dir, 'copy'), partPath, sizeBytes: content.length };
  const what = { manifest, manifestHash: manifestHash(manifest), phase: 'finishing' as const };
  return { id: 7, createdAt: 0, ...blank, ...names, ...place, ...what };
}

test('the content is the document and then every file in its order, wherever it is read (property)', async ({
  root,
}) => {
  const { content, tree, treeSize } = await contentOf(root);
  const { entries } = decodeTree(content.subarray(0, treeSize));
  assert.equal(
    entries.map(({ path, kind }) => `${path} ${kind}`),
    [
      'a file',
      'b directory',
      'b/c directory',
      'b/c/one file',
      'b/c/two executable',
      'b/none file',
      'b/\u00e9 file',
      'd directory',
      'z file',
    ],
  );
  const onDisk = ['a', 'b/c/one', 'b/c/two', 'b/none', 'b/e\u0301', 'z'].map((path) => readFileSync(join(root, path)));
  assert.ok(Buffer.concat([content.subarray(0, treeSize), ...onDisk]).equals(content));
  const source = new TreeSource(root, readTreeIndex(tree));
  const anywhere = fc.tuple(fc.nat(content.length), fc.nat(content.length));
  await fc.assert(
    fc.asyncProperty(fc.array(anywhere, { maxLength: 5 }), async (ranges) => {
      const reads = ranges.map(async ([one, other]) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)];
        const into = Buffer.alloc(to - from + 3, 0xee);
        await source.read(into, 2, to - from, from);
        assert.ok(into.subarray(2, -1).equals(content.subarray(from, to)));
        assert.equal([into[0], into[1], into.at(-1)], [0xee, 0xee, 0xee]);
      });
      await Promise.all(reads);
    }),
    { numRuns: 50 },
  );
  await source.close();
});

test('more files than may be open at once are all read', async ({ dir }) => {
  const root = join(dir, 'many');
  makeTree(root, Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`f${i}`, i])));
  const { content, tree } = await contentOf(root);
  const source = new TreeSource(root, readTreeIndex(tree));
  const whole = Buffer.alloc(content.length);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  await Promise.all(Array.from({ length: 100 }, (_, i) => source.read(whole, i * 400, 400, i * 400)));
  assert.ok(whole.subarray(0, 40_000).equals(content.subarray(0, 40_000)));
  assert.ok(descriptors() - before <= 40, `${descriptors() - before} stay open`);
  await source.close();
  assert.is(descriptors(), before);
});

test('a changed, replaced or linked file is never read', async ({ dir, root }) => {
  const { content, tree, treeSize } = await contentOf(root);
  const share = { path: root, inode: 0n, sizeBytes: content.length, mtimeNs: 0n, tree };
  assert.is(await compareShare(share), 'intact');
  writeFileSync(join(root, 'beside it'), 'no concern of the share');
  assert.is(await compareShare(share), 'intact');
  const readFirst = async () => {
    const source = new TreeSource(root, readTreeIndex(tree));
    try {
      await source.read(Buffer.alloc(5), 0, 5, treeSize);
    } finally {
      await source.close();
    }
  };
  await readFirst();
  const changes: (() => void)[] = [
    () => appendFileSync(join(root, 'a'), '!'),
    () => writeFileSync(join(root, 'a'), 'first'),
    () => symlinkSync(join(dir, 'aside'), join(root, 'a')),
    () => mkdirSync(join(root, 'a')),
    () => {},
  ];
  renameSync(join(root, 'a'), join(dir, 'aside'));
  for (const change of changes) {
    change();
    assert.is(await compareShare(share), 'changed');
    await readFirst().then(
      () => assert.unreachable('it was read'),
      (error: Error) =>
        assert.ok(isMtError(error, 'INVALID_ARGUMENT') || /ELOOP|ENOENT/.test(error.message), error.message),
    );
    rmSync(join(root, 'a'), { recursive: true, force: true });
  }
  rmSync(root, { recursive: true });
  assert.is(await compareShare(share), 'missing');
});

test('a content becomes the directory, is a share of its own, and goes when that is safe', async ({ dir, root }) => {
  const { content, treeSize } = await contentOf(root);
  const record = downloaded(dir, content, treeSize);
  assert.is(await unpackDownload(record, () => true), null, 'cancelled');
  const inode = await unpackDownload(record, never);
  assert.is(existsSync(record.destination), false, 'nothing has its name before it is whole');
  await giveTreeFinalName(record);
  assert.equal(pictureOf(record.destination), pictureOf(root));
  assert.is(statSync(record.destination, { bigint: true }).ino, inode);
  assert.is(statSync(record.destination).mode & 0o777, 0o777 & ~process.umask());
  const share = await shareOfTree(record);
  assert.is(await compareShare(share), 'intact');
  assert.is(
    createHash('sha1')
      .update((await contentOf(share.path)).content)
      .digest('hex'),
    createHash('sha1').update(content).digest('hex'),
  );
  await settleTree(record, join(dir, 'map'));
  assert.equal(readdirSync(dir).sort(), ['copy', 'tree']);
  assert.is(await recheckTree(record, join(dir, 'map')), true);
});

test('many small files with large ones among them arrive as they were; one that changed is named', async ({ dir }) => {
  const root = join(dir, 'many');
  const plan: Record<string, number | string | null> = {
    'd300/large': 700_000,
    'd5/large*': 300_000,
    'none/at/all': null,
  };
  for (let i = 0; i < 700; i++) plan[`d${i % 7 === 0 ? 5 : i}/f${i}${i % 10 === 0 ? '*' : ''}`] = (i * 97) % 5000;
  plan['d700/just small'] = SMALL_SIZE_MAX;
  plan['d701/not small'] = SMALL_SIZE_MAX + 1;
  makeTree(root, plan);
  const { content, tree, treeSize } = await contentOf(root);
  const { files } = readTreeIndex(tree);
  const onDisk = files.map(({ path }) => readFileSync(join(root, path)));
  assert.ok(Buffer.concat([content.subarray(0, treeSize), ...onDisk]).equals(content));
  const record = downloaded(dir, content, treeSize);
  await unpackDownload(record, never);
  await giveTreeFinalName(record);
  assert.equal(pictureOf(record.destination), pictureOf(root));
  assert.is(await compareShare(await shareOfTree(record)), 'intact');

  appendFileSync(join(root, 'd9', 'f9'), 'edited');
  const source = new TreeSource(root, readTreeIndex(tree));
  await source.read(Buffer.alloc(content.length), 0, content.length, 0).then(
    () => assert.unreachable('it was read'),
    (error: unknown) => {
      assert.ok(isMtError(error, 'INVALID_ARGUMENT'), String(error));
      assert.match((error as Error).message, 'd9/f9');
    },
  );
  await source.close();
});

test('nothing is ever replaced', async ({ dir, root }) => {
  const { content, treeSize } = await contentOf(root);
  const record = downloaded(dir, content, treeSize);
  for (const make of [() => mkdirSync(record.destination), () => writeFileSync(record.destination, 'mine')]) {
    make();
    await unpackDownload(record, never);
    await giveTreeFinalName(record).then(
      () => assert.unreachable('replaced'),
      (error: unknown) => assert.ok(isMtError(error, 'DESTINATION_EXISTS'), String(error)),
    );
    rmSync(record.destination, { recursive: true });
  }
});

test('what a power loss took from a finished directory is noticed, and nothing is deleted', async ({ dir, root }) => {
  const { content, treeSize } = await contentOf(root);
  const record = downloaded(dir, content, treeSize);
  await unpackDownload(record, never);
  await giveTreeFinalName(record);
  writeFileSync(join(record.destination, 'b', 'c', 'two'), Buffer.alloc(200_000));
  assert.is(await recheckTree(record, join(dir, 'map')), false);
  assert.equal(
    readdirSync(dir)
      .map((name) => name.replace(/damaged-.*/, 'damaged'))
      .sort(),
    ['.damaged', 'copy.part', 'tree'],
  );
  await unpackDownload(record, never);
  await giveTreeFinalName(record);
  assert.is(await recheckTree(record, join(dir, 'map')), true);
  assert.is(existsSync(record.partPath), false);
});

test('what a crash left of an earlier attempt is no part of the next', async ({ dir, root }) => {
  const { content, treeSize } = await contentOf(root);
  const record = downloaded(dir, content, treeSize);
  await unpackDownload(record, never);
  const [staging] = readdirSync(dir).filter((name) => name.startsWith('.mt-'));
  rmSync(join(dir, staging!, 'a'));
  symlinkSync('/etc', join(dir, staging!, 'a'));
  writeFileSync(join(dir, staging!, 'extra'), 'x');
  chmodSync(join(dir, staging!, 'b', 'c', 'one'), 0);
  await unpackDownload(record, never);
  await giveTreeFinalName(record);
  assert.equal(pictureOf(record.destination), pictureOf(root));
});

test('a publisher who shares something else as a directory is named, and nothing is made', async ({ dir, root }) => {
  const { content, treeSize } = await contentOf(root);
  const entry = (path: string, size: number): TreeEntry => ({ path, kind: 'file', size });
  const large = encodeTree([entry('x', 2 ** 50)]);
  const short = encodeTree([entry('x', 3)]);
  const escaping = Buffer.from(encodeTree([entry('x'.repeat(10), 0)]));
  escaping.write('../outside', escaping.length - 18);
  const lies: readonly (readonly [Buffer, number])[] = [
    [Buffer.concat([large, Buffer.alloc(100)]), large.length],
    [Buffer.concat([short, Buffer.alloc(100)]), short.length],
    [escaping, escaping.length],
    [content, treeSize - 1],
    [Buffer.alloc(100), 50],
  ];
  for (const [bytes, size] of lies) {
    const record = downloaded(dir, bytes, size);
    await unpackDownload(record, never).then(
      () => assert.unreachable('unpacked'),
      (error: unknown) => assert.ok(isMtError(error, 'INTEGRITY') && error.suggestion?.includes('ann'), String(error)),
    );
    assert.equal(readdirSync(dir).sort(), ['copy.part', 'tree']);
  }
  assert.is(existsSync(join(dir, '..', 'outside')), false);
});

testOrSkip(
  test,
  'without room for it beside its content, a directory is not begun; with room it is made',
  mountRefusal(),
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'mt-tree-'));
    const [root, disk] = [join(dir, 'tree'), join(dir, 'disk')];
    makeTree(root, PLAN);
    const { content, treeSize } = await contentOf(root);
    await withMount(disk, 'size=2m', async () => {
      const record = downloaded(disk, content, treeSize);
      await unpackDownload(record, never).then(
        () => assert.unreachable('unpacked'),
        (error: unknown) => assert.ok(isMtError(error, 'DISK_FULL'), String(error)),
      );
      assert.equal(readdirSync(disk), ['copy.part']);
      execFileSync('mount', ['-o', 'remount,size=20m', disk]);
      await unpackDownload(record, never);
      await giveTreeFinalName(record);
      assert.equal(pictureOf(record.destination), pictureOf(root));
    });
    rmSync(dir, { recursive: true });
  },
);

test.run();
