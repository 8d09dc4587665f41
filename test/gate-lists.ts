// Which test files the gate treats in a way of their own, and why.
import { sep } from 'node:path';

const files = (...names: string[]): ReadonlySet<string> =>
  new Set(names.map((name) => `${name.replaceAll('/', sep)}.test.ts`));

/** Long proofs of what changes seldom: together they cost as much as half of all others. */
export const LONG = files(
  'cluster/backup-recover',
  'cluster/damage',
  'cluster/disk-faults',
  'cluster/disk-full',
  'cluster/flipped-bits',
  'cluster/members-change',
  'cluster/planned-stop',
  'cluster/state-check',
  'daemon/data-plane-crowd',
  'e2e/cluster-key',
  'e2e/destinations',
  'e2e/guesses',
  'e2e/hostile-seeders',
  'e2e/key-rotation',
  'e2e/limits',
  'e2e/long-lived-shares',
  'e2e/membership',
  'e2e/transfer-limits',
  'e2e/transfer-presence',
  'e2e/transfer-reasons',
  'e2e/transfer-sharing',
  'soak/plant',
  'state/scale',
);
/** What they promise are times of real programs, some within a tenth: a neighbour on the same cores would be measured with them. */
export const ALONE = files(
  'cluster/planned-stop',
  'e2e/limits',
  'e2e/transfer-limits',
  'e2e/transfer-presence',
  'e2e/transfer-sharing',
);
/** Begun first, so that none of them is left alone at the end. */
export const LONGEST = files('e2e/leader-loss', 'e2e/demo', 'e2e/thrown-out', 'e2e/exit-table');
/** Costs nothing but time, for it waits out a default that cannot be made shorter: runs beside all others from the start. */
export const WAITS = files('e2e/no-source');
