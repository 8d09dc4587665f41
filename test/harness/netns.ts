// Networks of a test's own, where addresses are no loopback ones: a network namespace with some addresses on its own interface.
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';

const ip = (...args: string[]) => void execFileSync('ip', args, { stdio: 'pipe' });

/** Why there can be none here; null: there can. */
export function netnsRefusal(): string | null {
  const name = `mt-try-${randomInt(2 ** 30)}`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'delete', name);
    return null;
  } catch (error) {
    return `cannot make a network namespace here (${(error as Error).message.split('\n')[0]})`;
  }
}

/** Runs `body` with the name of a namespace that has these addresses. */
export async function withNetns(addresses: readonly string[], body: (name: string) => Promise<void>): Promise<void> {
  const name = `mt-${randomInt(2 ** 30)}`;
  ip('netns', 'add', name);
  try {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    for (const address of addresses) ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'lo');
    await body(name);
  } finally {
    ip('netns', 'delete', name);
  }
}
