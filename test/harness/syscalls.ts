// System calls of a running program that fail or take long, as a broken or stalled disk makes them: strace tampers with them from
// outside. The program is the real one and knows nothing of it.
import { spawn, spawnSync } from 'node:child_process';
import { until } from './until.ts';

/** Why it cannot be done here; null when it can. */
export const whyNoTampering: string | null =
  spawnSync('strace', ['-e', 'trace=none', 'true'], { stdio: 'ignore' }).status === 0
    ? null
    : 'strace is not installed, or may not trace here';

/**
 * @param rule after `-e inject=`, for instance `fdatasync:error=EIO`.
 * @param path only calls on that file; all when absent.
 * @returns what ends it.
 */
export async function tamper(pid: number, rule: string, path?: string): Promise<() => Promise<void>> {
  const calls = rule.slice(0, rule.indexOf(':'));
  const where = path === undefined ? [] : ['-P', path];
  const args = ['-f', '-p', String(pid), '-e', `trace=${calls}`, '-e', `inject=${rule}`, ...where];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = new Promise<void>((resolve) => strace.once('close', () => resolve()));
  let said = '';
  strace.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  await until(`strace is attached: ${said}`, () => /attached/.test(said));
  return async () => {
    strace.kill('SIGTERM');
    await closed;
  };
}
