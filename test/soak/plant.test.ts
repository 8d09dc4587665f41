// A short soak of real trackers, from whose logs one acknowledged command is taken out at the end: the checker must name it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('soak with a planted loss');

test('is noticed, and names what was lost', () => {
  const args = [join(import.meta.dirname, 'main.ts'), '--minutes', '0.05', '--clients', '3', '--plant'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const [, planted] = /^planted: (\S+) is taken out/m.exec(stdout) ?? [];
  assert.ok(planted, `${stdout}\n${stderr}`);
  assert.is(status, 1, stdout);
  for (const number of [1, 2, 3]) assert.match(stderr, new RegExp(`LOST: ${planted} at tracker ${number}`));
  assert.match(stdout, /passed, 3 failed/);
});

test.run();
