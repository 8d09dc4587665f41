import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Chaos, type ChaosReport } from './chaos.ts';

const test = suite('raft chaos');

/** Replay one seed: CHAOS_SEED=123 node test/raft/chaos.test.ts. More of them: CHAOS_SEEDS=5000. */
const ONE_SEED = process.env.CHAOS_SEED;
const SEEDS = Number(process.env.CHAOS_SEEDS ?? 150);
const ACTIONS = 1_500;

test('random schedules keep every safety property, and the cluster agrees once healed', () => {
  const first = ONE_SEED === undefined ? Math.floor(Math.random() * 1e6) : Number(ONE_SEED);
  const count = ONE_SEED === undefined ? SEEDS : 1;
  const sum: Record<keyof ChaosReport, number> = {
    committed: 0,
    reads: 0,
    restarts: 0,
    elections: 0,
    snapshots: 0,
    changes: 0,
  };
  for (let seed = first; seed < first + count; seed++) {
    try {
      const report = new Chaos(seed).run(ACTIONS);
      for (const key of Object.keys(sum) as (keyof ChaosReport)[]) sum[key] += report[key];
    } catch (error) {
      throw new Error(`CHAOS_SEED=${seed} fails: ${error}`, { cause: error });
    }
  }
  console.log(`chaos: seeds ${first}..${first + count - 1}:`, JSON.stringify(sum));
  // A schedule that does nothing proves nothing.
  if (count > 1) for (const [what, n] of Object.entries(sum)) assert.ok(n > count / 10, `too few ${what}: ${n}`);
});

test.run();
