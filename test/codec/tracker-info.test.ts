import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { formatAddress } from '../../codec/ids.ts';
import { isLoopback, parseAddress, parseTrackerInfo } from '../../codec/tracker-info.ts';

const KEY = 'ab'.repeat(32);
const addresses = (text: string) => parseTrackerInfo(text).addresses.map(formatAddress);

function refused(text: string): string {
  try {
    parseTrackerInfo(text, 'trackers.txt');
  } catch (error) {
    assert.ok(isMtError(error, 'INVALID_TRACKER_INFO'), String(error));
    assert.match((error as Error).message, 'trackers.txt');
    return (error as Error).message;
  }
  throw new Error(`should be refused: ${JSON.stringify(text)}`);
}

const test = suite('tracker info');

test('the project’s own file names three trackers on loopback', () => {
  const { addresses, keyFingerprints } = parseTrackerInfo(
    readFileSync(join(import.meta.dirname, '../../tracker_info.txt'), 'utf8'),
  );
  assert.is(addresses.length, 3);
  assert.ok(addresses.every(({ host }) => isLoopback(host)));
  assert.equal(keyFingerprints, []);
});

const FORMS: [what: string, text: string, expected: string[]][] = [
  ['IP and port on two lines', '127.0.0.1\n5353\n127.0.0.1\n5354\n', ['127.0.0.1:5353', '127.0.0.1:5354']],
  ['ip port', '127.0.0.1 5353', ['127.0.0.1:5353']],
  ['ip, tab, port', '127.0.0.1\t5353', ['127.0.0.1:5353']],
  ['ip:port', '127.0.0.1:5353', ['127.0.0.1:5353']],
  ['[v6]:port', '[::1]:5353\n[fe80::1]:1', ['[::1]:5353', '[fe80::1]:1']],
  [
    'v6 and port apart',
    '::1 5353\n[::1] 5354\n::1\n5355\n[::1]\n5356',
    ['[::1]:5353', '[::1]:5354', '[::1]:5355', '[::1]:5356'],
  ],
  [
    'host names',
    'tracker-1.example.org:5353\nlocalhost 5354\nother\n5355',
    ['tracker-1.example.org:5353', 'localhost:5354', 'other:5355'],
  ],
  ['mixed', '127.0.0.1\n5353\n127.0.0.2:1\nx 2', ['127.0.0.1:5353', '127.0.0.2:1', 'x:2']],
  [
    'blank lines, comments, spaces',
    '# three\n\n  127.0.0.1 # one\n\n 5353  # its port\n\t\n127.0.0.1:5354#no\n'.replace('#no', ' # two'),
    ['127.0.0.1:5353', '127.0.0.1:5354'],
  ],
  ['CRLF and no end of line', '127.0.0.1\r\n5353\r\n127.0.0.1:5354', ['127.0.0.1:5353', '127.0.0.1:5354']],
  ['a byte order mark', '\ufeff127.0.0.1:5353', ['127.0.0.1:5353']],
  ['the ends of the range', 'a:1\nb:65535', ['a:1', 'b:65535']],
];
for (const [what, text, expected] of FORMS) test(`takes ${what}`, () => assert.equal(addresses(text), expected));

test('takes one or two keys, with or without colons, in any case', () => {
  assert.equal(parseTrackerInfo(`key ${KEY}\na:1`).keyFingerprints, [KEY]);
  const colons = KEY.toUpperCase().match(/../g)!.join(':');
  assert.equal(parseTrackerInfo(`a:1\nkey ${colons}\nKEY\t${'cd'.repeat(32)} # next`).keyFingerprints, [
    KEY,
    'cd'.repeat(32),
  ]);
});

const ERRORS: [what: string, text: string, says: string | RegExp][] = [
  ['nothing', '', 'names no tracker'],
  ['comments only', '# a\n\n', 'names no tracker'],
  ['a key only', `key ${KEY}`, 'names no tracker'],
  ['a host without its port', 'a:1\n127.0.0.1\n', /line 2: 127\.0\.0\.1 has no port/],
  ['something else than a port', '127.0.0.1\nx', /line 2: expected the port of 127\.0\.0\.1/],
  ['two hosts in a row', '127.0.0.1\n127.0.0.2\n5353', /line 2/],
  ['a port alone', '5353', /line 1/],
  ['port 0', 'a:0', /line 1/],
  ['port 65536', 'a:1\nb:65536', /line 2/],
  ['port 99999 on its line', 'a\n99999', /line 2/],
  ['a negative port', 'a:-1', /line 1/],
  ['a port with letters', 'a:80x', /line 1/],
  ['a URL', 'http://a:80', /line 1/],
  ['three words', 'a 80 90', /line 1/],
  ['control characters', 'a\x1b[2J:80', /line 1/],
  ['binary', '\0\0\0', /line 1/],
  ['no IPv4 address: 256', '127.0.0.256:80', /line 1/],
  ['no IPv4 address: three parts', '127.0.0 80', /line 1/],
  ['no IPv6 address', '[zz::1]:80', /line 1/],
  ['two colons, no brackets', 'a::b:80', /line 1|no port/],
  ['a twin', 'a:1\nb:1\na 1', 'names a:1 twice'],
  ['three keys', `key ${KEY}\nkey ${KEY}\nkey ${KEY}\na:1`, 'more than two keys'],
  ['a short key', 'key abc\na:1', /line 1.*64 hexadecimal/],
  ['a key that is not hexadecimal', `key ${'zz'.repeat(32)}\na:1`, /line 1/],
  ['ten thousand lines and more', 'a:1\n'.repeat(20_000), 'too long'],
  ['a host name that is too long', `${'x'.repeat(254)}:80`, /line 1/],
];
for (const [what, text, says] of ERRORS) test(`refuses ${what}`, () => assert.match(refused(text), says));

test('any text gives addresses or INVALID_TRACKER_INFO, soon (property)', () => {
  const pieces = fc.constantFrom(
    'a',
    ':',
    '1',
    '80',
    ' ',
    '\n',
    '#',
    '[',
    ']',
    'key ',
    '.',
    '::1',
    '\0',
    'é',
    '127.0.0.1',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join('')),
      ),
      (text) => {
        try {
          for (const { host, port } of parseTrackerInfo(text).addresses) {
            assert.ok(host.length > 0 && port > 0 && port < 65_536);
            assert.equal(parseAddress(formatAddress({ host, port })), { host, port });
          }
        } catch (error) {
          if (!isMtError(error, 'INVALID_TRACKER_INFO')) throw error;
        }
      },
    ),
    { numRuns: 3_000 },
  );
  const startedAt = performance.now();
  refused(`${' '.repeat(200_000)}x${'#'.repeat(200_000)}`);
  refused('a'.repeat(500_000));
  assert.ok(performance.now() - startedAt < 1_000, 'long lines take no quadratic time');
});

test('loopback is 127/8, ::1 and localhost', () => {
  for (const host of ['127.0.0.1', '127.9.8.7', '::1', 'localhost']) assert.ok(isLoopback(host), host);
  for (const host of [
    '10.0.0.1',
    '128.0.0.1',
    '127.evil.org',
    '127.0.0.1.evil.org',
    'localhost.evil.org',
    '0.0.0.0',
    '::',
    '::2',
  ]) {
    assert.not.ok(isLoopback(host), host);
  }
});

test.run();
