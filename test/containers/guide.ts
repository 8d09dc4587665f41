// Documentation as a script: the shell lines of a section of a Markdown file, and machines (containers) to type them at.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { PROJECT } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const LABEL = 'org.testcontainers=true';
const LINE_MS_MAX = 60_000;
/** busybox's shell has a tape drive's mt of its own, before anything in PATH. */
const NOT_TAPES = 'mt() { /usr/local/bin/mt "$@"; }; ';

/** The ```sh blocks below a heading, each as its lines; a line that ends with a backslash goes on in the next. */
export function shellBlocks(file: string, heading: string): string[][] {
  const text = readFileSync(join(PROJECT, file), 'utf8');
  const start = text.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`${file} has no heading "${heading}"`);
  const rest = text.slice(start + heading.length + 2);
  const section = rest.slice(0, rest.search(/^## /m) < 0 ? undefined : rest.search(/^## /m));
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) =>
    match[1]!
      .replaceAll(/\\\n\s*/g, ' ')
      .split('\n')
      .filter((line) => line.trim() !== ''),
  );
}

export function docker(...args: string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** Machines on one network, with the addresses that the documentation names. */
export class Machines {
  readonly dir = mkdtempSync(join(tmpdir(), 'mt-guide-'));
  readonly #run = `mt-guide-${randomBytes(4).toString('hex')}`;
  readonly #names = new Map<string, string>();
  readonly #image: string;

  /**
   * One image for all: what a machine has before the guide begins, and a line of the guide that is typed at each of them.
   * @param files of the host, put into the home directory.
   */
  constructor(base: string, files: readonly string[], line: string) {
    this.#image = `localhost/${this.#run}:guide`;
    for (const file of files) writeFileSync(join(this.dir, basename(file)), readFileSync(file));
    writeFileSync(
      join(this.dir, 'Dockerfile'),
      `FROM ${base}\nUSER root\nWORKDIR /home/node\nCOPY --chown=1000:1000 ${files.map((file) => basename(file)).join(' ')} ./\nRUN ${line}\n`,
    );
    const built = ['build', '-q', '--network', 'host', '--label', LABEL, '-t', this.#image, this.dir];
    execFileSync('docker', built, {
      env: { ...process.env, DOCKER_BUILDKIT: '0' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    docker('network', 'create', '--label', LABEL, '--subnet', '192.0.2.0/24', '--gateway', '192.0.2.254', this.#run);
  }

  /** A machine at that address, at rest. */
  add(address: string): void {
    const name = `${this.#run}-${address.split('.').at(-1)}`;
    this.#names.set(address, name);
    docker(
      ...['run', '-d', '--name', name, '--label', LABEL, '--network', this.#run, '--ip', address],
      ...['--user', '1000:1000', '-e', 'HOME=/home/node', this.#image, 'tail', '-f', '/dev/null'],
    );
  }

  /** Types a line, and waits for its end. @returns what it printed. @throws when it failed. */
  type(address: string, line: string): string {
    const copy = /^scp (?:-p )?(.+) (\d+\.\d+\.\d+\.\d+):$/.exec(line);
    if (copy) return this.#copy(address, copy[2]!, copy[1]!.split(' '));
    const typed = spawnSync('docker', ['exec', this.#name(address), 'sh', '-c', NOT_TAPES + line], {
      encoding: 'utf8',
      timeout: LINE_MS_MAX,
    });
    if (typed.status === 0) return typed.stdout;
    throw new Error(`${address}$ ${line}\nended with ${typed.status}\n${typed.stdout}${typed.stderr}`);
  }

  /** Types a line that stays in the foreground: its output goes to a file in the home directory. */
  leaveRunning(address: string, line: string): void {
    docker('exec', '-d', this.#name(address), 'sh', '-c', `exec >running.log 2>&1; exec ${line}`);
  }

  /** Types a line that asks, at a terminal, and answers each question with the same. */
  async answer(address: string, line: string, answer: string): Promise<string> {
    const words = ['docker', 'exec', '-it', this.#name(address), 'sh', '-c', `'${NOT_TAPES}${line}'`].join(' ');
    const child = spawn('script', ['-qefc', words, '/dev/null'], { timeout: LINE_MS_MAX });
    let shown = '';
    let answered = 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
      const asked = shown.match(/(Password[^\n]*|again): /g)?.length ?? 0;
      for (; answered < asked; answered++) child.stdin.write(`${answer}\r`);
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code !== 0) throw new Error(`${address}$ ${line}\nended with ${code}\n${shown}`);
    return shown;
  }

  log(address: string): string {
    return spawnSync('docker', ['exec', this.#name(address), 'cat', 'running.log'], { encoding: 'utf8' }).stdout;
  }

  async runs(address: string, what: string): Promise<void> {
    await until(`${address}: ${what}`, () => this.log(address).includes(what), {
      timeoutMs: LINE_MS_MAX,
      everyMs: 100,
    });
  }

  kill(address: string): void {
    docker('kill', this.#name(address));
  }

  close(): void {
    for (const name of this.#names.values()) docker('rm', '-fv', name);
    docker('network', 'rm', this.#run);
    docker('image', 'rm', '-f', this.#image);
    rmSync(this.dir, { recursive: true, force: true });
  }

  #copy(from: string, to: string, files: readonly string[]): string {
    const tar = execFileSync('docker', ['exec', this.#name(from), 'tar', 'c', ...files]);
    execFileSync('docker', ['exec', '-i', this.#name(to), 'tar', 'x'], { input: tar });
    return '';
  }

  #name(address: string): string {
    const name = this.#names.get(address);
    if (name === undefined) throw new Error(`there is no machine ${address}`);
    return name;
  }
}
