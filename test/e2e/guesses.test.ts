// Guessing passwords: it takes the same time whether the user exists, it costs waiting per account and per address on every tracker,
// a killed leader forgets nothing of that, and whoever knows the password elsewhere is not kept out for good.
import { randomUUID } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMtError } from '../../codec/errors.ts';
import { makeDaemonIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import { connectTracker, type TrackerConnection } from '../harness/hostile-member.ts';
import { until } from '../harness/until.ts';
import { inWorld, type World } from '../harness/world.ts';

const test = suite('guesses');
const ADDRESS = { host: '127.0.0.1', port: 18_000 };

/** Someone with a key and no account, at an address of its own. */
class Guesser {
  readonly #to: readonly Address[];
  readonly #from: string;
  readonly #identity;
  #rpc: TrackerConnection | null = null;
  #client = '';
  #seq = 0;

  private constructor(to: readonly Address[], from: string, identity: Awaited<ReturnType<typeof makeDaemonIdentity>>) {
    this.#to = to;
    this.#from = from;
    this.#identity = identity;
  }

  static async make(to: readonly Address[], from: string): Promise<Guesser> {
    return new Guesser(to, from, await makeDaemonIdentity(Date.now()));
  }

  /** The code of the answer, and how long it took. */
  async try(user_id: string, password: string): Promise<{ code: string; message: string; ms: number }> {
    for (;;) {
      const rpc = await this.#connect();
      const request = { client_id: this.#client, seq: ++this.#seq, acked: this.#seq };
      const startedAt = performance.now();
      const answer = await rpc
        .call('login', { request, user_id, password, address: ADDRESS }, { timeoutMs: 5_000 })
        .then(
          () => ({ code: 'OK', message: '' }),
          (error) =>
            isMtError(error) ? { code: error.code as string, message: error.message } : Promise.reject(error),
        );
      if (answer.code !== 'CLOSED' && answer.code !== 'NO_QUORUM') {
        return { ...answer, ms: performance.now() - startedAt };
      }
      this.close();
    }
  }

  close(): void {
    this.#rpc?.close();
    this.#rpc = null;
  }

  async #connect(): Promise<TrackerConnection> {
    if (this.#rpc?.isOpen) return this.#rpc;
    for (let at = 0; ; at++) {
      const to = this.#to[at % this.#to.length]!;
      try {
        this.#rpc = await connectTracker(to, this.#identity, this.#from);
        ({ client_id: this.#client } = await this.#rpc.call('register_client', {}, { timeoutMs: 5_000 }));
        this.#seq = 0;
        return this.#rpc;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

const all = (world: World) => [1, 2, 3].map((number) => world.trackerAddress(number));

test(
  'an unknown user and a wrong password: the same answer, after the same time',
  inWorld(async (world) => {
    await world.startTracker(1);
    await world.people('alice');
    const tracker = [world.trackerAddress(1)];
    const known: number[] = [];
    const unknown: number[] = [];
    const said = new Set<string>();
    // Each pair from an address and at an account of its own, in turns, so that no limit and no load falls on one side.
    for (let round = 0; round < 16; round++) {
      if (round % 4 === 0) await world.people(`user-${round}`);
      const guesser = await Guesser.make(tracker, `127.77.1.${round + 1}`);
      await guesser.try(`warm-${round}`, 'up');
      const sides: [string, number[]][] = [
        [`user-${round - (round % 4)}`, known],
        [`nobody-${round}`, unknown],
      ];
      if (round % 2 === 1) sides.reverse();
      for (const [user, times] of sides) {
        const { code, message, ms } = await guesser.try(user, randomUUID());
        said.add(`${code} ${message.replace(user, '…')}`);
        times.push(ms);
      }
      guesser.close();
    }
    assert.is(said.size, 1, [...said].join(' | '));
    assert.match([...said][0]!, 'BAD_CREDENTIALS');
    // The fastest of each: what other programs on this machine took is in all the others.
    const [a, b] = [Math.min(...known), Math.min(...unknown)];
    assert.ok(Math.min(a, b) > 20, `the work of scrypt is done for both: ${a} ms, ${b} ms`);
    // Without the work for unknown users this would be a factor of 20.
    assert.ok(Math.max(a, b) / Math.min(a, b) < 1.3, `known ${a.toFixed(1)} ms, unknown ${b.toFixed(1)} ms`);
    if (process.env.MT_VERBOSE) console.log({ known: a, unknown: b });
  }, 1),
);

test(
  'after five failures an account waits, and an address after twenty; doubling; also behind another tracker, and after kill -9 of the leader',
  inWorld(async (world) => {
    await world.startTrackers();
    const { alice } = await world.people('alice', 'bob');
    const mallory = await Guesser.make(all(world), '127.77.2.1');
    for (let i = 0; i < 6; i++) assert.is((await mallory.try('alice', `wrong-${i}`)).code, 'BAD_CREDENTIALS', `${i}`);
    const elsewhere = await Guesser.make(all(world).reverse(), '127.77.2.2');
    assert.is((await elsewhere.try('alice', 'wrong')).code, 'TOO_MANY_ATTEMPTS', 'known to every tracker');
    // One more failure as soon as it is allowed: the wait doubles.
    let failedAtMs = 0;
    const isTaken = async () => {
      failedAtMs = performance.now(); // before it is sent: the wait begins when it is decided
      return (await mallory.try('alice', 'wrong')).code === 'BAD_CREDENTIALS';
    };
    await until('the first wait is over', isTaken, { everyMs: 50 });
    await world.killLeader(alice);
    let answers = 0;
    await until(
      'the second wait is over',
      async () => {
        const { code } = await elsewhere.try('alice', 'pw-alice');
        if (code === 'TOO_MANY_ATTEMPTS') answers++;
        return code === 'OK';
      },
      { everyMs: 50 },
    );
    assert.ok(answers > 0, 'the new leader remembered the failures');
    assert.ok(performance.now() - failedAtMs > 1_900, 'and how long the wait is');
    elsewhere.close();

    // One address, many accounts: the address waits; others do not, nor does whoever is logged in.
    let failures = 7; // those above
    let code = '';
    for (; failures < 40; failures++) {
      ({ code } = await mallory.try(`guess-${failures}`, 'wrong'));
      if (code !== 'BAD_CREDENTIALS') break;
    }
    assert.is(code, 'TOO_MANY_ATTEMPTS');
    assert.ok(failures >= 20 && failures <= 22, `${failures} failures were free`);
    const honest = await Guesser.make(all(world), '127.77.2.3');
    assert.is((await honest.try('bob', 'pw-bob')).code, 'OK', 'from another address');
    await alice.ok('create_group', 'still-served');
    honest.close();
    mallory.close();
  }),
);

test.run();
