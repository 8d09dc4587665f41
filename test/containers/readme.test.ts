// README.md, "Three machines": a reader who types what stands there gets a cluster. Each line is typed as it is, at the machine that it
// is for; `scp` is done by us, for the machines have no sshd, and `npm pack` keeps its file out of the checkout.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PROJECT } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { baseImage, whyNoContainers } from './engine.ts';
import { Machines, shellBlocks } from './guide.ts';

const TRACKERS = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const ANN = '192.0.2.77';
const reason = await whyNoContainers();
const test = suite('containers: readme');

testOrSkip(test, 'three machines, word by word', reason, async () => {
  const blocks = shellBlocks('README.md', '## Three machines');
  assert.is(blocks.length, 6, 'pack, install, key, copy, trackers, a user');
  const [pack, install, key, copy, trackers, user] = blocks as [
    string[],
    string[],
    string[],
    string[],
    string[],
    string[],
  ];
  assert.match(pack[0]!, /^npm ci && npm pack( |$)/);
  const folder = mkdtempSync(join(tmpdir(), 'mt-pack-'));
  let machines: Machines | null = null;
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: PROJECT, stdio: 'ignore' });
    assert.is(install.length, 1);
    machines = new Machines(baseImage(), [join(folder, readdirSync(folder)[0]!)], install[0]!);
    for (const address of [...TRACKERS, ANN]) machines.add(address);
    for (const line of [...key, ...copy]) machines.type(TRACKERS[0]!, line);

    assert.is(trackers.length, TRACKERS.length);
    for (const line of trackers) {
      const [, address] = /# on (\d+\.\d+\.\d+\.\d+)/.exec(line) ?? [];
      machines.leaveRunning(address!, line);
    }
    for (const address of TRACKERS) await machines.runs(address, ' ready on ');

    let shown = '';
    for (const line of user) {
      const asks = /^mt (create_user|login) /.test(line);
      if (line.startsWith('mt doctor')) shown += await whenContent(machines, line);
      else shown += asks ? await machines.answer(ANN, line, 'a password') : machines.type(ANN, line);
    }
    for (const sentence of [/Created user ann/, /Logged in as ann/, /Created group lab/, /3 of 3 trackers answer/]) {
      assert.match(shown, sentence);
    }
    assert.match(shown, /ok +from outside +192\.0\.2\.77:18000 answers the tracker at 192\.0\.2\./);
    assert.not.match(shown, /^BAD /m);

    // What it was all for.
    machines.kill(TRACKERS[0]!);
    await until('the others go on', () => machines!.type(ANN, 'mt create_group after || true').includes('Created'), {
      timeoutMs: 30_000,
      everyMs: 200,
    });
  } catch (error) {
    for (const address of TRACKERS) console.error(machines?.log(address));
    throw error;
  } finally {
    machines?.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Trackers that have just met may still be dialling each other: a reader would ask again. */
async function whenContent(machines: Machines, line: string): Promise<string> {
  let shown = '';
  const isContent = () => {
    shown = machines.type(ANN, `${line} || true`);
    return !/^BAD /m.test(shown);
  };
  await until('the doctor finds nothing', isContent, { timeoutMs: 15_000, everyMs: 500 }).catch(() => {});
  return shown;
}

test.run();
