import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shellWord } from '../../codec/shell-word.ts';

const test = suite('shell word');

test('a shell reads back each word as it was', () => {
  const words = [
    'plain.txt',
    'a b',
    "it's",
    '',
    '-rf',
    '--',
    '$HOME',
    '`id`',
    '*',
    '[::1]:5000',
    '~',
    'a\nb',
    '"',
    '\\',
    'é',
    '#x',
    '!!',
  ];
  const said = execFileSync('sh', ['-c', `printf '%s\\0' ${words.map(shellWord).join(' ')}`], { encoding: 'utf8' });
  assert.equal(said.split('\0').slice(0, -1), words);
});

test('what is safe stays as it is, and what could read as a pattern does not', () => {
  assert.equal(['--v1.2/a+b@c,d=e:%', '[::1]:5000'].map(shellWord), ['--v1.2/a+b@c,d=e:%', "'[::1]:5000'"]);
});

test.run();
