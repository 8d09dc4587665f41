// Bundles each program into dist/<folder>/: one file a program, plus one for each worker thread it starts.
import { cpSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { build } from 'esbuild';

const PROGRAMS = ['cluster', 'daemon', 'cli'];
const root = import.meta.dirname;

rmSync(join(root, 'dist'), { recursive: true, force: true });

for (const folder of PROGRAMS) {
  const workers = globSync(`${folder}/**/*-worker.ts`, { cwd: root });
  const outdir = join(root, 'dist', folder);
  await build({
    absWorkingDir: root,
    entryPoints: [`${folder}/main.ts`, ...workers].map((file) => ({
      in: file,
      out: basename(file, '.ts'),
    })),
    outdir,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node24',
    format: 'esm',
    sourcemap: 'linked',
    logLevel: 'warning',
  });
  // Read at run time, next to the bundle, under the name that the source asks for.
  for (const sql of globSync(`${folder}/**/*.sql`, { cwd: root })) {
    mkdirSync(outdir, { recursive: true });
    cpSync(join(root, dirname(sql), basename(sql)), join(outdir, basename(sql)));
  }
}
