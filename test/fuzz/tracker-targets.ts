// What one tracker reads from another, from its administrator and from its own log and snapshots.
import { createHash, randomBytes } from 'node:crypto';
import { decodeMembership, encodeMembership } from '../../cluster/raft/membership.ts';
import { decodeCommand, encodeCommand, UnknownCommandError } from '../../cluster/state/commands.ts';
import { SnapshotReader } from '../../cluster/state/restore.ts';
import { takeSnapshot } from '../../cluster/state/snapshot.ts';
import { decodeRows, encodeRows } from '../../codec/byte-rows.ts';
import { decodeRaftMessage, encodeRaftMessage, type RaftMessageWire } from '../../codec/raft-messages.ts';
import { decodeOutcomes, decodeProposals, encodeOutcomes, encodeProposals } from '../../codec/tracker-link.ts';
import { World } from '../state/world.ts';
import type { Random } from './sample.ts';
import { isDeclared, type Target } from './target.ts';

const raft: Target = {
  name: 'raft message',
  seed: (random) => {
    const term = random(9);
    const entries = Array.from({ length: random(4) }, (): [number, 'command', Uint8Array, Uint8Array | null] => [
      term,
      'command',
      randomBytes(random(40)),
      random(3) === 0 ? randomBytes(random(90)) : null,
    ]);
    const messages: RaftMessageWire[] = [
      { type: 'append', term: 9, prev_index: 1, prev_term: 0, commit: 1, boot: 1, entries },
      { type: 'append_reply', term, boot: 1, ok: true, index: 1, hint_index: 1, hint_term: 1 },
      { type: 'request_vote', term, pre: false, transfer: false, last_index: 1, last_term: 1 },
      { type: 'heartbeat', term, round: 1 },
      { type: 'read_reply', term, boot: 1, id: 1, index: null },
    ] as RaftMessageWire[];
    return Uint8Array.from(Buffer.concat(encodeRaftMessage(messages[random(messages.length)]!)));
  },
  run: (bytes) => void decodeRaftMessage(bytes),
  allows: isDeclared,
};

const rows: Target = {
  name: 'rows of bytes',
  seed: (random) =>
    encodeRows(
      Array.from({ length: random(6) }, (_, number) => ({
        number,
        tag: random(256),
        data: randomBytes(random(20)),
        attachment: random(2) === 0 ? null : randomBytes(random(20)),
      })),
    ),
  run: (bytes) => {
    const total = decodeRows(bytes, 64, 'rows').reduce((sum, { data }) => sum + data.length, 0);
    if (total > bytes.length) throw new Error('more than came');
  },
  allows: isDeclared,
};

const membership: Target = {
  name: 'membership',
  seed: (random) => {
    const voters = Array.from({ length: 1 + random(3) }, () => randomBytes(4).toString('hex'));
    const info = Object.fromEntries(
      voters.map((node, at) => [node, { number: at + 1, host: '127.0.0.1', port: 5353 }]),
    );
    return encodeMembership({ voters, learners: [], info });
  },
  run: (bytes) => {
    const read = decodeMembership(bytes);
    if (read && !Array.isArray(read.voters)) throw new Error('no membership');
  },
  allows: () => false,
};

const log: Target = {
  name: 'log command',
  seed: (random) => {
    const actor = { fingerprint: 'ab'.repeat(32), session: random(2) === 0 ? null : 'cd'.repeat(16) };
    const payload = [{ client_id: 'ab'.repeat(16) }, { group_id: 'g' }, { group_id: 'g', user_id: 'u' }][random(3)];
    const type = ['register_client', 'create_group', 'accept_request'][random(3)]!;
    return encodeCommand({ type, at: 1, clientId: 'cd'.repeat(16), seq: 1, acked: 0, actor, payload } as never);
  },
  run: (bytes) => void decodeCommand(bytes),
  allows: (error) => isDeclared(error) || error instanceof UnknownCommandError,
};

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const snapshotChunks = (() => {
  const world = new World().people('ann', 'bob').group('lab', 'ann', 'bob');
  world.share('ann', 'lab', 'f');
  world.beginDownload('bob', 'lab', 'f');
  const snapshot = takeSnapshot(world.state, sha256);
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) chunks.push(chunk);
  return chunks;
})();

/** The true head, then rows that are not what was written. */
const snapshot: Target = {
  name: 'snapshot',
  seed: (random: Random) => snapshotChunks[random(snapshotChunks.length)]!,
  run: (bytes, random) => {
    const reader = new SnapshotReader(sha256);
    if (random(4) > 0) reader.push(snapshotChunks[0]!);
    reader.push(bytes);
    reader.finish();
  },
  allows: (error) => isDeclared(error) || error instanceof UnknownCommandError,
};

export const TRACKER_TARGETS: readonly Target[] = [
  raft,
  rows,
  membership,
  {
    ...raft,
    name: 'proposals',
    seed: (random) => encodeProposals([[random(99), randomBytes(5), random(2) === 0 ? null : randomBytes(9)]]),
    run: (bytes) => void decodeProposals(bytes),
  },
  {
    ...raft,
    name: 'outcomes',
    seed: () => Uint8Array.from([...encodeOutcomes([{ ref: 1, outcome: 'unknown' }])][0]!),
    run: (bytes) => void decodeOutcomes(bytes),
  },
  log,
  snapshot,
];
