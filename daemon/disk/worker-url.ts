// Where a worker's program is: the .ts file beside this one when run from source, its bundle beside main.js when built.

/** @param name of a `*-worker.ts` file in this folder, without its ending. */
export function workerUrl(name: string): URL {
  const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./${name}${ending}`, import.meta.url);
}
