// The README's way: from the project's folder, through npx, with the project's own tracker_info.txt and no other preparation.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTrackerInfo } from '../../codec/tracker-info.ts';
import { makeFile, sha1Of } from '../harness/files.ts';
import { PROJECT } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';

const PEER = { host: '127.0.0.1', port: 18_000 };
const { addresses } = parseTrackerInfo(readFileSync(join(PROJECT, 'tracker_info.txt'), 'utf8'));

async function takenPort(): Promise<string | null> {
  for (const { host, port } of [...addresses, PEER]) {
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, host, () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (!isFree) return `${host}:${port} of tracker_info.txt is taken by another program`;
  }
  return null;
}

/** Where the ports are taken, a network of its own (Linux, root): the words that run a command in it, or null. */
function privateNetwork(): string[] | null {
  const name = `mt-${process.pid}`;
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' });
    process.on('exit', () => execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' }));
    const prefix = ['ip', 'netns', 'exec', name];
    execFileSync('ip', ['netns', 'exec', name, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' });
    return prefix;
  } catch {
    return null;
  }
}

const taken = await takenPort();
const network = taken === null ? [] : privateNetwork();
const test = suite('the seeds’ way');

testOrSkip(test, 'five terminals: npx mt-trackerd 1, 2, 3, npx mt-peerd, npx mt', network ? null : taken, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'mt-'));
  for (const name of ['state', 'run', 'home']) mkdirSync(join(dir, name), { mode: 0o700 });
  const { XDG_CONFIG_HOME, MT_SOCKET, MT_CLUSTER_KEY, ...inherited } = process.env;
  const env = {
    ...inherited,
    HOME: join(dir, 'home'),
    XDG_STATE_HOME: join(dir, 'state'),
    XDG_RUNTIME_DIR: join(dir, 'run'),
    npm_config_cache: join(dir, 'npm'),
    npm_config_update_notifier: 'false',
  };
  const terminals: { child: ChildProcess; output: string }[] = [];
  const open = (...args: string[]) => {
    const [command, ...words] = [...network!, 'npx', ...args] as [string, ...string[]];
    const child = spawn(command, words, { cwd: PROJECT, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const terminal = { child, output: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        terminal.output += text;
      });
    }
    terminals.push(terminal);
    return terminal;
  };
  const run = async (...args: string[]) => {
    const terminal = open('mt', ...args);
    const code = await new Promise((resolve) => terminal.child.on('close', resolve));
    assert.is(code, 0, `npx mt ${args.join(' ')}: ${terminal.output}`);
    return terminal.output;
  };
  try {
    const trackers = ['1', '2', '3'].map((number) => open('mt-trackerd', 'tracker_info.txt', number));
    const peer = open('mt-peerd', '127.0.0.1:18000', 'tracker_info.txt');
    for (const [i, tracker] of trackers.entries()) {
      await until(`tracker ${i + 1} is ready`, () => tracker.output.includes(`mt-trackerd ${i + 1} ready on`), {
        timeoutMs: 60_000,
      });
    }
    await until('the peer daemon is ready', () => peer.output.includes('mt-peerd ready on 127.0.0.1:18000, socket '), {
      timeoutMs: 60_000,
    });
    await run('create_user', 'alice', 'secret');
    await run('login', 'alice', 'secret');
    await run('create_group', 'lab');
    const sha1 = makeFile(join(dir, 'f.bin'), 1_000_000, 'seeds');
    await run('upload_file', join(dir, 'f.bin'), 'lab');
    const listing = await run('list_files', 'lab');
    assert.match(listing, 'f.bin');
    assert.match(await run('tracker_status'), 'leader');
    assert.is(sha1Of(join(dir, 'f.bin')), sha1);
    for (const terminal of [...trackers, peer]) process.kill(-terminal.child.pid!, 'SIGINT'); // Ctrl-C reaches the whole group
    await until('all have ended', () =>
      [...trackers, peer].every(({ child }) => child.exitCode !== null || child.signalCode !== null),
    );
  } catch (error) {
    console.error(terminals.map(({ output }) => output).join('\n──\n'));
    throw error;
  } finally {
    for (const { child } of terminals) {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // Ended already.
      }
    }
    rmSync(dir, { recursive: true, force: true });
  }
});

test.run();
