/** Plays testdata/*.txt. `UPDATE=1 node test/raft/transcript.test.ts` rewrites what is expected: read the diff. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Transcript } from './transcript.ts';

const test = suite('raft transcripts');

const FOLDER = new URL('testdata/', import.meta.url);
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

/** A block is comments, one command a line, `----`, and what is expected; an empty line ends it. */
function play(text: string): string {
  const transcript = new Transcript();
  const blocks = text.trimEnd().split(/\n\n+/);
  return `${blocks.map((block) => playBlock(transcript, block)).join('\n\n')}\n`;
}

function playBlock(transcript: Transcript, block: string): string {
  const lines = block.split('\n');
  const end = lines.indexOf('----');
  const given = end < 0 ? lines : lines.slice(0, end);
  const commands = given.filter((line) => !line.startsWith('#'));
  if (commands.length === 0) return given.join('\n');
  const said = commands.map((command) => transcript.run(command)).filter((output) => output !== 'nothing');
  return [...given, '----', ...(said.length === 0 ? ['nothing'] : said)].join('\n');
}

test('there are transcripts', () => {
  assert.ok(names.length >= 8, `${names.length} found`);
});

for (const name of names) {
  test(name, () => {
    const file = new URL(name, FOLDER);
    const expected = readFileSync(file, 'utf8');
    const actual = play(expected);
    if (process.env.UPDATE === '1') writeFileSync(file, actual);
    else assert.fixture(actual, expected);
  });
}

test.run();
