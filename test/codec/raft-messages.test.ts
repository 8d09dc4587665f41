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

const roundTrip = (value: unknown) => decodeRaftMessage(Uint8Array.from(encodeCbor(value)));

test('every message comes back as it was sent', () => {
  for (const message of SAMPLES) {
    const back = decodeRaftMessage(Uint8Array.from(encodeRaftMessage(message)));
    assert.equal(JSON.stringify(back), JSON.stringify(message));
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
    'no such kind': { ...append, entries: [[7, 'other', data, null]] },
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
  const bytes = SAMPLES.map((message) => Uint8Array.from(encodeRaftMessage(message)));
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
