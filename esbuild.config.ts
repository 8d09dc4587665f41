// Bundles each program into dist/<folder>/: one file a program, plus one for each worker thread it starts.
// `node esbuild.config.ts cli` builds that program alone.
import { cpSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type BuildOptions, build, type PluginBuild } from 'esbuild';

/** The daemons run for weeks: packages stay outside, as they were installed. */
const DAEMON: BuildOptions = { format: 'esm', packages: 'external' };

/**
 * `mt` starts for every command, so that starting is what it costs: one file with everything in it, in the module system
 * that starts faster, each module run only when it is needed. Together they halve the start (npm run bench:cli).
 */
const COMMAND_LINE: BuildOptions = {
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
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

const PROGRAMS: Record<string, BuildOptions> = { cluster: DAEMON, daemon: DAEMON, cli: COMMAND_LINE };
const root = import.meta.dirname;
const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PROGRAMS);

for (const folder of chosen) {
  const workers = globSync(`${folder}/**/*-worker.ts`, { cwd: root });
  const outdir = join(root, 'dist', folder);
  rmSync(outdir, { recursive: true, force: true });
  await build({
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
  });
  // Read at run time, next to the bundle, under the name that the source asks for.
  for (const sql of globSync(`${folder}/**/*.sql`, { cwd: root })) {
    mkdirSync(outdir, { recursive: true });
    cpSync(join(root, dirname(sql), basename(sql)), join(outdir, basename(sql)));
  }
}
