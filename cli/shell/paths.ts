// Paths of the local disk, for completion in `mt shell`.
import { readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Entries that start as `current` does, directories with a closing slash; none when the folder cannot be read. */
export function localPaths(current: string): string[] {
  const inside = current.endsWith('/') || current === '';
  const folder = inside ? current || '.' : dirname(current);
  const start = inside ? '' : basename(current);
  const prefix = current.slice(0, current.length - start.length);
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.name.startsWith(start) && (start.startsWith('.') || !entry.name.startsWith('.')))
      .map((entry) => `${prefix}${entry.name}${entry.isDirectory() ? '/' : ''}`);
  } catch {
    return [];
  }
}
