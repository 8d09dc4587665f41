// Runs the real `mt` in a child process: stdout and stderr apart, or both through a terminal of its own.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../harness/until.ts';

export const MT = join(import.meta.dirname, '../../cli/bin/mt.cjs');
/** A run that takes longer hangs. */
const RUN_MS_MAX = 60_000;

export interface MtOptions {
  socket?: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Written to stdin, which is then closed. */
  input?: string;
  /** Run under a pseudo-terminal (util-linux `script`): stdout and stderr arrive together in `stdout`. */
  terminal?: boolean;
}

export interface MtResult {
  exit: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** A started `mt`, for tests that talk to it while it runs. */
export class RunningMt {
  readonly child: ChildProcessWithoutNullStreams;
  readonly done: Promise<MtResult>;
  stdout = '';
  stderr = '';

  constructor(words: readonly string[], options: MtOptions = {}) {
    const env: NodeJS.ProcessEnv = { ...process.env, TERM: 'xterm', XDG_STATE_HOME: '/nonexistent', ...options.env };
    if (options.socket) env.MT_SOCKET = options.socket;
    const line = [process.execPath, MT, ...words];
    // `exec`, because some shells stay between: Ctrl-C would end them, whatever `mt` makes of it.
    this.child = options.terminal
      ? spawn('script', ['-qefc', `exec ${line.map(shellQuoted).join(' ')}`, '/dev/null'], { env, cwd: options.cwd })
      : spawn(line[0]!, line.slice(1), { env, cwd: options.cwd });
    this.child.stdout.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.child.stdin.on('error', () => {});
    const timer = setTimeout(() => this.child.kill('SIGKILL'), RUN_MS_MAX);
    this.done = new Promise((resolve) => {
      this.child.on('close', (exit, signal) => {
        clearTimeout(timer);
        resolve({ exit, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
    if (options.input !== undefined) this.child.stdin.end(options.input);
    else if (!options.terminal) this.child.stdin.end();
  }

  /** Waits until stdout (or stderr) holds this text. */
  async shows(text: string): Promise<void> {
    await until(`${JSON.stringify(text)} on screen`, () => (this.stdout + this.stderr).includes(text));
  }

  /** Of `mt` itself, when it runs under a terminal of its own. */
  get pidAtTerminal(): number {
    const { pid } = this.child;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
  }

  type(text: string): void {
    this.child.stdin.write(text);
  }
}

export function mt(words: readonly string[], options: MtOptions = {}): Promise<MtResult> {
  return new RunningMt(words, options).done;
}

function shellQuoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
