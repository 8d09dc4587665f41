// Hashing threads stand back behind the thread that answers commands and moves the bytes, when there are fewer cores than work.
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

/** A third of a normal share; whole cores when nobody else wants them. */
const NICENESS = 5;

/** Called in a worker thread. On Linux a thread has a niceness of its own; elsewhere nothing happens. */
export function yieldToMain(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), NICENESS);
  } catch {
    // A container without /proc, or that forbids it: the threads share as they did.
  }
}
