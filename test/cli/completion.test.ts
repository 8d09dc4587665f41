// Completion in the real shells: bash, zsh and fish load the script that mt prints, and complete a line with it.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { ControlServer } from './control-server.ts';
import { MT, mt } from './run-mt.ts';

const test = suite('completion');
const folder = mkdtempSync(join(tmpdir(), 'mt-complete-'));
let server: ControlServer;
let env: NodeJS.ProcessEnv;

test.before(async () => {
  server = await ControlServer.start({
    list_groups: () => ({ groups: [{ group_id: 'laboratory', owner: 'a', members: 1, standing: 'none' }] }),
    list_files: () => ({
      files: [
        { file_name: 'a b', size: 1, sha1: '', piece_count: 1, seeders: 0 },
        { file_name: "it's", size: 1, sha1: '', piece_count: 1, seeders: 0 },
      ],
    }),
  });
  symlinkSync(MT, join(folder, 'mt'));
  mkdirSync(join(folder, 'docs'));
  writeFileSync(join(folder, 'docs', 'report.pdf'), '');
  const bin = join(process.execPath, '..');
  env = {
    HOME: folder,
    TERM: 'xterm',
    LANG: 'C.UTF-8',
    MT_SOCKET: server.socketPath,
    PATH: [folder, bin, process.env.PATH].join(delimiter),
  };
  for (const shell of ['bash', 'zsh', 'fish']) {
    writeFileSync(join(folder, `mt.${shell}`), (await mt(['completion', shell])).stdout);
  }
});
test.after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function missing(shell: string): string | null {
  return spawnSync(shell, ['--version']).status === 0 ? null : `${shell} is not installed`;
}

testOrSkip(test, 'bash', missing('bash'), async () => {
  const complete = async (...words: string[]) => {
    const script = `. "$0"; COMP_WORDS=(mt "$@"); COMP_CWORD=$#; _mt; printf '%s|' "\${COMPREPLY[@]}"`;
    return text(spawn('bash', ['-c', script, join(folder, 'mt.bash'), ...words], { env }).stdout);
  };
  assert.is(await complete('list_g'), 'list_groups|');
  assert.is(await complete('limits', '--d'), '--down|');
  assert.is(await complete('list_files', ''), 'laboratory|');
  assert.is(await complete('list_seeders', 'laboratory', 'a'), 'a\\ b|');
});

testOrSkip(test, 'fish', missing('fish'), async () => {
  const complete = async (line: string) => {
    const child = spawn('fish', ['--no-config', '-c', 'source mt.fish; complete -C $argv[1]', line], {
      env,
      cwd: folder,
    });
    const shown = await text(child.stdout);
    return shown.split('\n').filter(Boolean);
  };
  const commands = await complete('mt list_g');
  assert.is(commands.length, 1);
  assert.match(commands[0]!, /^list_groups\t\w/);
  assert.match((await complete('mt limits --d')).join(), '--down');
  assert.equal(await complete('mt list_files lab'), ['laboratory']);
  assert.equal(await complete('mt list_seeders laboratory '), ['a b', "it's"]);
  assert.equal(await complete('mt upload_file docs/re'), ['docs/report.pdf']);
});

/** A zsh at a terminal of its own, which shows what Tab made of a line. */
async function zshLine(typed: string, completed: string): Promise<void> {
  const rc = 'PS1="%% "; unsetopt beep; autoload -U compinit; compinit -u -d zcompdump; . ./mt.zsh\n';
  writeFileSync(join(folder, '.zshrc'), rc);
  const child = spawn('script', ['-qefc', 'exec zsh -i', '/dev/null'], {
    env: { ...env, ZDOTDIR: folder, TERM: 'dumb', COLUMNS: '200' },
    cwd: folder,
  });
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    shown += chunk;
  });
  try {
    await until('zsh asks', () => shown.includes('% '));
    child.stdin.write(`${typed}\t`);
    await until(`${typed} becomes ${completed}`, () => shown.replaceAll(/[^ -~]/g, '').includes(completed)).catch(
      (error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(shown)}`);
      },
    );
  } finally {
    child.stdin.end('\x03exit\n');
    const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
    await new Promise((resolve) => child.on('close', resolve));
    clearTimeout(timer);
  }
}

testOrSkip(test, 'zsh', missing('zsh') ?? missing('script'), async () => {
  await zshLine('mt list_gr', 'mt list_groups ');
  await zshLine('mt limits --do', 'mt limits --down');
  await zshLine('mt list_files lab', 'mt list_files laboratory');
  await zshLine('mt list_seeders laboratory a', 'mt list_seeders laboratory a\\ b');
  await zshLine('mt upload_file docs/re', 'mt upload_file docs/report.pdf');
});

test.run();
