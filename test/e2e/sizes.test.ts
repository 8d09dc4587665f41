// Files of every size that the piece arithmetic could get wrong, and a large one.
import { statSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha1Of } from '../harness/files.ts';
import { inLab } from '../harness/lab.ts';

const P = 65_536;
const SIZES = [0, 1, P - 1, P, P + 1, 7 * P, 40 * P + 3];
const LARGE = 300_000_000;

const test = suite('sizes');

test(
  `${SIZES.join(', ')} bytes`,
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    for (const size of SIZES) {
      const name = `f${size}`;
      const { path, sha1 } = alice.file(name, size);
      const up = await alice.ok('upload_file', path, 'lab');
      assert.equal([up.size, up.sha1, up.piece_count], [size, sha1, Math.ceil(size / P)]);
      for (const person of [bob, carol]) {
        const down = await person.ok('download_file', 'lab', name, '.');
        assert.equal([down.size, down.sha1, down.state], [size, sha1, 'complete'], name);
        assert.equal([statSync(person.path(name)).size, sha1Of(person.path(name))], [size, sha1], name);
      }
    }
    const { files } = await bob.ok<{ files: { seeders: number }[] }>('list_files', 'lab');
    assert.ok(files.every(({ seeders }) => seeders === 3));
  }),
);

test(
  '300 MB, from two seeders',
  inLab(['alice', 'bob', 'carol'], async ({ alice, bob, carol }) => {
    const { path, sha1 } = alice.file('large', LARGE);
    assert.is((await alice.ok('upload_file', path, 'lab')).sha1, sha1);
    await bob.ok('download_file', 'lab', 'large', '.');
    const down = await carol.ok('download_file', 'lab', 'large', '.');
    assert.equal([down.size, down.sha1], [LARGE, sha1]);
    assert.equal([sha1Of(bob.path('large')), sha1Of(carol.path('large'))], [sha1, sha1]);
  }),
);

test.run();
