// One running program of ours: started through its bin as a user would, watched for its ready line, killed in every way.
// All programs of a test process die with it, also when it fails; test/gate.ts checks that none is left.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { until } from './until.ts';

export const PROJECT = join(import.meta.dirname, '..', '..');
export const BINS = {
  trackerd: join(PROJECT, 'cluster', 'bin', 'mt-trackerd.cjs'),
  peerd: join(PROJECT, 'daemon', 'bin', 'mt-peerd.cjs'),
  mt: join(PROJECT, 'cli', 'bin', 'mt.cjs'),
} as const;

/** Of the log, kept for the report of a failure. */
const LOG_CHARS_MAX = 400_000;
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 30_000;

const living = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

export interface ProgramOptions {
  readonly name: string;
  readonly bin: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Name of a network namespace to run it in. */
  readonly netns?: string | undefined;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<Exit>;
  #exit: Exit | null = null;
  stdout = '';
  stderr = '';

  constructor({ name, bin, args, env, cwd, netns }: ProgramOptions) {
    this.name = name;
    // `ip` becomes the program: the process is its own.
    const [command, ...before] = netns ? ['ip', 'netns', 'exec', netns, process.execPath] : [process.execPath];
    this.#child = spawn(command!, [...before, bin, ...args], { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    living.add(this.#child);
    this.#child.stdin!.on('error', () => {}); // it may be gone when a line is typed
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-LOG_CHARS_MAX);
    });
    this.#exited = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code, signal) => {
        living.delete(this.#child);
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get isRunning(): boolean {
    return this.#exit === null;
  }

  /** Waits for the line that says it is ready, and returns it. @throws when it exits before, or takes too long. */
  async ready(timeoutMs = READY_MS_MAX): Promise<string> {
    const line = () => this.stdout.split('\n').find((text) => / ready on /.test(text));
    await until(`${this.name} is ready`, () => line() !== undefined || !this.isRunning, { timeoutMs }).catch(
      (error) => {
        throw new Error(`${error.message}\n${this.log()}`);
      },
    );
    const found = line();
    if (found === undefined) throw new Error(`${this.name} ended before it was ready\n${this.log()}`);
    return found;
  }

  /** Waits until it has ended by itself. */
  async exit(timeoutMs = STOP_MS_MAX): Promise<Exit> {
    await until(`${this.name} has ended`, () => !this.isRunning, { timeoutMs });
    return this.#exited;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM, and waits for a clean end. @throws when it has another exit code, or does not end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill(signal);
    const exit = await this.exit();
    if (exit.code !== 0) throw new Error(`${this.name} ended with ${JSON.stringify(exit)} on ${signal}\n${this.log()}`);
  }

  /** SIGSTOP: alive, but silent. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  type(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  endInput(): void {
    this.#child.stdin!.end();
  }

  log(lines = 40): string {
    const tail = this.stderr.trimEnd().split('\n').slice(-lines).join('\n');
    return `── ${this.name} (${this.isRunning ? 'running' : JSON.stringify(this.#exit)})\n${this.stdout}${tail}`;
  }
}
