// A test that cannot run here says why; test/gate.ts refuses a skip without a reason.
import type { Test } from 'uvu';

/** Registers the test where `reason` is null, else skips it and prints the reason. */
export function testOrSkip(test: Test, name: string, reason: string | null, body: () => Promise<void> | void): void {
  if (reason === null) {
    test(name, body);
    return;
  }
  test.skip(name, body);
  console.log(`\nSKIP ${name}: ${reason}`);
}
