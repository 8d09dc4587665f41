import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Transfer } from '../../daemon/pieces/transfer.ts';
import { swarmCases } from './cases.ts';
import { PullPolicy } from './pull.ts';
import { type PolicyMaker, Swarm, type SwarmResult } from './swarm.ts';

const test = suite('swarm-sim');
const policyR: PolicyMaker = (options) => new Transfer(options);
const pull: PolicyMaker = (options) => new PullPolicy(options, { uploadsAtOnce: 8 });

function run(name: string, seed: number, policy = policyR): SwarmResult {
  const swarmCase = swarmCases.find((candidate) => candidate.name === name)!;
  return new Swarm(swarmCase.make(seed), seed, policy).run();
}

for (const { name, ratioMax } of swarmCases) {
  test(`${name}: ${ratioMax === null ? 'everybody completes' : `at most ${ratioMax} × the fluid bound`}`, () => {
    for (const seed of ratioMax === null ? [1] : [1, 2]) {
      const { isDone, ratio, useless, bans } = run(name, seed);
      const replay = `node test/swarm-sim/main.ts --case ${name} --seed ${seed}`;
      assert.ok(isDone, `everybody completes: ${replay}`);
      assert.ok(ratio <= (ratioMax ?? Number.POSITIVE_INFINITY), `${ratio} × the bound: ${replay}`);
      assert.ok(useless < 0.03, `${useless} of the bytes were useless: ${replay}`);
      const isAsItShouldBe = name === 'corrupt' ? bans.length > 0 : name === 'stalling' || bans.length === 0;
      assert.ok(isAsItShouldBe, `banned: ${bans.join('; ') || 'nobody'}: ${replay}`);
    }
  });
}

test('better than rarest-first pull', () => {
  for (const name of ['base', 'x10', 'free-riders', 'wan']) {
    const ours = run(name, 1).timeMs;
    const theirs = run(name, 1, pull).timeMs;
    assert.ok(ours < theirs, `${name}, seed 1: ${ours} ms against ${theirs} ms`);
  }
});

test('the same seed gives the same run', () => {
  assert.equal(run('churn', 3), run('churn', 3));
});

test('corrupt pieces have one culprit, and it is banned by each that it cheated', () => {
  for (const ban of run('corrupt', 1).bans) assert.match(ban, /bans 1: corrupt/);
});

test.run();
