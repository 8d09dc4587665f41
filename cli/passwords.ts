// Where a password comes from: the argument, stdin with --password-stdin, or the terminal without echo.
// A password never reaches an error, a log, a history or the process title (cli/bin/mt.cjs overwrites that).
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { MtError } from '../codec/errors.ts';
import { requirePassword } from '../codec/ids.ts';
import { PASSWORD_BYTES_MAX } from '../codec/limits.ts';

export interface PasswordSource {
  argument?: string | undefined;
  fromStdin: boolean;
  /** --no-input: never ask. */
  noInput: boolean;
  /** Ask twice, because nothing but the memory of the user can check a new password. */
  twice?: boolean;
  signal: AbortSignal;
}

/**
 * One password, checked for length.
 * @throws MtError USAGE when there is no way to get one, INVALID_ARGUMENT for a bad one, INTERRUPTED
 */
export async function readPassword(prompt: string, source: PasswordSource): Promise<string> {
  const { argument, fromStdin } = source;
  if (argument !== undefined && fromStdin) {
    throw new MtError('USAGE', 'A password was given twice: as an argument and with --password-stdin');
  }
  if (argument !== undefined) return requirePassword(argument);
  if (fromStdin) return requirePassword((await readStdinLines(1))[0]!);
  requireTerminal(source.noInput);
  const password = requirePassword(await askHidden(prompt, source.signal));
  if (source.twice && (await askHidden('The same again: ', source.signal)) !== password) {
    throw new MtError('INVALID_ARGUMENT', 'The two passwords differ', 'Try again.');
  }
  return password;
}

/** Old and new password, for a change: two lines of stdin, or three questions. */
export async function readPasswordChange(
  source: PasswordSource,
): Promise<{ oldPassword: string; newPassword: string }> {
  if (source.fromStdin) {
    const [oldPassword, newPassword] = await readStdinLines(2);
    return { oldPassword: requirePassword(oldPassword!), newPassword: requirePassword(newPassword!) };
  }
  requireTerminal(source.noInput);
  const oldPassword = requirePassword(await askHidden('Password now: ', source.signal));
  const newPassword = await readPassword('New password: ', { ...source, twice: true });
  return { oldPassword, newPassword };
}

function requireTerminal(noInput: boolean): void {
  if (!noInput && process.stdin.isTTY) return;
  throw new MtError(
    'USAGE',
    noInput
      ? 'A password is needed, and --no-input forbids to ask'
      : 'A password is needed, and stdin is no terminal to ask at',
    'Pass it with --password-stdin, such as: printf %s "$PASSWORD" | mt … --password-stdin',
  );
}

/** All of stdin as exactly `count` lines; one trailing newline is dropped, and a password of one line may hold others. */
async function readStdinLines(count: 1 | 2): Promise<string[]> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > count * (PASSWORD_BYTES_MAX + 2)) requirePassword('x'.repeat(PASSWORD_BYTES_MAX + 1));
  }
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (count === 1) return [text];
  const lines = text.split(/\r?\n/);
  if (lines.length === count) return lines;
  throw new MtError('USAGE', 'Two lines are needed on stdin: the password now, then the new one');
}

/**
 * One line from the terminal, with nothing echoed. The prompt goes to stderr: stdout carries answers only.
 * @throws MtError INTERRUPTED on Ctrl-C or the end of input
 */
async function askHidden(prompt: string, signal: AbortSignal): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true, historySize: 0 });
  process.stderr.write(prompt);
  try {
    return await new Promise<string>((resolve, reject) => {
      const stop = () => reject(new MtError('INTERRUPTED', 'Interrupted'));
      terminal.once('line', resolve);
      terminal.once('SIGINT', stop);
      terminal.once('close', stop);
      signal.addEventListener('abort', stop, { once: true });
    });
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
