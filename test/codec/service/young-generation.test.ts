import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const MODULE = join(import.meta.dirname, '../../../codec/service/young-generation.ts');
/**
 * Much that lives for a while, in turns of the event loop as a server has them, or in one long turn as a start has it; prints how
 * large the young generation became, in MiB.
 */
const PROGRAM = `
  import { getHeapSpaceStatistics } from 'node:v8';
  const how = process.argv[1];
  let look = () => {};
  if (how !== 'free') look = (await import(${JSON.stringify(MODULE)})).boundYoungGeneration(8);
  const sizeMiB = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size / 2 ** 20;
  let kept = [];
  let most = 0;
  const endAt = performance.now() + 1_500;
  while (performance.now() < endAt) {
    for (let i = 0; i < 2_000; i++) kept.push({ i, more: [i] });
    if (kept.length > 200_000) kept = [];
    most = Math.max(most, sizeMiB());
    if (how === 'busy') look();
    else await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(most);
`;
const sizeMiB = (how: string) =>
  Number(execFileSync(process.execPath, ['--input-type=module', '-e', PROGRAM, how], { encoding: 'utf8' }));

const test = suite('young generation');

test('it stays small where V8 alone would let it grow', () => {
  const free = sizeMiB('free');
  // A burst may double it once more between two looks: it stays at half of what V8 would take, or less.
  const bound = sizeMiB('bound');
  assert.ok(bound <= free / 2, `${bound} MiB, where V8 alone takes ${free}`);
  const busy = sizeMiB('busy');
  assert.ok(busy <= free / 2, `${busy} MiB in one long turn that looks now and then`);
});

test.run();
