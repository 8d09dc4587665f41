import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, isMtError } from '../../codec/errors.ts';
import { parseArguments, parseSize } from '../../daemon/arguments.ts';

const test = suite('arguments');
const env = { XDG_STATE_HOME: '/state', XDG_RUNTIME_DIR: '/run/user/1' };

function refuses(code: ErrorCode, ...argv: string[]): void {
  try {
    parseArguments(argv, env);
  } catch (error) {
    assert.ok(isMtError(error, code), `${argv.join(' ')}: ${error}`);
    return;
  }
  assert.unreachable(`${argv.join(' ')} was accepted`);
}

test('the address in one word or two', () => {
  for (const argv of [
    ['127.0.0.1:18000', 'info.txt'],
    ['127.0.0.1', '18000', 'info.txt'],
  ]) {
    const args = parseArguments(argv, env);
    assert.equal(args.listen, { host: '127.0.0.1', port: 18_000 });
    assert.is(args.trackerInfoFile, join(process.cwd(), 'info.txt'));
  }
  assert.equal(parseArguments(['[::1]:18000', 'f'], env).listen, { host: '::1', port: 18_000 });
  assert.equal(parseArguments(['127.0.0.1:0', 'f'], env).listen, { host: '127.0.0.1', port: 0 });
  assert.equal(parseArguments(['127.0.0.1', '0', 'f'], env).listen, { host: '127.0.0.1', port: 0 });
  assert.equal(parseArguments(['127.0.0.1:18000', 'f'], env).listen, { host: '127.0.0.1', port: 18_000 });
});

test('defaults follow XDG', () => {
  const args = parseArguments(['127.0.0.1:1', 'f'], env);
  assert.is(args.dataDir, '/state/mini-torrent/peer');
  assert.is(args.socket, '/run/user/1/mini-torrent/peerd.sock');
  assert.is(args.announce, null);
  assert.is(args.logLevel, 'info');
  assert.is(args.uploadLimit, null, 'not said');
  assert.is(args.trustFirstUse, false);
  assert.is(parseArguments(['a:1', 'f'], { ...env, MT_SOCKET: '/s' }).socket, '/s');
  assert.is(parseArguments(['a:1', 'f'], { XDG_STATE_HOME: '/state' }).socket, '/state/mini-torrent/peer/peerd.sock');
  assert.is(
    parseArguments(['a:1', 'f'], { HOME: '/h', XDG_STATE_HOME: 'relative' }).dataDir.endsWith(
      '.local/state/mini-torrent/peer',
    ),
    true,
  );
});

test('options', () => {
  const args = parseArguments(
    ['127.0.0.1:1', 'f', '--data-dir', 'd', '--socket=/s', '--announce', 'host.example:99', '--trust-first-use'].concat(
      ['--log-level', 'debug', '--upload-limit', '20M', '--download-limit', '64k'],
    ),
    env,
  );
  assert.is(args.dataDir, join(process.cwd(), 'd'));
  assert.is(args.socket, '/s');
  assert.equal(args.announce, { host: 'host.example', port: 99 });
  assert.is(args.trustFirstUse, true);
  assert.is(args.logLevel, 'debug');
  assert.is(args.uploadLimit, 20 * 1024 * 1024);
  assert.is(args.downloadLimit, 65_536);
});

test('what is wrong is said, with the right code', () => {
  refuses('USAGE');
  refuses('USAGE', '127.0.0.1:1');
  refuses('USAGE', 'a', '1', 'f', 'more');
  refuses('USAGE', '127.0.0.1:99999', 'f');
  refuses('USAGE', 'nonsense', 'f');
  refuses('USAGE', '127.0.0.1:1', 'f', '--no-such-option');
  refuses('USAGE', '127.0.0.1:1', 'f', '--log-level', 'loud');
  refuses('USAGE', '127.0.0.1:1', 'f', '--socket', `/${'x'.repeat(107)}`);
  refuses('USAGE', '0.0.0.0:1', 'f');
  refuses('USAGE', '127.0.0.1:1', 'f', '--announce', 'x');
  refuses('INVALID_ARGUMENT', '127.0.0.1:1', 'f', '--upload-limit', 'fast');
  assert.equal(parseArguments(['0.0.0.0:1', 'f', '--announce', 'h:2'], env).announce, { host: 'h', port: 2 });
});

test('sizes are powers of 1024', () => {
  for (const [text, bytes] of [
    ['0', 0],
    ['512', 512],
    ['64K', 65_536],
    ['1.5M', 1_572_864],
    ['2GiB', 2 ** 31],
    ['20MB', 20 * 2 ** 20],
    ['1T', 2 ** 40],
  ] as const) {
    assert.is(parseSize('size', text), bytes);
  }
  for (const text of ['', '-1', '1X', 'M', '1e9', '9999999T', '0x10']) {
    assert.throws(
      () => parseSize('size', text),
      (error: unknown) => isMtError(error, 'INVALID_ARGUMENT'),
      text,
    );
  }
});

test.run();
