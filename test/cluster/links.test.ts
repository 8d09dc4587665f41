// Links between two trackers while timers stand still: what happens here waits for no backoff.
import { mock } from 'node:test';
import { pino } from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Links, type LinksHost } from '../../cluster/node/links.ts';
import { CONNECTIONS_DEFAULT } from '../../cluster/node/settings.ts';
import { clusterKeyOf, type Listener, listen, makeIdentity } from '../../cluster/node/tls.ts';
import { makeClusterKeyPem, parseClusterKeyPem } from '../../codec/identity.ts';
import { freePorts } from '../harness/free-ports.ts';

const test = suite('links');
const key = clusterKeyOf(parseClusterKeyPem(makeClusterKeyPem()));
const WAIT_MS_MAX = 30_000;

/** As `until`, but needs no timer. */
async function turnsUntil(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Tracker `number`, its links only. */
async function endOf(number: number, ports: readonly number[]) {
  const identity = await makeIdentity(key, number);
  const log = pino({ level: 'silent' });
  const hello = () => ({ role: 'tracker', number, incarnation: `${number}`.repeat(32), cluster_id: null }) as const;
  const host: LinksHost = {
    onMessage: () => {},
    onProposals: () => {},
    onOutcomes: () => {},
    onUp: () => {},
    onDown: () => {},
    linkHandlers: () => assert.unreachable() as never,
    attachment: () => null,
    onInternalError: (error) => {
      throw error;
    },
  };
  const links = new Links({ identity, key, log, hello }, host);
  let listener: Listener | null = null;
  return {
    links,
    open: async () => {
      const address = { host: '127.0.0.1', port: ports[number - 1]! };
      listener = await listen(address, identity, key, CONNECTIONS_DEFAULT, (socket, role) => {
        if (role.role === 'tracker') links.accept(socket, role.number);
      });
    },
    dial: (other: number) => links.setPeers(new Map([[other, { host: '127.0.0.1', port: ports[other - 1]! }]])),
    close: async () => {
      links.close();
      await listener?.close();
    },
  };
}

test('a tracker that comes back is dialled when it dials, whatever is left of a backoff', async () => {
  const ports = await freePorts(2);
  const stays = await endOf(1, ports);
  const returns = await endOf(2, ports);
  await stays.open();
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    stays.dial(2);
    await turnsUntil('nobody is there', () => stays.links.byNumber(2)!.problem !== '');
    await returns.open();
    returns.dial(1);
    await turnsUntil('one way', () => returns.links.byNumber(1)!.rpc !== null);
    await turnsUntil('the other way', () => stays.links.byNumber(2)!.rpc !== null);
  } finally {
    mock.timers.reset();
    await Promise.all([stays.close(), returns.close()]);
  }
});

test.run();
