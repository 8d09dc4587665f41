/**
 * The swarm simulator from the command line.
 *
 *     node test/swarm-sim/main.ts --cases [--seeds 10]         the table: time ÷ fluid bound, policy R and rarest-first pull
 *     node test/swarm-sim/main.ts --seed 7 [--case base]       one run, told line by line
 */
import { parseArgs } from 'node:util';
import { Transfer } from '../../daemon/pieces/transfer.ts';
import { type SwarmCase, swarmCases } from './cases.ts';
import { PullPolicy } from './pull.ts';
import { type PolicyMaker, Swarm, type SwarmResult } from './swarm.ts';

const policies: Record<string, PolicyMaker> = {
  R: (options) => new Transfer(options),
  pull: (options) => new PullPolicy(options, { uploadsAtOnce: 8 }),
  'pull-1': (options) => new PullPolicy(options, { uploadsAtOnce: 1 }),
};

const { values } = parseArgs({
  options: {
    cases: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '5' },
    seed: { type: 'string' },
    case: { type: 'string' },
    policy: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}

function runCase(swarmCase: SwarmCase, policy: string, seed: number, trace?: (line: string) => void): SwarmResult {
  return new Swarm(swarmCase.make(seed), seed, policies[policy]!, trace).run();
}

function printTable(cases: readonly SwarmCase[], names: readonly string[], seeds: readonly number[]): void {
  console.log(`time ÷ fluid bound: median (worst) of ${seeds.length} seeds`);
  console.log(
    'case          policy   ratio          limit  seeder ÷ F  useless  declined  messages a piece and leecher',
  );
  for (const swarmCase of cases) {
    for (const name of names) {
      const results = seeds.map((seed) => runCase(swarmCase, name, seed));
      const ratios = results.map(({ ratio }) => ratio);
      const of = (pick: (result: SwarmResult) => number) => median(results.map(pick));
      const ratio = `${median(ratios).toFixed(3)} (${Math.max(...ratios).toFixed(3)})`;
      const limit = name === 'R' ? (swarmCase.ratioMax?.toFixed(2) ?? '') : '';
      const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
      console.log(
        [
          swarmCase.name.padEnd(13),
          name.padEnd(8),
          ratio.padEnd(15),
          limit.padEnd(6),
          of(({ seederCopies }) => seederCopies)
            .toFixed(3)
            .padEnd(11),
          percent(of(({ useless }) => useless)).padEnd(8),
          percent(of(({ declined }) => declined)).padEnd(9),
          of(({ messagesPerPiece }) => messagesPerPiece).toFixed(1),
        ].join(' '),
      );
    }
  }
}

const chosen = swarmCases.filter(({ name }) => values.case === undefined || name === values.case);
if (chosen.length === 0) throw new Error(`no such case; there are: ${swarmCases.map(({ name }) => name).join(', ')}`);
if (values.seed !== undefined && !values.cases) {
  const seed = Number(values.seed);
  const swarmCase = chosen[0]!;
  const policy = values.policy ?? 'R';
  console.log(`case ${swarmCase.name}, policy ${policy}, seed ${seed}`);
  const result = runCase(swarmCase, policy, seed, values.quiet ? undefined : (line) => console.log(line));
  console.log(result);
  process.exitCode = result.isDone ? 0 : 1;
} else {
  const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);
  printTable(chosen, values.policy ? [values.policy] : Object.keys(policies), seeds);
}
