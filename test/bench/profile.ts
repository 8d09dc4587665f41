// Where the CPU time of profiled processes went: by part of the program, and by function. Reads what --cpu-prof leaves; the bundle's
// source map says which source file a function came from.
//
//   node test/bench/profile.ts DIR
import { existsSync, globSync, readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROJECT } from '../harness/program.ts';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}
interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const FUNCTIONS_SHOWN = 25;
/** The sampling interval is 1 ms. What took longer between two samples was a machine that ran somebody else. */
const SAMPLE_MS_MAX = 2;
const maps = new Map<string, SourceMap | null>();

export function printProfiles(dir: string): void {
  for (const file of globSync('*.cpuprofile', { cwd: dir }).sort()) {
    const profile = JSON.parse(readFileSync(join(dir, file), 'utf8')) as Profile;
    const ms = selfTimes(profile);
    const total = [...ms.values()].reduce((sum, own) => sum + own, 0);
    const busy = total - (ms.get('(idle)') ?? 0);
    console.log(`\n${file}: ${Math.round(busy)} ms busy of ${Math.round(total)} ms`);
    const parts = new Map<string, number>();
    for (const [name, own] of ms) add(parts, partOf(name), own);
    const share = (own: number) => `${((own / busy) * 100).toFixed(1).padStart(5)} %`;
    for (const [part, own] of largestFirst(parts)) if (part !== '(idle)') console.log(`  ${share(own)}  ${part}`);
    console.log('  by function:');
    const functions = largestFirst(ms).filter(([name]) => name !== '(idle)');
    for (const [name, own] of functions.slice(0, FUNCTIONS_SHOWN)) console.log(`  ${share(own)}  ${name}`);
  }
}

/** Milliseconds in each function itself, by "function file". */
function selfTimes({ nodes, samples, timeDeltas }: Profile): Map<string, number> {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const ms = new Map<string, number>();
  for (const [i, id] of samples.entries()) add(ms, names.get(id)!, Math.min(SAMPLE_MS_MAX, timeDeltas[i]! / 1000));
  return ms;
}

function nameOf({ functionName, url, lineNumber, columnNumber }: CallFrame): string {
  const shown = functionName || '(anonymous)';
  if (!url.startsWith('file:')) return url ? `${shown} ${url}` : shown;
  const path = fileURLToPath(url);
  const entry = sourceMapOf(path)?.findEntry(lineNumber, columnNumber);
  const source = entry && 'originalSource' in entry ? join(path, '..', entry.originalSource) : path;
  return `${shown} ${relative(PROJECT, source)}`;
}

function sourceMapOf(path: string): SourceMap | null {
  const known = maps.get(path);
  if (known !== undefined) return known;
  const file = `${path}.map`;
  const map = existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload) : null;
  maps.set(path, map);
  return map;
}

/** The folder of our own files, the name of a package, or what it is of Node. */
function partOf(name: string): string {
  const [functionName, file = ''] = name.split(' ');
  if (functionName!.startsWith('(')) return file === '' ? functionName! : partOf(`x ${file}`);
  const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file);
  if (inPackage) return inPackage[1]!;
  if (file.startsWith('node:')) return /tls|stream|net|crypto/.exec(file)?.[0].concat(' (node)') ?? 'node';
  if (file === '') return `native: ${functionName}`;
  return file.split('/').slice(0, -1).join('/') || file;
}

function largestFirst(times: ReadonlyMap<string, number>): [string, number][] {
  return [...times].sort(([, a], [, b]) => b - a);
}

function add(times: Map<string, number>, name: string, ms: number): void {
  times.set(name, (times.get(name) ?? 0) + ms);
}

if (import.meta.main) printProfiles(process.argv[2]!);
