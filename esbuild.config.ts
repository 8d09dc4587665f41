// Bundles each program into dist/<folder>/: one file a program, plus one for each worker thread it starts.
// `node esbuild.config.ts cli` builds that program alone.
import { cpSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';

/** The daemons run for weeks: packages stay outside, as they were installed. */
const DAEMON: BuildOptions = { format: 'esm', packages: 'external' };

/**
 * `mt` starts for every command, and opening files is what starting costs: one file with everything in it, in the
 * module system that starts faster, each module run only when it is imported.
 * What oclif would discover plugins with is left out: our commands are a table (cli/oclif-config.ts).
 */
const COMMAND_LINE: BuildOptions = {
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
};

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
