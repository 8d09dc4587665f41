// The house rules that neither compiler nor linter can hold: sizes, purity, direction of imports, names, markers.
// It works on text, not on a syntax tree: Biome's formatting makes indentation reliable.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = join(import.meta.dirname, '..');
const FILE_LINES_MAX = 350;
/** Tests are tables of cases: reading them is not following them. */
const TEST_FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 80;
/** A test with real programs tells a story from its beginning to its end. */
const TEST_LINES_MAX = 100;

/** What may be larger, and why. A name that is no longer over the limit must leave the list. */
const LONG_FILES: Record<string, string> = {};
const LONG_FUNCTIONS: Record<string, string> = {};

const PURE = ['cluster/raft/', 'cluster/state/', 'daemon/pieces/'];
const IMPURE =
  /\bDate\b|\bMath\.random\b|\bset(Timeout|Interval|Immediate)\b|\bprocess\.|\bBuffer\b|\bperformance\b|\bglobalThis\b|['"]node:/;

/** The commands of the public contract, as typed. */
const COMMANDS = [
  'create_user login logout whoami status create_group join_group leave_group list_groups list_members list_requests',
  'accept_request reject_request remove_member transfer_ownership list_files list_seeders upload_file download_file',
  'show_downloads pause_download resume_download cancel_download limits stop_share remove_file show_shares',
  'tracker_status shell',
]
  .join(' ')
  .split(' ');

const IGNORED = ['node_modules/', 'dist/', '.tsbuild/', 'coverage/', '.git/'];
const all = globSync('**/*', { cwd: ROOT, withFileTypes: true, exclude: (entry) => IGNORED.includes(`${entry.name}/`) })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
  .sort();
const sources = all.filter((file) => file.endsWith('.ts') && !file.startsWith('test/fixtures/'));
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const codeOf = (file: string) =>
  read(file)
    .split('\n')
    .map((line) => (/^\s*(\/\/|\/?\*)/.test(line) ? '' : line.replace(/ \/\/ .*$/, '')));

/** Functions of a formatted file: name or first line, where they begin, how many lines they have. */
function functionsOf(lines: string[]): { name: string; line: number; count: number }[] {
  const found: { name: string; line: number; count: number }[] = [];
  let signatureAt: number | null = null;
  let inTemplate = false; // code within a template literal is text
  for (const [i, line] of lines.entries()) {
    const ticks = line.replaceAll(/\\`|'[^']*'/g, '').split('`').length - 1;
    const isText = inTemplate || ticks % 2 === 1;
    if (ticks % 2 === 1) inTemplate = !inTemplate;
    if (isText) continue;
    // A signature over several lines begins at a line that ends with "(" and ends at ") … {".
    if (/^\s*(export |default |static |async |get |set )*(function\b.*|#?\w+)\($/.test(line)) signatureAt = i;
    if (!/(=>|\)|\): .*) \{$/.test(line) || /^\s*(\} )?(if|for|while|switch|catch|else|do)\b/.test(line)) continue;
    const start = /^\s*\)/.test(line) && signatureAt !== null ? signatureAt : i;
    const indent = /^\s*/.exec(line)![0];
    const end = lines.findIndex((other, j) => j > i && other.startsWith(`${indent}}`));
    if (end > i) found.push({ name: lines[start]!.trim().slice(0, 60), line: start + 1, count: end - start + 1 });
  }
  return found;
}

/** `codec`, a pure folder, or the first folder of a path. */
function part(file: string): string {
  const pure = PURE.find((folder) => file.startsWith(folder));
  if (file.startsWith('codec/service/')) return 'codec/service';
  return pure ? pure.slice(0, -1) : file.includes('/') ? file.split('/')[0]! : 'root';
}

const MAY_IMPORT: Record<string, string[]> = {
  codec: ['codec'],
  'cluster/raft': ['codec', 'cluster/raft'],
  'cluster/state': ['codec', 'cluster/state'],
  'daemon/pieces': ['codec', 'daemon/pieces'],
  'codec/service': ['codec', 'codec/service'],
  cluster: ['codec', 'codec/service', 'cluster', 'cluster/raft', 'cluster/state'],
  daemon: ['codec', 'codec/service', 'daemon', 'daemon/pieces'],
  cli: ['codec', 'cli'],
};

const test = suite('tidy');

test(`no file is over ${FILE_LINES_MAX} lines (tests: ${TEST_FILE_LINES_MAX}) without a reason`, () => {
  const long = sources
    .map((file) => ({ file, count: read(file).split('\n').length - 1 }))
    .filter(({ file, count }) => count > (file.endsWith('.test.ts') ? TEST_FILE_LINES_MAX : FILE_LINES_MAX));
  const unexpected = long
    .filter(({ file }) => !(file in LONG_FILES))
    .map(({ file, count }) => `${file}: ${count} lines`);
  assert.equal(unexpected, []);
  const stale = Object.keys(LONG_FILES).filter((file) => !long.some((other) => other.file === file));
  assert.equal(stale, [], 'these are no longer long');
});

test(`no function is over ${FUNCTION_LINES_MAX} lines (tests: ${TEST_LINES_MAX}) without a reason`, () => {
  const long = sources.flatMap((file) =>
    functionsOf(read(file).split('\n'))
      .filter(({ count }) => count > (file.endsWith('.test.ts') ? TEST_LINES_MAX : FUNCTION_LINES_MAX))
      .map(({ name, line, count }) => ({
        key: `${file}: ${name}`,
        shown: `${file}:${line}: ${name} has ${count} lines`,
      })),
  );
  assert.equal(
    long.filter(({ key }) => !(key in LONG_FUNCTIONS)).map(({ shown }) => shown),
    [],
  );
  assert.equal(
    Object.keys(LONG_FUNCTIONS).filter((key) => !long.some((other) => other.key === key)),
    [],
    'these are no longer long',
  );
});

test('the measure of functions itself measures', () => {
  const body = Array(90).fill('    work();');
  const lines = (head: string[], tail: string) => [...head, ...body, tail];
  for (const [head, tail] of [
    [['function a() {'], '}'],
    [['export async function a(', '  b: string,', '): Promise<void> {'], '}'],
    [['  #method(a: number): void {'], '  }'],
    [['const a = async (b: string) => {'], '};'],
    [["test('a', () => {"], '});'],
  ] as [string[], string][]) {
    assert.ok(functionsOf(lines(head, tail))[0]!.count > 90, head[0]);
  }
  assert.equal(functionsOf(lines(['if (a) {'], '}')), []);
});

test('pure folders know no clock, randomness, process, socket or Buffer', () => {
  const pureFiles = sources.filter((file) => PURE.some((folder) => file.startsWith(folder)));
  assert.ok(pureFiles.length > 10);
  const found = pureFiles.flatMap((file) =>
    codeOf(file).flatMap((line, i) => (IMPURE.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
  );
  assert.equal(found, []);
});

test('imports go one way: codec, pure folders, shells', () => {
  const wrong: string[] = [];
  for (const file of sources) {
    const allowed = MAY_IMPORT[part(file)];
    if (!allowed) continue;
    for (const [, specifier] of read(file).matchAll(/(?:from|import\(?) ?'(\.[^']+)'/g)) {
      const target = relative(ROOT, join(ROOT, dirname(file), specifier!));
      if (target === 'package.json' || allowed.includes(part(target))) continue;
      wrong.push(`${file} imports ${target}`);
    }
  }
  assert.equal(wrong, []);
});

test('nothing unfinished, silenced or left over is in the sources', () => {
  // In pieces, so that this file does not contain them.
  const markers = [
    'TO' + 'DO',
    'FIX' + 'ME',
    'XX' + 'X',
    ' as ' + 'any',
    '@ts-' + 'ignore',
    '@ts-' + 'expect-error',
    '@ts-' + 'nocheck',
  ];
  const found = sources.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, i) => {
        const marker = markers.find(
          (text) => new RegExp(`(?<![\\w-])${text.trim()}(?!\\w)`).test(line) && line.includes(text),
        );
        const only = /^\s*\w+\.only\(/.test(line);
        return marker || only ? [`${file}:${i + 1}: ${line.trim()}`] : [];
      }),
  );
  assert.equal(found, []);
});

test('no path of a machine, and no place that only its author has', () => {
  const places = ['/wo' + 'rk/', '/tmp/br' + 'ief', '../sha' + 'red', '/ro' + 'ot/', 'C:' + '\\Users'];
  const texts = all.filter((file) =>
    /\.(ts|cjs|json|md|sql|txt|yml|yaml|toml|service)$|(^|\/)(Dockerfile|run)$/.test(file),
  );
  assert.ok(texts.length > sources.length);
  const found = texts.flatMap((file) => {
    const text = read(file);
    return places.filter((place) => text.includes(place)).map((place) => `${file} contains ${place}`);
  });
  assert.equal(found, []);
});

test('each command of the contract has a file, named as typed', () => {
  const missing = COMMANDS.filter((command) => !existsSync(join(ROOT, 'cli', 'commands', `${command}.ts`)));
  assert.equal(missing, []);
});

test('every column of every schema is explained', () => {
  const bare: string[] = [];
  const files = all.filter((file) => file.endsWith('.sql'));
  assert.ok(files.length >= 2, `expected the schemas of tracker and daemon, found ${files}`);
  for (const file of files) {
    let inTable = false;
    let above = '';
    for (const line of read(file).split('\n')) {
      if (/^CREATE TABLE/i.test(line)) inTable = true;
      else if (/^\)/.test(line)) inTable = false;
      else if (
        inTable &&
        /^\s+[a-z_]+\s+(INTEGER|TEXT|BLOB|REAL|ANY)\b/.test(line) &&
        !line.includes('--') &&
        !above.includes('--')
      ) {
        bare.push(`${file}: ${line.trim()}`);
      }
      above = /^\s*--/.test(line) ? line : '';
    }
  }
  assert.equal(bare, []);
});

test.run();
