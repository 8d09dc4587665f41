// Building while programs start (the first `npx mt` of a new npm cache builds again) never leaves a file missing or half there.
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PROJECT } from './harness/program.ts';

const FILES = ['cluster/main.js', 'cluster/schema.sql', 'daemon/main.js', 'daemon/schema.sql', 'cli/main.cjs'].map(
  (file) => join(PROJECT, 'dist', file),
);

const test = suite('build');

test('files are replaced at once while several builds run', async () => {
  const sizes = FILES.map((file) => statSync(file).size);
  let running = 0;
  const ends = [1, 2].map(async () => {
    running++;
    const child = spawn(process.execPath, [join(PROJECT, 'esbuild.config.ts')], { stdio: 'inherit' });
    const code = await new Promise((resolve) => child.on('close', resolve));
    running--;
    assert.is(code, 0);
  });
  let looks = 0;
  while (running > 0) {
    for (const [i, file] of FILES.entries()) {
      assert.ok(existsSync(file), file);
      assert.is(statSync(file).size, sizes[i], `${file} (built from these very sources: npm run build)`);
    }
    looks++;
    await new Promise(setImmediate);
  }
  await Promise.all(ends);
  assert.ok(looks > 100, `${looks} looks`);
});

test.run();
