// A leader that stops hands over, and stays until its heir leads. One real engine on a real store; the test speaks for the others,
// so that messages come in an order that processes bring about once in a hundred stops.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../../cluster/node/digest.ts';
import { Links } from '../../cluster/node/links.ts';
import { RaftEngine } from '../../cluster/node/raft-engine.ts';
import type { Message } from '../../cluster/raft/messages.ts';
import { loadState } from '../../cluster/store/replay.ts';
import { Store } from '../../cluster/store/store.ts';
import { until } from '../harness/until.ts';

const [OWN, HEIR, THIRD] = ['1', '2', '3'].map((digit) => digit.repeat(32)) as [string, string, string];
const LONG_MS = 10_000;
/** Of the event loop: long enough for whatever need not wait. */
const TURNS = 100;

const test = suite<{ scene: ReturnType<typeof open>; dir: string }>('a planned hand-over');
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'mt-hand-over-'));
  context.scene = open(context.dir);
});
test.after.each(({ dir, scene }) => {
  scene.engine.stop();
  scene.store.close();
  rmSync(dir, { recursive: true });
});

class RecordingLinks extends Links {
  readonly sent: Message[] = [];

  override send(message: Message): void {
    this.sent.push(message);
  }
}

function open(dir: string) {
  const store = new Store(dir, 1, OWN);
  const founders = [OWN, HEIR, THIRD].map((incarnation, at) => ({
    number: at + 1,
    incarnation,
    host: '127.0.0.1',
    port: 7_000 + at,
  }));
  store.joinCluster('c'.repeat(32), founders);
  const log = pino({ level: 'silent' });
  const links = new RecordingLinks(
    { identity: {} as never, key: {} as never, log, hello: () => ({}) as never },
    {} as never,
  );
  const engine = new RaftEngine({
    store,
    state: loadState(store, sha256),
    links,
    log,
    onRoleChange: () => {},
    onMembership: () => {},
    onSnapshotToSend: () => {},
    onTick: () => {},
    onFatal: (error) => {
      throw error;
    },
  });
  const said = <T extends Message['type']>(type: T, is: (message: Message & { type: T }) => boolean = () => true) =>
    until(type, () => links.sent.find((m): m is Message & { type: T } => m.type === type && is(m as never)));
  return { store, engine, said };
}

const envelope = (from: string, term: number) => ({ from, to: OWN, term });

async function lead({ engine, said }: ReturnType<typeof open>): Promise<void> {
  engine.start();
  engine.driver.campaign();
  for (const pre of [true, false]) {
    const { term } = await said('request_vote', (m) => m.pre === pre);
    engine.onMessage({ type: 'request_vote_reply', ...envelope(THIRD, term), pre, granted: true });
  }
  await said('append');
  const reply = { type: 'append_reply', boot: 1, ok: true, index: 1, hintIndex: 0, hintTerm: 0 } as const;
  for (const from of [HEIR, THIRD]) engine.onMessage({ ...reply, ...envelope(from, 1) });
  await until('it leads', () => engine.status().commitIndex === 1);
}

test('it votes for its heir, though a word of the heir in the new term came first', async ({ scene }) => {
  const { engine, said } = scene;
  await lead(scene);
  let isOver = false;
  const handedOver = engine.handOver(LONG_MS).then(() => {
    isOver = true;
  });
  const { to: heir } = await said('timeout_now');
  const state = { boot: 1, round: 0, fit: true, commit: 1 } as const;
  engine.onMessage({ type: 'heartbeat_reply', ...envelope(heir, 2), ...state });
  await until('its term has ended', () => !engine.isLeader);
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.not(isOver, 'it left before it could vote');
  const request = { type: 'request_vote', pre: false, transfer: true, lastIndex: 1, lastTerm: 1 } as const;
  engine.onMessage({ ...request, ...envelope(heir, 2) });
  assert.ok((await said('request_vote_reply', (m) => m.to === heir)).granted);
  engine.onMessage({ type: 'heartbeat', ...envelope(heir, 2), round: 0 });
  await handedOver;
  assert.is(engine.status().leader, heir === HEIR ? 2 : 3);
});

test.run();
