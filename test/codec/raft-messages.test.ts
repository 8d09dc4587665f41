import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { APPEND_ENTRIES_MAX } from '../../cluster/raft/replication.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { MtError } from '../../codec/errors.ts';
import { RAFT_APPEND_ENTRIES_MAX } from '../../codec/limits.ts';
import { decodeRaftMessage, encodeRaftMessage, type RaftMessageWire } from '../../codec/raft-messages.ts';

const test = suite('codec raft-messages');

const data = Uint8Array.of(1, 2);
const append = { type: 'append', term: 7, prev_index: 4, prev_term: 2, commit: 4, boot: 1 } as const;
const SAMPLES: readonly RaftMessageWire[] = [
  { type: 'request_vote', term: 7, pre: true, transfer: false, last_index: 3, last_term: 2 },
  { type: 'request_vote_reply', term: 7, pre: false, granted: true },
  {
    ...append,
    entries: [
      [2, 'command', data, null],
      [7, 'config', data, data],
    ],
  },
  { ...append, entries: [] },
  { type: 'append_reply', term: 7, boot: 3, ok: false, index: 9, hint_index: 4, hint_term: 2 },
  { type: 'heartbeat', term: 7, round: 2 ** 40 },
  { type: 'heartbeat_reply', term: 7, boot: 3, round: 5, fit: false, commit: 8 },
  { type: 'timeout_now', term: 7 },
  { type: 'read_request', term: 7, boot: 3, id: 1 },
  { type: 'read_reply', term: 7, boot: 3, id: 1, index: null },
];

const bytesOf = (message: RaftMessageWire) => Uint8Array.from(Buffer.concat(encodeRaftMessage(message)));
/** As a hostile tracker may send it: an append in its own layout, anything else as the CBOR of whatever it is. */
const roundTrip = (value: unknown) => {
  const isAppend = (value as RaftMessageWire | null)?.type === 'append';
  return decodeRaftMessage(isAppend ? bytesOf(value as RaftMessageWire) : Uint8Array.from(encodeCbor(value)));
};

/** With bytes as lists of numbers, whichever class they are of. */
const plain = (message: RaftMessageWire) =>
  JSON.stringify(message, function (this: Record<string, unknown>, key, value: unknown) {
    const raw = this[key];
    return raw instanceof Uint8Array ? [...raw] : value;
  });

test('every message comes back as it was sent', () => {
  for (const message of SAMPLES) {
    const back = decodeRaftMessage(bytesOf(message));
    assert.equal(plain(back), plain(message));
  }
});

test('the leader sends no more entries at a time than the schema takes', () => {
  assert.is(APPEND_ENTRIES_MAX, RAFT_APPEND_ENTRIES_MAX);
  const entries = Array.from({ length: RAFT_APPEND_ENTRIES_MAX }, () => [7, 'noop', data, null]);
  assert.not.throws(() => roundTrip({ ...append, entries }));
  assert.throws(() => roundTrip({ ...append, entries: [...entries, entries[0]] }));
});

test('a message that contradicts itself, or is none, is refused with a declared error', () => {
  const bad: Record<string, unknown> = {
    'falling terms': {
      ...append,
      entries: [
        [5, 'command', data, null],
        [4, 'command', data, null],
      ],
    },
    'an entry from before prev_term': { ...append, prev_term: 5, entries: [[4, 'command', data, null]] },
    'an entry from the future': { ...append, entries: [[8, 'command', data, null]] },
    'a previous entry from the future': { ...append, prev_term: 8, entries: [] },
    'an index beyond counting': { ...append, prev_index: Number.MAX_SAFE_INTEGER, entries: [[7, 'noop', data, null]] },
    'a negative term': { type: 'timeout_now', term: -1 },
    'a fraction': { type: 'timeout_now', term: 1.5 },
    'no such message': { type: 'other', term: 1 },
    'one field too many': { type: 'timeout_now', term: 1, more: 1 },
    'one field too few': { type: 'heartbeat', term: 1 },
    nothing: null,
  };
  for (const [why, value] of Object.entries(bad)) {
    assert.throws(
      () => roundTrip(value),
      (error: unknown) => error instanceof MtError,
      why,
    );
  }
});

test('an append has its own layout only, and its rows end where the message ends', () => {
  const refuses = (bytes: Uint8Array) =>
    assert.throws(
      () => decodeRaftMessage(bytes),
      (error: unknown) => error instanceof MtError,
    );
  refuses(Uint8Array.from(encodeCbor({ ...append, entries: [] })));
  const good = bytesOf({ ...append, entries: [[7, 'command', data, data]] });
  for (let size = 0; size < good.length; size++) refuses(good.slice(0, size));
  refuses(Uint8Array.from([...good, 0]));
  const kindAt = good.length - 2 * data.length - 9;
  assert.is(good[kindAt], 1);
  refuses(good.with(kindAt, 9));
});

test('what is kept of an append does not hold the memory it came in', () => {
  const bytes = bytesOf({ ...append, entries: [[7, 'command', data, data]] });
  const message = decodeRaftMessage(bytes);
  assert.ok(message.type === 'append');
  const [, , command, manifest] = message.entries[0]!;
  assert.is.not(command.buffer, bytes.buffer);
  assert.is(manifest!.buffer, bytes.buffer, 'a manifest is not copied: it is soon on disk');
});

test('random bytes give a declared error or a message, never anything else', () => {
  const decode = (bytes: Uint8Array) => {
    try {
      decodeRaftMessage(bytes);
    } catch (error) {
      if (!(error instanceof MtError)) throw error;
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), decode), { numRuns: 2_000 });
  // A good message with one byte changed.
  const bytes = SAMPLES.map(bytesOf);
  fc.assert(
    fc.property(fc.constantFrom(...bytes), fc.nat(), fc.nat(255), (good, at, value) => {
      const bad = Uint8Array.from(good);
      bad[at % bad.length] = value;
      decode(bad);
    }),
    { numRuns: 5_000 },
  );
});

test.run();
