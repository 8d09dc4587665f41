import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { isValidFileName } from '../../codec/ids.ts';
import { TREE_BYTES_MIN, TREE_DEPTH_MAX, TREE_ENTRIES_MAX } from '../../codec/limits.ts';
import { decodeTree, encodeTree, type TreeEntry } from '../../codec/tree.ts';

const test = suite('tree');
const directory = (path: string): TreeEntry => ({ path, kind: 'directory', size: 0 });
const file = (path: string, size = 1): TreeEntry => ({ path, kind: 'file', size });

function refused(bytes: Uint8Array, says: RegExp | string): void {
  try {
    decodeTree(bytes);
  } catch (error) {
    assert.ok(isMtError(error, 'PROTOCOL'), String(error));
    assert.match((error as Error).message, says);
    return;
  }
  throw new Error(`should be refused: ${says}`);
}

/** A document as a hostile publisher writes it: nothing is checked, nothing sorted. */
function forged(...entries: readonly (readonly [kind: number, path: string | Buffer, size?: number])[]): Buffer {
  const head = Buffer.from('MTTR\0\0\0\x01\0\0\0\0', 'latin1');
  head.writeUInt32BE(entries.length, 8);
  const rows = entries.flatMap(([kind, path, size = 0]) => {
    const bytes = Buffer.from(path as string);
    const start = Buffer.from([kind, bytes.length >> 8, bytes.length & 255]);
    const end = Buffer.alloc(kind === 0 ? 0 : 8);
    if (kind !== 0) end.writeBigUInt64BE(BigInt(size));
    return [start, bytes, end];
  });
  return Buffer.concat([head, ...rows]);
}

/** Trees of a few names at three levels, every parent listed. */
const anyTree = fc
  .uniqueArray(
    fc.tuple(
      fc.array(fc.constantFrom('a', 'b', 'a-', 'a.', 'é', '日本', ' ', '.git'), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('directory', 'file', 'executable'),
      fc.nat(1_000),
    ),
    { maxLength: 20, selector: ([path]) => path.join('/') },
  )
  .map((drawn) => {
    const entries = new Map<string, TreeEntry>();
    for (const [names, kind, size] of drawn) {
      const path = names.join('/');
      const parents = names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'));
      if (parents.some((parent) => entries.get(parent)?.kind === 'file')) continue;
      if (parents.some((parent) => entries.get(parent)?.kind === 'executable')) continue;
      for (const parent of parents) entries.set(parent, directory(parent));
      if (!entries.has(path)) entries.set(path, { path, kind, size: kind === 'directory' ? 0 : size } as TreeEntry);
    }
    return [...entries.values()];
  });

test('any tree comes back, and has one document in whatever order it was listed (property)', () => {
  fc.assert(
    fc.property(anyTree, fc.infiniteStream(fc.nat()), (entries, order) => {
      const document = encodeTree(entries);
      const keyed = entries.map((entry) => ({ entry, key: order.next().value as number }));
      const shuffled = keyed.toSorted((a, b) => a.key - b.key).map(({ entry }) => entry);
      assert.equal(encodeTree(shuffled), document);
      const { entries: back, filesSize } = decodeTree(document);
      assert.equal(new Set(back.map((e) => JSON.stringify(e))), new Set(entries.map((e) => JSON.stringify(e))));
      assert.is(
        filesSize,
        entries.reduce((sum, { size }) => sum + size, 0),
      );
      assert.equal(encodeTree(back), document, 'canonical');
    }),
  );
});

test('whatever bytes come, what passes stays below its directory and is canonical (property)', () => {
  const change = fc.tuple(fc.nat(), fc.nat(255));
  fc.assert(
    fc.property(anyTree, fc.array(change, { maxLength: 4 }), fc.nat(3), (entries, changes, cut) => {
      const document = Buffer.from(encodeTree(entries));
      for (const [at, byte] of changes) document[at % document.length] = byte;
      const bytes = document.subarray(0, document.length - cut);
      try {
        const tree = decodeTree(bytes);
        for (const { path } of tree.entries) assert.ok(path.split('/').every(isValidFileName), path);
        assert.equal(Buffer.from(encodeTree(tree.entries)), bytes);
      } catch (error) {
        assert.ok(isMtError(error, 'PROTOCOL'), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('an empty directory is a document of its own', () => {
  assert.equal(decodeTree(encodeTree([])), { entries: [], filesSize: 0 });
  assert.is(encodeTree([]).length, TREE_BYTES_MIN);
});

test('no path leaves the directory', () => {
  for (const path of ['..', '../a', 'a/../b', '/etc', 'a//b', 'a/', '', '.', 'a\\b', 'a\0b', 'a\nb', 'e\u0301']) {
    refused(forged([0, 'a'], [1, path, 3]), /no file name|ascend|no listed directory/);
    refused(forged([1, path, 3]), /no file name|no listed directory/);
  }
  refused(forged([1, Buffer.from([0x66, 0xff])]), 'not UTF-8');
});

test('a parent comes first and is a directory; nothing is there twice', () => {
  refused(forged([1, 'a/b']), 'no listed directory');
  refused(forged([1, 'a', 1], [1, 'a/b', 1]), 'no listed directory');
  refused(forged([0, 'a'], [1, 'a', 1]), 'ascend');
  refused(forged([1, 'b', 1], [1, 'a', 1]), 'ascend');
  assert.is(decodeTree(forged([0, 'a'], [1, 'a-', 1], [1, 'a/b', 1])).entries.length, 3);
});

test('numbers that lie are refused before they cost anything', () => {
  const good = Buffer.from(encodeTree([directory('a'), file('a/b', 7)]));
  const many = Buffer.from(good);
  many.writeUInt32BE(TREE_ENTRIES_MAX + 1, 8);
  refused(many, 'at most');
  const more = Buffer.from(good);
  more.writeUInt32BE(3, 8);
  refused(more, 'ends early');
  const fewer = Buffer.from(good);
  fewer.writeUInt32BE(1, 8);
  refused(fewer, 'follows');
  refused(forged([1, 'a', 2 ** 53 - 1], [1, 'b', 1]), '2^53');
  refused(forged([3, 'a', 1]), 'no known kind');
  const deep = Array.from({ length: TREE_DEPTH_MAX + 1 }, (_, i) => [0, 'd/'.repeat(i + 1).slice(0, -1)] as const);
  refused(forged(...deep), 'deeper');
  assert.is(decodeTree(forged(...deep.slice(0, -1))).entries.length, TREE_DEPTH_MAX);
  for (let size = 0; size < good.length; size++) refused(good.subarray(0, size), '');
});

test('what cannot be shared is named', () => {
  const long = `${'x'.repeat(250)}/`.repeat(9);
  assert.throws(
    () => encodeTree([file(long)]),
    (error: unknown) => isMtError(error, 'TOO_LARGE'),
  );
  assert.throws(
    () => encodeTree(Array.from({ length: TREE_ENTRIES_MAX + 1 }, (_, i) => file(String(i)))),
    (error: unknown) => isMtError(error, 'TOO_LARGE'),
  );
});

test.run();
