// npm run bench:transfer [-- --only one,four,flash,limited] [--rounds 3] [--peers libtorrent,aria2,transmission] [--size MIB] [--warm MIB] [--loop] [--profile DIR]
// Transfers through the real programs: from the first `mt download_file` to the last one's exit, every copy compared, everything
// encrypted, every piece and every whole file checked. With --peers, installed BitTorrent clients (plaintext, pieces checked) run
// in turn with ours in every round, on the same file; the time of a client without a waiting daemon includes its start.
// Our daemons are as fresh as the others. With --warm, a second row shows daemons that have moved another file of so many MiB before.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeFile } from '../harness/files.ts';
import { OWN_NAME, ownTransfer } from './own-transfer.ts';
import { printProfiles } from './profile.ts';
import { torrentContender } from './torrent-peers.ts';
import { boundOf, type Contender, MIB, type Run, SCENARIOS, type Scenario } from './transfer-scenarios.ts';

/** Set in the copy of this program that runs in a network namespace of its own. */
const IN_NAMESPACE = 'MT_BENCH_NAMESPACE';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'one,four,flash,limited' },
    rounds: { type: 'string', default: '3' },
    peers: { type: 'string', default: '' },
    size: { type: 'string' },
    warm: { type: 'string', default: '0' },
    profile: { type: 'string', default: '' },
    loop: { type: 'boolean', default: false },
  },
});

if (values.peers && !process.env[IN_NAMESPACE] && canUnshare()) process.exitCode = runInNamespace();
else await main();

async function main(): Promise<void> {
  const own = { profileDir: values.profile, isLoopWatched: values.loop };
  const contenders = [ownTransfer({ ...own, earlierMiB: 0 }), ...torrentPeers()];
  const earlierMiB = Number(values.warm);
  if (earlierMiB > 0) contenders.push(ownTransfer({ ...own, earlierMiB }));
  const chosen = new Set(values.only.split(','));
  const dir = mkdtempSync(join(tmpdir(), 'mt-bench-'));
  try {
    for (const known of SCENARIOS.filter(({ name }) => chosen.has(name))) {
      const scenario = values.size ? { ...known, sizeBytes: Number(values.size) * MIB } : known;
      await compete(scenario, contenders, dir);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  if (values.profile) printProfiles(values.profile);
}

/** All contenders in turn, round after round, so that a machine that is busy for a while is busy for all. */
async function compete(scenario: Scenario, contenders: readonly Contender[], dir: string): Promise<void> {
  const path = join(dir, 'payload');
  const payload = { path, dir, sha1: makeFile(path, scenario.sizeBytes, scenario.name) };
  const runs = new Map<string, Run[]>(contenders.map(({ name }) => [name, []]));
  const given = new Map<string, string>();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const { name, run } of contenders) {
      if (given.has(name)) continue;
      try {
        runs.get(name)!.push(await run(scenario, payload));
      } catch (error) {
        if (name === OWN_NAME) throw error;
        given.set(name, (error as Error).message.split('\n')[0]!);
      }
    }
  }
  rmSync(path);
  report(scenario, runs, given);
}

function report(
  scenario: Scenario,
  runs: ReadonlyMap<string, readonly Run[]>,
  givenUp: ReadonlyMap<string, string>,
): void {
  const { name, seeders, leechers, sizeBytes } = scenario;
  const bound = boundOf(scenario);
  const limit = bound > 0 ? `, ${scenario.uploadLimit / 1e6} MB/s up each: bound ${bound.toFixed(2)} s` : '';
  const load = loadavg()[0]!.toFixed(1);
  console.log(`\n${name}: ${seeders} -> ${leechers}, ${sizeBytes / MIB} MiB${limit} (load ${load})`);
  const own = median(runs.get(OWN_NAME)!, ({ seconds }) => seconds);
  const rows = [...runs].map(([contender, all]) => {
    if (all.length === 0) return { contender, result: givenUp.get(contender) ?? 'no run' };
    const seconds = median(all, (run) => run.seconds);
    return {
      contender,
      seconds: seconds.toFixed(2),
      'MB/s': Math.round((sizeBytes * leechers) / 1e6 / seconds),
      ...(bound > 0 && { 'x bound': (seconds / bound).toFixed(3) }),
      'ours is x faster': contender === OWN_NAME ? '' : (seconds / own).toFixed(2),
      'CPU s': cpuText(all),
      'peak MiB': `${median(all, (run) => run.seederPeakMiB)} + ${median(all, (run) => run.leecherPeakMiB)}`,
      runs: all.map((run) => run.seconds.toFixed(2)).join(' '),
    };
  });
  console.table(Object.fromEntries(rows.map(({ contender, ...row }) => [contender, row])));
  for (const [contender, all] of runs) {
    const names = Object.keys(all[0]?.more ?? {});
    const figures = names.map((figure) => `${figure} ${median(all, ({ more }) => more[figure]!).toFixed(3)}`);
    if (figures.length > 0) console.log(`${contender}: ${figures.join(', ')}`);
  }
}

/** Seeders, leechers, and both. */
function cpuText(runs: readonly Run[]): string {
  const seeders = median(runs, (run) => run.seederCpu);
  const leechers = median(runs, (run) => run.leecherCpu);
  return `${seeders.toFixed(2)} + ${leechers.toFixed(2)} = ${(seeders + leechers).toFixed(2)}`;
}

function median(runs: readonly Run[], of: (run: Run) => number): number {
  return runs.map(of).sort((a, b) => a - b)[runs.length >> 1]!;
}

function torrentPeers(): Contender[] {
  const net = process.env[IN_NAMESPACE] ? '10.77.0' : '127.77.0';
  const found: Contender[] = [];
  for (const name of values.peers.split(',').filter(Boolean)) {
    const contender = torrentContender(name, (number) => `${net}.${number}`);
    if ('missing' in contender) console.log(`${name} is skipped: ${contender.missing}`);
    else found.push(contender);
  }
  return found;
}

function canUnshare(): boolean {
  return spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up']).status === 0;
}

/** Not every client takes peers of 127.*: in a network of our own, the loopback line has other addresses too. */
function runInNamespace(): number {
  const prepare = 'ip link set lo up && ip addr add 10.77.0.1/16 dev lo && exec "$@"';
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', ['--net', 'sh', '-c', prepare, 'sh', ...self], {
    stdio: 'inherit',
    env: { ...process.env, [IN_NAMESPACE]: '1' },
  });
  return status ?? 1;
}
