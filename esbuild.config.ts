// Bundles each program into dist/<folder>/: one file a program, plus one for each worker thread it starts.
// `node esbuild.config.ts cli` builds that program alone.
// Each file is replaced at once, never missing or half there: the first `npx mt` of a new npm cache builds again (it runs
// `prepare`), while the programs in the other terminals are starting.
import { globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type BuildOptions, build, type PluginBuild } from 'esbuild';

/** The daemons run for weeks: packages stay outside, as they were installed. */
const TRACKER: BuildOptions = { format: 'esm', packages: 'external' };

/**
 * Many run on one machine, so that what its text takes of the heap counts: of small packages, the parts that are used come along (valibot
 * alone would be 400 KB), and comments, which double the text as soon as one of them has a letter beyond Latin-1, stay here.
 */
const PEER: BuildOptions = {
  format: 'esm',
  external: ['better-sqlite3', 'cbor-x', 'pino', 'prom-client'],
  minifyWhitespace: true,
  lineLimit: 120, // a stack still says where; node --enable-source-maps says it in our own lines
};

/**
 * `mt` starts for every command, so that starting is what it costs: one file with everything in it, in the module system
 * that starts faster, each module run only when it is needed. Together they halve the start (npm run bench:cli).
 */
const COMMAND_LINE: BuildOptions = {
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  // A third less to read at each start: 3 ms of CPU. Names stay as they are.
  minifyWhitespace: true,
  minifySyntax: true,
  // Without its native helper, which takes 4 ms to load and gains nothing on small messages.
  alias: { 'cbor-x': join(import.meta.dirname, 'node_modules/cbor-x/index.js') },
  plugins: [{ name: 'oclif-inline-requires', setup: inlineRequires }],
};

/**
 * oclif's modules require each other, and packages for plugins that we do not have, at their top. Here each
 * `const x = require("y")` moves to where x is used, as Metro's inline requires do: what a run does not use is never run.
 */
function inlineRequires(build: PluginBuild): void {
  build.onLoad({ filter: /\/@oclif\/core\/lib\/.*\.js$/ }, ({ path }) => {
    const required: [name: string, call: string][] = [];
    let contents = readFileSync(path, 'utf8').replaceAll(
      /^const (\w+) = ((?:__importDefault\()?require\("[^"]+"\)\)?);$/gm,
      (_line, name: string, call: string) => {
        required.push([name, call]);
        return '';
      },
    );
    for (const [name, call] of required) {
      contents = contents.replaceAll(new RegExp(`(?<![.\\w])${name}\\b`, 'g'), `(${call})`);
    }
    return { contents, loader: 'js' };
  });
}

const PROGRAMS: Record<string, BuildOptions> = { cluster: TRACKER, daemon: PEER, cli: COMMAND_LINE };
const root = import.meta.dirname;
const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PROGRAMS);

for (const folder of chosen) {
  const workers = globSync(`${folder}/**/*-worker.ts`, { cwd: root });
  const outdir = join(root, 'dist', folder);
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [`${folder}/main.ts`, ...workers].map((file) => ({
      in: file,
      out: basename(file, '.ts'),
    })),
    outdir,
    bundle: true,
    platform: 'node',
    target: 'node24',
    sourcemap: 'linked',
    logLevel: 'warning',
    ...PROGRAMS[folder],
    write: false,
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  // Read at run time, next to the bundle, under the name that the source asks for.
  for (const sql of globSync(`${folder}/**/*.sql`, { cwd: root })) {
    files.set(basename(sql), readFileSync(join(root, sql)));
  }
  replaceFiles(outdir, files);
}

function replaceFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, contents] of files) {
    const unfinished = join(folder, `${name}.${process.pid}.new`);
    writeFileSync(unfinished, contents);
    renameSync(unfinished, join(folder, name));
  }
  for (const name of readdirSync(folder)) {
    if (!files.has(name) && !name.endsWith('.new')) rmSync(join(folder, name), { force: true });
  }
}
