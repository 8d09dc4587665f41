import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const MODULE = join(import.meta.dirname, '../../cluster/young-generation.ts');
/** Much that lives for a while, in turns of the event loop as a server has them; prints the young generation's size in MiB. */
const PROGRAM = `
  import { getHeapSpaceStatistics } from 'node:v8';
  if (process.argv[1] === 'bound') (await import(${JSON.stringify(MODULE)})).boundYoungGeneration();
  let kept = [];
  for (let turn = 0; turn < 300; turn++) {
    for (let i = 0; i < 20_000; i++) kept.push({ i, more: [i] });
    if (kept.length > 200_000) kept = [];
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size / 2 ** 20);
`;
const sizeMiB = (how: string) =>
  Number(execFileSync(process.execPath, ['--input-type=module', '-e', PROGRAM, how], { encoding: 'utf8' }));

const test = suite('young generation');

test('it stays small where V8 alone would let it grow', () => {
  assert.ok(sizeMiB('free') > 48, 'this test shows nothing');
  assert.ok(sizeMiB('bound') <= 48);
});

test.run();
