import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { type ErrorCode, EXIT_OF, errorWireSchema, isMtError, MtError, toMtError } from '../../codec/errors.ts';

/** The public table, written out: programs rely on these numbers. */
const CONTRACT: Record<number, ErrorCode[]> = {
  1: ['INTERNAL'],
  2: ['USAGE', 'INVALID_NAME', 'INVALID_ARGUMENT', 'INVALID_TRACKER_INFO'],
  3: ['DAEMON_UNREACHABLE', 'DAEMON_VERSION'],
  4: ['NOT_LOGGED_IN', 'BAD_CREDENTIALS', 'TOO_MANY_ATTEMPTS', 'ALREADY_LOGGED_IN'],
  5: ['NOT_MEMBER', 'NOT_OWNER', 'FORBIDDEN', 'UNTRUSTED_CLUSTER'],
  6: [
    'NO_SUCH_GROUP',
    'NO_SUCH_MEMBER',
    'NO_SUCH_FILE',
    'NO_SUCH_REQUEST',
    'NO_SUCH_DOWNLOAD',
    'NO_SUCH_SHARE',
    'PATH_NOT_FOUND',
  ],
  7: ['TRACKER_UNREACHABLE', 'NO_QUORUM', 'OUTCOME_UNKNOWN', 'NO_SEEDERS', 'TIMEOUT'],
  8: ['INTEGRITY'],
  9: ['DISK_FULL', 'PERMISSION', 'ADDRESS_IN_USE', 'DATA_DIR_LOCKED'],
  10: [
    'USER_EXISTS',
    'GROUP_EXISTS',
    'ALREADY_MEMBER',
    'ALREADY_REQUESTED',
    'FILE_EXISTS',
    'ALREADY_SHARED',
    'ALREADY_DOWNLOADED',
    'DESTINATION_EXISTS',
  ],
  130: ['INTERRUPTED'],
};

const test = suite('errors');

test('every code of the contract has its exit number', () => {
  for (const [exit, codes] of Object.entries(CONTRACT)) {
    for (const code of codes) assert.is(EXIT_OF[code], Number(exit), code);
  }
});

test('codes beyond the contract use its numbers, and none is 0', () => {
  const known = new Set(Object.keys(CONTRACT).map(Number));
  for (const [code, exit] of Object.entries(EXIT_OF)) assert.ok(known.has(exit), `${code} = ${exit}`);
});

test('an error crosses the wire unchanged', () => {
  for (const suggestion of [undefined, 'Run: mt login alice']) {
    const error = new MtError('NOT_LOGGED_IN', 'Not logged in', suggestion);
    const wire = JSON.parse(JSON.stringify(error.toWire()));
    const back = MtError.fromWire(v.parse(errorWireSchema, wire));
    assert.equal(
      [back.code, back.message, back.suggestion, back.exit],
      ['NOT_LOGGED_IN', 'Not logged in', suggestion, 4],
    );
  }
});

test('a wire error of another shape is refused', () => {
  for (const wire of [
    {},
    { code: 'X', message: '' },
    { code: 'INTERNAL' },
    { code: 'INTERNAL', message: 'x'.repeat(4097) },
    { code: 'toString', message: '' },
  ]) {
    assert.not.ok(v.is(errorWireSchema, wire), JSON.stringify(wire).slice(0, 80));
  }
});

test('an unexpected error tells nothing of itself but keeps its cause for the log', () => {
  const cause = new Error('a secret detail');
  const error = toMtError(cause);
  assert.is(error.code, 'INTERNAL');
  assert.is(error.cause, cause);
  assert.not.match(JSON.stringify(error.toWire()), 'secret');
  const expected = new MtError('NO_QUORUM', 'x');
  assert.is(toMtError(expected), expected);
});

test('isMtError tells codes apart', () => {
  const error = new MtError('TIMEOUT', 'x');
  assert.ok(isMtError(error));
  assert.ok(isMtError(error, 'NO_QUORUM', 'TIMEOUT'));
  assert.not.ok(isMtError(error, 'NO_QUORUM'));
  assert.not.ok(isMtError(new Error('TIMEOUT')));
});

test.run();
