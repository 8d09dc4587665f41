// Commands that wait for their outcome while the leader changes: sent again, but never twice in the same bytes, since those may be in
// a log by then and the leader writes its time into them.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Outgoing, PendingCommands } from '../../cluster/node/pending-commands.ts';
import { ReadBarriers } from '../../cluster/node/read-barriers.ts';
import { attachmentOf } from '../../cluster/store/attachments.ts';
import { isMtError } from '../../codec/errors.ts';
import { RAFT_PAYLOAD_BYTES_MAX } from '../../codec/limits.ts';
import { decodeOutcomes, encodeOutcomes, type Outcome } from '../../codec/tracker-link.ts';

const test = suite('pending commands');
const COMMAND = Uint8Array.of(1, 2, 3);
const REPLY = { ok: true, result: {} } as const;

/** One command that was forwarded to a leader, which handed over: now it is in the log of this tracker, the new leader. */
function inOwnLog() {
  const commands = new PendingCommands();
  const reply = commands.add(COMMAND.slice(), null, 1_000);
  const [forwarded] = commands.takeWaiting(true);
  commands.lostLeader();
  const [logged] = commands.takeWaiting(false);
  assert.is(logged!.ref, forwarded!.ref);
  return { commands, reply, logged: logged! };
}

for (const late of ['refused', 'unknown'] as const) {
  test(`the former leader's late word (${late}) brings nothing into the new leader's log again`, async () => {
    const { commands, reply, logged } = inOwnLog();
    const { ref } = logged;
    commands.outcome(late === 'refused' ? { ref, outcome: late, reason: 'transferring' } : { ref, outcome: late });
    assert.not(commands.hasWaiting);
    commands.applied(ref, REPLY);
    assert.equal(await reply, REPLY);
    assert.is(commands.size, 0);
  });
}

test('that it was applied counts, whoever says it', async () => {
  const { commands, reply, logged } = inOwnLog();
  commands.outcome({ ref: logged.ref, outcome: 'applied', reply: { ok: true, result: {} } });
  assert.equal(await reply, REPLY);
});

test('what can never be taken is told so at once', async () => {
  for (const [reason, code] of [
    ['too_large', 'TOO_LARGE'],
    ['malformed', 'PROTOCOL'],
  ] as const) {
    const commands = new PendingCommands();
    const reply = commands.add(COMMAND.slice(), null, 1_000);
    const [{ ref }] = commands.takeWaiting(true) as [Outgoing];
    commands.outcome({ ref, outcome: 'refused', reason });
    assert.ok(isMtError(await reply.catch((error: unknown) => error), code));
    assert.is(commands.size, 0);
  }
});

test('what leaves again is a copy, with its manifest', () => {
  const commands = new PendingCommands();
  const attachment = { hash: new Uint8Array(32), bytes: Uint8Array.of(9) };
  void commands.add(COMMAND.slice(), attachment, 1_000);
  const [first] = commands.takeWaiting(false);
  commands.refused(first!.ref, 'transferring');
  const [second] = commands.takeWaiting(false);
  commands.unknown(first!.ref);
  const [third] = commands.takeWaiting(false);
  assert.is(new Set([first!.data.buffer, second!.data.buffer, third!.data.buffer]).size, 3);
  for (const { data } of [first!, second!, third!]) {
    assert.equal(data, COMMAND);
    assert.is(attachmentOf(data), attachment);
  }
});

test('refused by the leader that it is with, it waits for its turn again; too large, it ends', async () => {
  const commands = new PendingCommands();
  const reply = commands.add(COMMAND.slice(), null, 1_000);
  const [{ ref }] = commands.takeWaiting(true) as [Outgoing];
  commands.outcome({ ref, outcome: 'refused', reason: 'not_leader' });
  assert.ok(commands.hasWaiting);
  commands.takeWaiting(true);
  commands.outcome({ ref, outcome: 'refused', reason: 'too_large' });
  const error = await reply.catch((cause: unknown) => cause);
  assert.ok(isMtError(error, 'TOO_LARGE'));
  assert.is(commands.size, 0);
});

test('the answers to all that waited out a pause are frames that the other tracker reads', () => {
  const error = { code: 'FILE_EXISTS', message: 'm'.repeat(700), suggestion: 's'.repeat(1_300) } as const;
  const outcomes = Array.from(
    { length: 14_000 },
    (_, ref): Outcome => ({ ref, outcome: 'applied', reply: { ok: false, error } }),
  );
  const read: Outcome[] = [];
  for (const payload of encodeOutcomes(outcomes)) {
    assert.ok(payload.length < RAFT_PAYLOAD_BYTES_MAX);
    for (const outcome of decodeOutcomes(payload)) read.push(outcome);
  }
  assert.equal(
    read.map(({ ref }) => ref),
    outcomes.map(({ ref }) => ref),
  );
});

test('a crowd of reads that nobody can answer yet waits on', () => {
  const reads = new ReadBarriers();
  for (let i = 0; i < 130_000; i++) reads.add(1).catch(() => {});
  reads.take(1);
  reads.answered(1, null, 0);
  assert.ok(reads.retry());
  reads.sweep(Number.POSITIVE_INFINITY);
  assert.not(reads.hasWaiting);
});

test.run();
