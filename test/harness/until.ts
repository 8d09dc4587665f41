// Waiting in tests: for a condition, with a deadline, never for a fixed time.

/** Many times what anything takes: a machine that is slow or busy is no failure. What is promised within a time is compared with that time. */
const UNTIL_MS_MAX = 30_000;

/** Waits until `condition` holds (or returns something), and returns what it returned. @throws when the deadline passes first. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = UNTIL_MS_MAX, everyMs = 5 } = {},
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`Not so in ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
