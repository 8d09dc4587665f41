// Manual pages and the FAQ of errors: made from what `mt help` shows, whole, and as package.json and FAQ.md have them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_NAMES } from '../../cli/command-table.ts';
import { ERROR_GUIDE, faqSections } from '../../cli/error-guide.ts';
import { mtPages, programPage } from '../../cli/man/pages.ts';
import { type ErrorCode, EXIT_OF } from '../../codec/errors.ts';
import { BINS, PROJECT } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { mt } from './run-mt.ts';

const test = suite('manual');
const pages = await mtPages();
for (const name of ['peerd', 'trackerd'] as const) {
  const { stdout } = spawnSync(process.execPath, [BINS[name], '--help'], { encoding: 'utf8' });
  pages.push(programPage(`mt-${name}`, 'a daemon', stdout));
}
const codes = Object.keys(EXIT_OF) as ErrorCode[];

test('a page for every command, the three programs and the errors; package.json installs them all', () => {
  const commands = COMMAND_NAMES.map((name) => `mt-${name}.1`);
  const wanted = [...commands, 'mt.1', 'mt-errors.7', 'mt-peerd.1', 'mt-trackerd.1'].sort();
  assert.equal(pages.map(({ file }) => file).sort(), wanted);
  const { man } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { man: string[] };
  assert.equal(
    man.toSorted(),
    wanted.map((file) => `dist/man/${file}`),
    'package.json, "man"',
  );
});

test('each command page stands alone', () => {
  for (const name of COMMAND_NAMES) {
    const { text } = pages.find(({ file }) => file === `mt-${name}.1`)!;
    for (const title of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'FLAGS', 'EXAMPLES', 'EXIT STATUS']) {
      assert.match(text, new RegExp(`^\\.SH "?${title}"?\n\\S`, 'm'), `${name}: ${title}`);
    }
    assert.match(text, `$ mt ${name}`);
  }
});

const noLint = spawnSync('mandoc', ['-T', 'lint', '/dev/null']).error ? 'mandoc is not installed' : null;
testOrSkip(test, 'mandoc reads every page without a warning', noLint, () => {
  const folder = mkdtempSync(join(tmpdir(), 'mt-man-'));
  try {
    for (const { file, text } of pages) writeFileSync(join(folder, file), text);
    const files = pages.map(({ file }) => join(folder, file));
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...files], { encoding: 'utf8' });
    const lines = stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'));
    assert.equal(lines, []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('FAQ.md has every code with its exit number, and is what the table says', () => {
  const faq = readFileSync(join(PROJECT, 'FAQ.md'), 'utf8');
  assert.ok(faq.endsWith(faqSections()), 'FAQ.md is not up to date: npm run man -- faq');
  let exit = '';
  const found: Record<string, number> = {};
  for (const line of faq.split('\n')) {
    exit = /^## Exit (\d+)$/.exec(line)?.[1] ?? exit;
    const code = /^### ([A-Z_]+)$/.exec(line)?.[1];
    if (code) found[code] = Number(exit);
  }
  assert.equal(found, { ...EXIT_OF });
});

test('every entry says what, why and what to do', () => {
  for (const code of codes) {
    for (const part of Object.values(ERROR_GUIDE[code])) assert.match(part, /^\S.+\.( |$)/, code);
  }
});

test('commands that the texts name exist', () => {
  const words = codes.flatMap((code) => [
    ...Object.values(ERROR_GUIDE[code])
      .join(' ')
      .matchAll(/`mt (\w+)/g),
  ]);
  for (const [, name] of words)
    assert.ok(name === 'help' || (COMMAND_NAMES as readonly string[]).includes(name!), name);
});

test('each subcommand of mt-trackerd has a help of its own', () => {
  const { stdout } = spawnSync(process.execPath, [BINS.trackerd, '--help'], { encoding: 'utf8' });
  const names = [...stdout.matchAll(/^ {2}mt-trackerd (\w[\w-]*) /gm)].map((match) => match[1]!);
  assert.ok(names.includes('members') && names.includes('recover'), names.join());
  for (const name of names) {
    const help = spawnSync(process.execPath, [BINS.trackerd, name, '--help'], { encoding: 'utf8' });
    assert.equal([help.status, help.stderr], [0, ''], name);
    assert.match(help.stdout, new RegExp(`^Usage: mt-trackerd ${name} .*\n\n\\w`));
  }
});

test('mt help <CODE> in any case', async () => {
  for (const word of ['NO_QUORUM', 'no_quorum']) {
    const { exit, stdout } = await mt(['help', word]);
    assert.is(exit, 0);
    assert.match(stdout, /^NO_QUORUM \(exit 7\)\n/);
  }
});

test.run();
