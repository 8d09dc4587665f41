// Starts and stops the daemon as a process: `mt-peerd --detach`, and SIGTERM. Knows nothing of what the daemon does.
import { spawn } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { errorWireSchema, MtError } from '../codec/errors.ts';

const LOOK_MS = 20;

export interface StartedDaemon {
  readonly pid: number | null;
  readonly socket: string | null;
  /** What mt-peerd said, in words. */
  readonly text: string;
}

/**
 * @param words arguments of mt-peerd.
 * @throws MtError as mt-peerd failed.
 */
export async function startDaemon(words: readonly string[]): Promise<StartedDaemon> {
  const child = spawn(process.execPath, [peerdProgram(), ...words, '--detach'], {
    env: { ...process.env, MT_ERRORS: 'json' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw failure(stderr);
  const pid = /process (\d+)/.exec(stdout)?.[1];
  return {
    pid: pid === undefined ? null : Number(pid),
    socket: /, socket (.+)$/m.exec(stdout)?.[1] ?? null,
    text: stdout.trimEnd(),
  };
}

/** SIGTERM, and waits for the end. @throws MtError PERMISSION, TIMEOUT, INVALID_ARGUMENT when that process is no mt-peerd of this machine. */
export async function stopDaemon(pid: number, timeoutMs: number): Promise<void> {
  // A socket may come from a container: then the number means another process here.
  if (!isPeerd(pid)) {
    throw new MtError(
      'INVALID_ARGUMENT',
      `Process ${pid} of this machine is no mt-peerd`,
      'Stop it where it was started.',
    );
  }
  const deadlineMs = performance.now() + timeoutMs;
  signal(pid, 'SIGTERM');
  while (isPeerd(pid)) {
    if (performance.now() > deadlineMs) throw new MtError('TIMEOUT', `mt-peerd (process ${pid}) does not end`);
    await sleep(LOOK_MS);
  }
}

function peerdProgram(): string {
  return join(dirname(realpathSync(process.argv[1]!)), '..', '..', 'daemon', 'bin', 'mt-peerd.cjs');
}

function isPeerd(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('mt-peerd');
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new MtError('PERMISSION', `Process ${pid} belongs to another user`, undefined, { cause });
  }
}

/** mt-peerd's own error: the last line that it wrote. */
function failure(stderr: string): MtError {
  try {
    const { error } = JSON.parse(stderr.trimEnd().split('\n').at(-1)!) as { error: unknown };
    return MtError.fromWire(v.parse(errorWireSchema, error));
  } catch {
    return new MtError('INTERNAL', 'mt-peerd could not be started', stderr.trim().slice(-1_000) || undefined);
  }
}
