// Help and completion: every command stands alone, and the scripts that shells load are sound.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ALIASES, COMMAND_NAMES, loadCommand, SUBJECTS } from '../../cli/command-table.ts';
import { summaryOf } from '../../cli/help.ts';
import { mt } from './run-mt.ts';

const test = suite('mt help and completion');
const folder = mkdtempSync(join(tmpdir(), 'mt-help-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('every command says what it does, with an example and its errors', async () => {
  for (const name of COMMAND_NAMES) {
    const command = await loadCommand(name);
    assert.ok(summaryOf(command.description).length > 5, name);
    assert.ok(command.examples!.length > 0, name);
    for (const [argument, { description }] of Object.entries(command.args))
      assert.ok(description || argument === 'words');
    for (const [flag, { description }] of Object.entries(command.flags)) assert.ok(description, `${name} --${flag}`);
    for (const example of command.examples!) {
      const line = typeof example === 'string' ? example : example.command;
      assert.match(line, `mt ${name}`);
    }
  }
});

test('every command stands under one subject', () => {
  assert.equal(SUBJECTS.flatMap(({ commands }) => commands).toSorted(), COMMAND_NAMES.toSorted());
});

test('aliases of the table are those that oclif knows', async () => {
  for (const [alias, name] of Object.entries(ALIASES)) assert.ok((await loadCommand(name)).aliases.includes(alias));
});

test('mt help <command> and --help say the same, on stdout, without a daemon', async () => {
  const [asked, flagged, front] = await Promise.all([
    mt(['help', 'download_file']),
    mt(['download_file', '--help', 'x', 'y']),
    mt([]),
  ]);
  assert.is(asked.stdout, flagged.stdout);
  assert.equal([asked.exit, asked.stderr], [0, '']);
  for (const part of [
    '$ mt download_file <group_id> <file_name> <destination_path> [flags]',
    'EXIT STATUS',
    'INTEGRITY',
    '--force',
  ]) {
    assert.ok(asked.stdout.includes(part), part);
  }
  for (const name of COMMAND_NAMES) assert.match(front.stdout, `  ${name} `);
  assert.is((await mt(['help', 'dowload_file'])).exit, 2);
  assert.match((await mt(['--version'])).stdout, /^mt \d+\.\d+\.\d+\n$/);
});

test('every shell gets a script; another is USAGE', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { exit, stdout } = await mt(['completion', shell]);
    assert.is(exit, 0);
    for (const name of COMMAND_NAMES) assert.match(stdout, name);
    if (spawnSync(shell, ['-c', 'exit 0']).status !== 0) continue;
    writeFileSync(join(folder, shell), stdout);
    const parsed = spawnSync(shell, ['-n', join(folder, shell)], { encoding: 'utf8' });
    assert.equal([parsed.status, parsed.stderr], [0, ''], shell);
  }
  assert.is((await mt(['completion', 'tcsh'])).exit, 2);
});

test.run();
