import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkLinearizable, type Model, type Operation } from './linearizability.ts';
import { Prng } from './prng.ts';

type In = { key: string; write?: number };
type Out = number;

const register: Model<number, In, Out> = {
  initial: 0,
  step: (state, input, output) => {
    if (input.write !== undefined) return input.write;
    return output === undefined || output === state ? state : null;
  },
  hash: String,
  key: (input) => input.key,
};

/** `W1 0-10` writes 1 from time 0 to 10; `R1 5-7` reads 1; `W1 0-?` nobody knows; a prefix `b:` names another key. */
function history(...lines: string[]): Operation<In, Out>[] {
  return lines.map((line, client) => {
    const [, key = 'a', kind, value, from, to] = /^(?:(\w):)?([WR])(\d+) (\d+)-(\d+|\?)$/.exec(line)!;
    const unknown = to === '?';
    return {
      client,
      input: kind === 'W' ? { key, write: Number(value) } : { key },
      output: unknown ? undefined : Number(value),
      callAt: Number(from),
      returnAt: unknown ? Number.POSITIVE_INFINITY : Number(to),
    };
  });
}

const test = suite('linearizability');

const GOOD: [string, string[]][] = [
  ['nothing', []],
  ['a read after a write sees it', ['W1 0-1', 'R1 2-3']],
  ['overlapping reads may see old and new', ['W1 0-10', 'R0 1-2', 'R1 3-4']],
  ['an unknown write may have happened', ['W1 0-?', 'R1 5-6']],
  ['an unknown write may never happen', ['W1 0-?', 'R0 5-6', 'R0 100-101']],
  ['an unknown write may happen late', ['W1 0-?', 'R0 5-6', 'R1 100-101']],
  ['concurrent writes in either order', ['W1 0-10', 'W2 0-10', 'R2 11-12', 'R2 13-14']],
  ['keys are apart', ['W1 0-1', 'b:R0 2-3', 'R1 2-3']],
  ['call and return at one instant overlap', ['W1 0-5', 'R0 5-6']],
];
const BAD: [string, string[]][] = [
  ['a stale read', ['W1 0-1', 'R0 2-3']],
  ['a value nobody wrote', ['R7 0-1']],
  ['new, then old', ['W1 0-10', 'R1 1-2', 'R0 3-4']],
  ['a lost write', ['W1 0-1', 'W2 2-3', 'R1 4-5']],
  ['two readers that disagree on the order', ['W1 0-10', 'W2 0-10', 'R1 11-12', 'R2 13-14']],
  ['an unknown write that comes back', ['W1 0-?', 'W2 5-6', 'R1 7-8', 'R2 9-10', 'R1 11-12']],
  ['only one key is wrong', ['W1 0-1', 'R1 2-3', 'b:W5 0-1', 'b:R0 2-3']],
];
for (const [name, lines] of GOOD)
  test(`good: ${name}`, () => assert.ok(checkLinearizable(history(...lines), register).ok));
for (const [name, lines] of BAD)
  test(`bad: ${name}`, () => assert.not(checkLinearizable(history(...lines), register).ok));

test('histories made from a real register pass, and fail once a read is falsified', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Prng(seed);
    const made = simulateRegister(random);
    assert.ok(checkLinearizable(made, register).ok, `seed ${seed} should pass`);
    const reads = made.filter((operation) => operation.input.write === undefined);
    if (reads.length === 0) continue;
    const victim = random.pick(reads);
    const falsified = made.map((operation) => (operation === victim ? { ...operation, output: 999_999 } : operation));
    assert.not(checkLinearizable(falsified, register).ok, `seed ${seed} should fail`);
  }
});

test('a long history of many clients is checked within seconds', () => {
  const made = simulateRegister(new Prng(7), { operations: 3_000, clients: 12 });
  const before = process.cpuUsage(); // not the clock: other tests run at the same time
  assert.ok(checkLinearizable(made, register).ok);
  assert.ok(process.cpuUsage(before).user < 5_000_000);
});

/** A true register: each operation takes effect at one instant between its call and its return. */
function simulateRegister(random: Prng, { operations = 30, clients = 4 } = {}): Operation<In, Out>[] {
  const freeAt = new Array<number>(clients).fill(0);
  const planned = Array.from({ length: operations }, (_, i) => {
    const client = random.int(0, clients - 1);
    const callAt = freeAt[client]! + random.float();
    const effectAt = callAt + random.float();
    const returnAt = effectAt + random.float();
    freeAt[client] = returnAt;
    return { client, callAt, effectAt, returnAt, write: random.chance(0.4) ? i + 1 : undefined };
  });
  let value = 0;
  return planned
    .sort((a, b) => a.effectAt - b.effectAt)
    .map(({ client, callAt, returnAt, write }) => {
      if (write !== undefined) value = write;
      const unknown = write !== undefined && random.chance(0.1);
      return {
        client,
        input: write === undefined ? { key: 'a' } : { key: 'a', write },
        output: unknown ? undefined : value,
        callAt,
        returnAt: unknown ? Number.POSITIVE_INFINITY : returnAt,
      };
    });
}

test.run();
