import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { isMtError } from '../../codec/errors.ts';
import {
  addressSchema,
  bytesSchema,
  countSchema,
  fileNameSchema,
  fingerprintSchema,
  formatAddress,
  idSchema,
  isValidFileName,
  passwordSchema,
  printable,
  requireFileName,
  requireId,
  requirePassword,
  tokenSchema,
} from '../../codec/ids.ts';

function refused(run: () => unknown, code: 'INVALID_NAME' | 'INVALID_ARGUMENT'): Error {
  try {
    run();
  } catch (error) {
    assert.ok(isMtError(error, code), String(error));
    return error as Error;
  }
  throw new Error(`expected ${code}`);
}

const test = suite('ids');

const GOOD_IDS = ['a', 'Z', '0', 'alice', 'a.b_c-d', '9lives', 'x'.repeat(64), 'con', 'a..b'];
const BAD_IDS = [
  '',
  '.',
  '..',
  '.a',
  '_a',
  '-a',
  'a b',
  'a/b',
  'ä',
  'a\n',
  '\na',
  'a\0',
  'x'.repeat(65),
  '名',
  'a:b',
  'a@b',
  ' a',
  '--json',
];
for (const id of GOOD_IDS) test(`id taken: ${id}`, () => assert.is(requireId('user', id), id));
for (const id of BAD_IDS) {
  test(`id refused: ${JSON.stringify(id)}`, () => {
    assert.not.ok(v.is(idSchema, id));
    const error = refused(() => requireId('group', id), 'INVALID_NAME');
    assert.match(error.message, 'group id');
    assert.not.match(error.message, /[\0\n]/);
  });
}

const NFC = 'é.txt'.normalize('NFC');
const NFD = 'é.txt'.normalize('NFD');
const GOOD_NAMES = [
  'a',
  'a.txt',
  'with space',
  ' leading',
  'trailing ',
  '名前.bin',
  '🎉.png',
  '-rf',
  '...',
  '.hidden',
  'a:b',
  'CON',
  NFC,
  'x'.repeat(255),
  '€'.repeat(85),
];
const BAD_NAMES = [
  '',
  '.',
  '..',
  '/',
  'a/b',
  '../a',
  'a\\b',
  '..\\a',
  'a\0b',
  'a\nb',
  '\x1b[2J',
  '\x7f',
  '\x85',
  'x'.repeat(256),
  '€'.repeat(86),
  '\ud800',
  'a\udfff',
];
for (const name of GOOD_NAMES) {
  test(`file name taken: ${JSON.stringify(name.slice(0, 20))}`, () => {
    assert.is(requireFileName(name), name);
    assert.ok(v.is(fileNameSchema, name));
  });
}
for (const name of BAD_NAMES) {
  test(`file name refused: ${JSON.stringify(name.slice(0, 20))}`, () => {
    refused(() => requireFileName(name), 'INVALID_NAME');
    assert.not.ok(v.is(fileNameSchema, name));
    assert.not.ok(isValidFileName(name));
  });
}

test('a name that people type is normalised, one on the wire must be', () => {
  assert.is.not(NFD, NFC);
  assert.is(requireFileName(NFD), NFC);
  assert.not.ok(v.is(fileNameSchema, NFD));
});

test('a long NFD name fits when its NFC form does', () => {
  const name = 'é'.repeat(127);
  assert.is(requireFileName(name.normalize('NFD')), name);
});

test('passwords have 1 to 1024 bytes, whatever they are made of', () => {
  for (const good of ['x', ' ', '\n', 'x'.repeat(1024), '€'.repeat(341)]) assert.is(requirePassword(good), good);
  for (const bad of ['', 'x'.repeat(1025), '€'.repeat(342)]) {
    assert.not.ok(v.is(passwordSchema, bad));
    const { message } = refused(() => requirePassword(bad), 'INVALID_ARGUMENT');
    if (bad) assert.not.match(message, bad);
  }
});

test('counts are safe non-negative integers', () => {
  for (const good of [0, 1, Number.MAX_SAFE_INTEGER]) assert.ok(v.is(countSchema, good));
  for (const bad of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, null])
    assert.not.ok(v.is(countSchema, bad), String(bad));
});

test('addresses: hosts without anything odd, ports from 1 to 65535', () => {
  for (const host of ['127.0.0.1', '::1', 'fe80::1', 'tracker-1.example.org', 'x'.repeat(253)]) {
    assert.ok(v.is(addressSchema, { host, port: 1 }), host);
  }
  for (const host of ['', 'a b', 'a/b', 'a\n', 'x'.repeat(254), 'ä'])
    assert.not.ok(v.is(addressSchema, { host, port: 1 }), host);
  for (const port of [0, -1, 65_536, 1.5, '80']) assert.not.ok(v.is(addressSchema, { host: 'a', port }), String(port));
  assert.is(formatAddress({ host: '::1', port: 80 }), '[::1]:80');
  assert.is(formatAddress({ host: 'a.b', port: 80 }), 'a.b:80');
});

test('bytes, fingerprints and tokens have their exact length', () => {
  assert.ok(v.is(bytesSchema(20), new Uint8Array(20)));
  for (const bad of [new Uint8Array(19), new Uint8Array(21), [1], 'x'.repeat(20), new Uint16Array(20)])
    assert.not.ok(v.is(bytesSchema(20), bad));
  assert.ok(v.is(fingerprintSchema, 'ab'.repeat(32)));
  assert.not.ok(v.is(fingerprintSchema, 'AB'.repeat(32)));
  assert.not.ok(v.is(fingerprintSchema, 'ab'.repeat(31)));
  assert.ok(v.is(tokenSchema, '0f'.repeat(16)));
  assert.not.ok(v.is(tokenSchema, `${'0f'.repeat(16)}\n`));
});

test('printable() leaves nothing that moves a terminal, and cuts', () => {
  assert.is(printable('a\x1b[2Jb\r\n\x9b'), 'a?[2Jb???');
  assert.is(printable('x'.repeat(100)).length, 80);
  assert.ok(printable('\ud800').isWellFormed());
});

test.run();
