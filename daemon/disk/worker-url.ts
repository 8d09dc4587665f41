// Where a worker's program is: the .ts file beside this one when run from source, its bundle beside main.js when built.

/**
 * @param name of a `*-worker.ts` file, without its ending.
 * @param beside a module in its folder: that module's `import.meta.url`.
 */
export function workerUrl(name: string, beside = import.meta.url): URL {
  const ending = beside.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./${name}${ending}`, beside);
}
