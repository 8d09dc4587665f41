// How long `mt list_groups` takes from start to end, next to bare node in the same run: the promise is at most 2.5 times.
// The daemon is the tests' control server, which answers at once: what is measured is mt alone.
//
//   npm run bench:cli [-- --rounds 25]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ControlServer } from '../cli/control-server.ts';
import { MT } from '../cli/run-mt.ts';

const RATIO_MAX = 2.5;
const ROUNDS_MIN = 15;
/** The first runs fill the compile cache and the page cache. */
const WARM_UP_ROUNDS = 3;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '25' } } });
const rounds = Math.max(ROUNDS_MIN, Number(values.rounds));

const server = await ControlServer.start({
  list_groups: () => ({
    groups: Array.from({ length: 20 }, (_, index) => ({
      group_id: `group-${index}`,
      owner: 'alice',
      members: index,
      standing: 'member' as const,
    })),
  }),
});
const empty = join(server.folder, 'empty.cjs');
writeFileSync(empty, '');

const runs: Record<string, string[]> = {
  'bare node': [empty],
  'mt --version': [MT, '--version'],
  'mt list_groups': [MT, 'list_groups'],
  'mt list_groups --json': [MT, 'list_groups', '--json'],
};
const timesMs: Record<string, number[]> = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
  for (const [name, args] of Object.entries(runs)) {
    const elapsedMs = await timeOf(args);
    if (round >= 0) timesMs[name]!.push(elapsedMs);
  }
}
await server.stop();

const bareMs = median(timesMs['bare node']!);
for (const [name, times] of Object.entries(timesMs)) {
  const ms = median(times);
  const row = [
    name.padEnd(24),
    `${ms.toFixed(1)} ms`.padStart(9),
    `${(ms / bareMs).toFixed(2)} x`,
    `least ${Math.min(...times).toFixed(1)}`,
  ];
  console.log(row.join('   '));
}
const ratio = median(timesMs['mt list_groups']!) / bareMs;
console.log(
  `median of ${rounds} rounds; mt list_groups may take ${RATIO_MAX} x: ${ratio <= RATIO_MAX ? 'kept' : 'MISSED'}`,
);
process.exitCode = ratio <= RATIO_MAX ? 0 : 1;

async function timeOf(args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, MT_SOCKET: server.socketPath },
  });
  const [exit] = await once(child, 'exit');
  if (exit !== 0) throw new Error(`${args.join(' ')} ended with ${exit}`);
  return performance.now() - startedAt;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
