// npm run licences: the licence of every package that is installed, from its own package.json. Exit 1 when one is not among those
// that an MIT project may stand on.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly license?: string;
}

/** As packages say it: today's way, and the ways of old. */
interface OwnWord {
  readonly license?: string | { readonly type: string };
  readonly licenses?: readonly { readonly type: string }[];
}

const ALLOWED =
  /^\(?(MIT|MIT-0|ISC|BSD-2-Clause|BSD-3-Clause|0BSD|Apache-2\.0|CC0-1\.0|CC-BY-4\.0|BlueOak-1\.0\.0|Python-2\.0|Unlicense|WTFPL|MPL-2\.0)\b/;
const root = join(import.meta.dirname, '..');
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, LockedPackage>;
};

const rows: { name: string; version: string; licence: string; shipped: boolean }[] = [];
for (const [path, { version, dev, license }] of Object.entries(lock.packages)) {
  const file = join(root, path, 'package.json');
  if (path === '' || !existsSync(file)) continue; // built for another platform
  const own = JSON.parse(readFileSync(file, 'utf8')) as OwnWord;
  const found = own.license ?? own.licenses?.[0] ?? license;
  const licence = typeof found === 'object' ? found.type : (found ?? 'none');
  rows.push({ name: path.replace(/^.*node_modules\//, ''), version: version ?? '', licence, shipped: dev !== true });
}
rows.sort((a, b) => a.name.localeCompare(b.name));
for (const { name, version, licence, shipped } of rows) {
  console.log(`${`${name}@${version}`.padEnd(50)} ${licence.padEnd(24)} ${shipped ? 'shipped' : 'development'}`);
}
const bad = rows.filter(({ licence }) => !ALLOWED.test(licence));
for (const { name, licence } of bad) console.error(`${name}: licence "${licence}" is not on the list`);
const counts = Object.entries(Object.groupBy(rows, ({ licence }) => licence)).map(
  ([licence, all]) => `${licence} ${all?.length}`,
);
console.log(`${rows.length} packages: ${counts.join(', ')}`);
process.exitCode = bad.length > 0 ? 1 : 0;
