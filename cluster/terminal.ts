// Whether stdin may be read: a background job that reads its terminal is suspended by it.
import { readFileSync } from 'node:fs';

/** True when stdin is no terminal, or this process is in the terminal's foreground. */
export function isForeground(): boolean {
  if (!process.stdin.isTTY) return true;
  try {
    // proc(5), stat: after the name in parentheses come state, ppid, pgrp, session, tty_nr, tpgid.
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[2] === fields[5];
  } catch {
    return true; // no /proc: another system, where we cannot know
  }
}
