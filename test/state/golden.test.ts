// Every command of every version ever written, as bytes in testdata/commands.txt: `<type> <version> <hex> <outcome>` a line. They
// must decode and apply for ever. A released line is never edited; UPDATE=1 appends lines for types and versions that have none.
import { appendFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../cluster/state/apply.ts';
import { COMMAND_TYPES, decodeCommand, encodeCommand, newestVersion } from '../../cluster/state/commands.ts';
import { emptyState, type State } from '../../cluster/state/state.ts';
import { EXAMPLES } from './examples.ts';
import { hashHex } from './world.ts';

const FILE = fileURLToPath(new URL('testdata/commands.txt', import.meta.url));
const test = suite('cluster/state golden');

interface Line {
  readonly name: string;
  readonly entry: Uint8Array;
  readonly outcome: string;
}
/** Reply and hash: what this entry does, for ever, after those before it. */
function outcomeOf(state: State, entry: Uint8Array): string {
  const { reply } = apply(state, state.index + 1, decodeCommand(entry));
  const answer = reply.ok ? JSON.stringify(reply.result) : reply.error.code;
  return `${answer} ${hashHex(state).slice(0, 16)}`;
}
function readLines(): Line[] {
  const lines = readFileSync(FILE, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [type, version, hex, ...outcome] = line.split(' ');
    return { name: `${type} ${version}`, entry: new Uint8Array(Buffer.from(hex!, 'hex')), outcome: outcome.join(' ') };
  });
}

test('every line decodes and does what it did', () => {
  const state = emptyState();
  for (const { name, entry, outcome } of readLines()) assert.is(outcomeOf(state, entry), outcome, name);
});

test('every type has a line of its newest version', () => {
  const known = new Set(readLines().map(({ name }) => name));
  const state = emptyState();
  for (const { entry } of readLines()) outcomeOf(state, entry);
  for (const type of Object.keys(EXAMPLES) as (keyof typeof EXAMPLES)[]) {
    const name = `${type} ${newestVersion(type)}`;
    if (known.has(name)) continue;
    assert.ok(process.env.UPDATE === '1', `${name} has no golden line: run with UPDATE=1 and read the diff`);
    const entry = encodeCommand(EXAMPLES[type]);
    appendFileSync(FILE, `${name} ${Buffer.from(entry).toString('hex')} ${outcomeOf(state, entry)}\n`);
  }
  assert.ok(readLines().length >= COMMAND_TYPES.length);
});

test.run();
