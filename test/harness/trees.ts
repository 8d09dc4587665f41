// Directories for tests: made from a short description, and told apart by everything that is promised to arrive.
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFile } from './files.ts';

/** Path → bytes of a file (made from the path), its text, or null for a directory; a trailing `*` makes it executable. */
export type TreePlan = Readonly<Record<string, number | string | null>>;

export function makeTree(root: string, plan: TreePlan): void {
  mkdirSync(root);
  for (const [key, what] of Object.entries(plan)) {
    const path = join(root, key.replace(/\*$/, ''));
    mkdirSync(what === null ? path : dirname(path), { recursive: true });
    if (typeof what === 'number') makeFile(path, what, key);
    if (typeof what === 'string') writeFileSync(path, what);
    if (key.endsWith('*')) chmodSync(path, 0o755);
  }
}

/** Everything in a directory, sorted, names in NFC: `path/`, or `path [*] size first bytes`. */
export function pictureOf(root: string): string[] {
  const lines: string[] = [];
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const path = join(root, entry);
    const stats = lstatSync(path);
    const name = entry.normalize('NFC');
    if (stats.isDirectory()) lines.push(`${name}/`);
    else if (!stats.isFile()) lines.push(`${name}: neither file nor directory`);
    else lines.push(`${name}${stats.mode & 0o100 ? '*' : ''} ${hashOf(path)}`);
  }
  return lines.sort();
}

function hashOf(path: string): string {
  const bytes = readFileSync(path);
  let sum = 0;
  for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0;
  return `${bytes.length} ${sum}`;
}
