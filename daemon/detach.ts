// mt-peerd --detach: starts the same command in the background, waits until it is ready or has failed, and says which. The daemon itself
// knows nothing of it: it has a log file for stderr, no terminal, and no parent that matters.
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { stateError } from './disk/disk-error.ts';

const LOG_FILE = 'peerd.log';
/** What a failed start wrote, shown to the user. */
const TAIL_CHARS_MAX = 4_000;

/** Ends this process: with 0 when the daemon is ready, else with the daemon's own exit number. */
export async function detach(dataDir: string): Promise<void> {
  const { path, fd, sizeBefore } = openLog(dataDir);
  const args = process.argv.slice(1).filter((arg) => arg !== '--detach');
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true, // a session of its own: neither Ctrl-C here nor a closed terminal reaches it
    stdio: ['ignore', 'pipe', fd],
  });
  const ready = new Promise<string>((resolve) => {
    let said = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('\n')) resolve(said);
    });
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
  const result = await Promise.race([ready, ended]);
  if (typeof result === 'number') {
    process.stderr.write(readFileSync(path).subarray(sizeBefore).toString('utf8').slice(-TAIL_CHARS_MAX));
    process.exit(result);
  }
  process.stdout.write(`${result}In the background as process ${child.pid}, log ${path}\n`);
  process.exit(0);
}

function openLog(dataDir: string): { path: string; fd: number; sizeBefore: number } {
  const path = join(dataDir, LOG_FILE);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const fd = openSync(path, 'a', 0o600);
    chmodSync(path, 0o600);
    return { path, fd, sizeBefore: statSync(path).size };
  } catch (error) {
    throw stateError(`The log ${path} cannot be written`, error);
  }
}
